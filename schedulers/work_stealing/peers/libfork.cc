// The workloads on libfork, as one writes them for it: all branches but the last are forked, the
// last is called. Built by compare, with libfork's headers.
#include <array>
#include <cstdint>
#include <libfork.hpp>
#include <memory>

#include "plait/schedulers/work_stealing/peers/peer.h"

namespace peers {
namespace {

constexpr auto kFib = [](auto self, int n) -> lf::task<int64_t> {
  if (n < 2) co_return n;
  int64_t a = 0;
  int64_t b = 0;
  co_await lf::fork(&a, self)(n - 1);
  co_await lf::call(&b, self)(n - 2);
  co_await lf::join;
  co_return a + b;
};

constexpr auto kSkynet = [](auto self, int64_t first, int levels) -> lf::task<int64_t> {
  if (levels == 0) co_return first;
  const int64_t step = SkynetStep(levels);
  std::array<int64_t, kSkynetChildren> sums;
  constexpr int kLast = kSkynetChildren - 1;
  for (int i = 0; i < kLast; ++i) {
    co_await lf::fork(&sums[i], self)(first + i * step, levels - 1);
  }
  co_await lf::call(&sums[kLast], self)(first + kLast * step, levels - 1);
  co_await lf::join;
  int64_t sum = 0;
  for (const int64_t s : sums) sum += s;
  co_return sum;
};

constexpr auto kNQueens = [](auto self, Board board, int row, int n) -> lf::task<int64_t> {
  if (row == n) co_return 1;
  std::array<int64_t, kMostNQueens> solutions;
  int count = 0;
  for (int column = 0; column < n; ++column) {
    if (!IsLegal(board, row, column)) continue;
    board[row] = static_cast<char>(column);  // the child has a copy
    co_await lf::fork(&solutions[count++], self)(board, row + 1, n);
  }
  co_await lf::join;
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) sum += solutions[i];
  co_return sum;
};

constexpr auto kMatmul = [](auto self, const int* a, const int* b, int* c, int n,
                            int stride) -> lf::task<void> {
  if (n <= kMatmulBlock) {
    MultiplyBlock(a, b, c, n, stride);
    co_return;
  }
  const int half = n / 2;
  const int below = half * stride;
  const int* left = a;
  const int* top = b;
  for (int round = 0; round < 2; ++round) {
    co_await lf::fork(self)(left, top, c, half, stride);
    co_await lf::fork(self)(left, top + half, c + half, half, stride);
    co_await lf::fork(self)(left + below, top, c + below, half, stride);
    co_await lf::call(self)(left + below, top + half, c + below + half, half, stride);
    co_await lf::join;
    left = a + half;
    top = b + below;
  }
};

// Its threads sleep when there is nothing to do, as those of the other peers.
lf::lazy_pool* pool = nullptr;

int64_t Fib(int n) { return lf::sync_wait(*pool, kFib, n); }
int64_t Skynet(int64_t first, int levels) { return lf::sync_wait(*pool, kSkynet, first, levels); }
int64_t NQueens(const Board& board, int row, int n) {
  return lf::sync_wait(*pool, kNQueens, board, row, n);
}
void Matmul(const int* a, const int* b, int* c, int n, int stride) {
  lf::sync_wait(*pool, kMatmul, a, b, c, n, stride);
}

void RunOnPool(int threads, const std::function<void()>& body) {
  lf::lazy_pool own(static_cast<std::size_t>(threads));
  pool = &own;
  body();
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  return peers::PeerMain({.name = "libfork",
                          .fib = peers::Fib,
                          .skynet = peers::Skynet,
                          .nqueens = peers::NQueens,
                          .matmul = peers::Matmul,
                          .channel = nullptr,
                          .run_on = peers::RunOnPool},
                         argc, argv);
}
