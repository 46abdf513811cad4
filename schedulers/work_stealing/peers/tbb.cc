// The workloads on oneTBB, as one writes them for it: parallel_invoke for two branches, a
// task_group for more, whose last branch runs in place. Built by compare.
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <array>
#include <cstdint>

#include "plait/schedulers/work_stealing/peers/peer.h"

namespace peers {
namespace {

int64_t Fib(int n) {
  if (n < 2) return n;
  int64_t a = 0;
  int64_t b = 0;
  tbb::parallel_invoke([&] { a = Fib(n - 1); }, [&] { b = Fib(n - 2); });
  return a + b;
}

int64_t Skynet(int64_t first, int levels) {
  if (levels == 0) return first;
  const int64_t step = SkynetStep(levels);
  std::array<int64_t, kSkynetChildren> sums;
  tbb::task_group group;
  const auto child = [&](int i) {
    return [&sums, i, first, step, levels] { sums[i] = Skynet(first + i * step, levels - 1); };
  };
  for (int i = 0; i + 1 < kSkynetChildren; ++i) group.run(child(i));
  group.run_and_wait(child(kSkynetChildren - 1));
  int64_t sum = 0;
  for (const int64_t s : sums) sum += s;
  return sum;
}

int64_t NQueens(const Board& board, int row, int n) {
  if (row == n) return 1;
  std::array<char, kMostNQueens> columns;
  int count = 0;
  for (int column = 0; column < n; ++column) {
    if (IsLegal(board, row, column)) columns[count++] = static_cast<char>(column);
  }
  if (count == 0) return 0;
  std::array<int64_t, kMostNQueens> solutions;
  tbb::task_group group;
  const auto child = [&](int i) {
    Board next = board;
    next[row] = columns[i];
    return [&solutions, i, next, row, n] { solutions[i] = NQueens(next, row + 1, n); };
  };
  for (int i = 0; i + 1 < count; ++i) group.run(child(i));
  group.run_and_wait(child(count - 1));
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) sum += solutions[i];
  return sum;
}

void Matmul(const int* a, const int* b, int* c, int n, int stride) {
  if (n <= kMatmulBlock) return MultiplyBlock(a, b, c, n, stride);
  const int half = n / 2;
  const int below = half * stride;
  const auto four = [&](const int* left, const int* top) {
    tbb::task_group group;
    group.run([=] { Matmul(left, top, c, half, stride); });
    group.run([=] { Matmul(left, top + half, c + half, half, stride); });
    group.run([=] { Matmul(left + below, top, c + below, half, stride); });
    group.run_and_wait([=] { Matmul(left + below, top + half, c + below + half, half, stride); });
  };
  four(a, b);
  four(a + half, b + below);
}

void RunInArena(int threads, const std::function<void()>& body) {
  tbb::task_arena arena(threads);
  arena.execute(body);
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  return peers::PeerMain({.name = "tbb",
                          .fib = peers::Fib,
                          .skynet = peers::Skynet,
                          .nqueens = peers::NQueens,
                          .matmul = peers::Matmul,
                          .run_on = peers::RunInArena},
                         argc, argv);
}
