// The workloads as plain functions. They may stand anywhere in a program: inside a task of a
// WorkStealingPool they run on all of its threads, elsewhere on the one that calls them.
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "plait/examples/fork_join/workload.h"
#include "plait/runtime/parallel/invoke.h"
#include "plait/runtime/parallel/loops.h"
#include "plait/schedulers/work_stealing/peers/workloads.h"

namespace examples {
namespace {

using peers::Board;

int64_t Skynet(int64_t first, int levels) {
  if (levels == 0) return first;
  const int64_t step = peers::SkynetStep(levels);
  return plait::ParallelReduce(
      0, peers::kSkynetChildren, int64_t{0},
      [=](int64_t sum, int64_t i) { return sum + Skynet(first + i * step, levels - 1); },
      std::plus<>());
}

int64_t NQueens(const Board& board, int row, int n) {
  if (row == n) return 1;
  std::array<char, peers::kMostNQueens> columns;
  const size_t legal = peers::LegalColumns(board, row, n, columns);
  return plait::ParallelReduce(
      0, static_cast<int64_t>(legal), int64_t{0},
      [&](int64_t solutions, int64_t i) {
        Board next = board;
        next[static_cast<size_t>(row)] = columns[static_cast<size_t>(i)];
        return solutions + NQueens(next, row + 1, n);
      },
      std::plus<>());
}

// C += A B for quarters of n by n.
void Matmul(const int* a, const int* b, int* c, int n, int stride) {
  if (n <= peers::kMatmulBlock) return peers::MultiplyBlock(a, b, c, n, stride);
  const int half = n / 2;
  const int below = half * stride;
  // Products that write to different quarters of C.
  const auto four = [=](const int* left, const int* top) {
    plait::ParallelInvoke(
        [=] { Matmul(left, top, c, half, stride); },
        [=] { Matmul(left, top + half, c + half, half, stride); },
        [=] { Matmul(left + below, top, c + below, half, stride); },
        [=] { Matmul(left + below, top + half, c + below + half, half, stride); });
  };
  four(a, b);
  four(a + half, b + below);
}

}  // namespace

int64_t FibClosure(int n) {
  if (n < 2) return n;
  const auto [a, b] =
      plait::ParallelInvoke([n] { return FibClosure(n - 1); }, [n] { return FibClosure(n - 2); });
  return a + b;
}

int64_t SkynetClosure(int levels) { return Skynet(0, levels); }

int64_t NQueensClosure(int n) { return NQueens({}, 0, n); }

int64_t MatmulClosure(int n) {
  peers::Matrices m(n);
  Matmul(m.a.data(), m.b.data(), m.c.data(), n, n);
  return m.Check();
}

}  // namespace examples
