// The floor: the workloads as plain calls, on one thread.
#include <cstdint>
#include <cstdlib>

#include "plait/schedulers/work_stealing/peers/peer.h"

namespace peers {
namespace {

// Compilers would see that these are pure, and turn most of the calls that are to be measured into
// loops and sums.
int64_t Called(int64_t result) {
  asm volatile("" : "+r"(result));
  return result;
}

[[gnu::noinline]] int64_t Fib(int n) {
  if (n < 2) return n;
  const int64_t a = Called(Fib(n - 1));
  return a + Called(Fib(n - 2));
}

[[gnu::noinline]] int64_t Skynet(int64_t first, int levels) {
  if (levels == 0) return first;
  const int64_t step = SkynetStep(levels);
  int64_t sum = 0;
  for (int i = 0; i < kSkynetChildren; ++i) sum += Called(Skynet(first + i * step, levels - 1));
  return sum;
}

int64_t NQueens(const Board& board, int row, int n) {
  if (row == n) return 1;
  int64_t solutions = 0;
  for (int column = 0; column < n; ++column) {
    if (!IsLegal(board, row, column)) continue;
    Board next = board;
    next[static_cast<size_t>(row)] = static_cast<char>(column);
    solutions += NQueens(next, row + 1, n);
  }
  return solutions;
}

void Matmul(const int* a, const int* b, int* c, int n, int stride) {
  if (n <= kMatmulBlock) return MultiplyBlock(a, b, c, n, stride);
  const int half = n / 2;
  const int below = half * stride;
  Matmul(a, b, c, half, stride);
  Matmul(a, b + half, c + half, half, stride);
  Matmul(a + below, b, c + below, half, stride);
  Matmul(a + below, b + half, c + below + half, half, stride);
  Matmul(a + half, b + below, c, half, stride);
  Matmul(a + half, b + below + half, c + half, half, stride);
  Matmul(a + below + half, b + below, c + below, half, stride);
  Matmul(a + below + half, b + below + half, c + below + half, half, stride);
}

void RunOnThisThread(int threads, const std::function<void()>& body) {
  if (threads != 1) {
    std::fprintf(stderr, "serial has one thread\n");
    std::exit(2);
  }
  body();
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  return peers::PeerMain({.name = "serial",
                          .fib = peers::Fib,
                          .skynet = peers::Skynet,
                          .nqueens = peers::NQueens,
                          .matmul = peers::Matmul,
                          .channel = nullptr,
                          .run_on = peers::RunOnThisThread},
                         argc, argv);
}
