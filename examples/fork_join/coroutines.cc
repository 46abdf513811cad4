// The workloads as coroutines: what they fork may wait as well, for I/O or a lock say, and then
// keeps no thread. Apart from the co_awaits this is the code of closures.cc.
#include <array>
#include <cstddef>
#include <cstdint>

#include "plait/examples/fork_join/workload.h"
#include "plait/runtime/task/fork.h"
#include "plait/runtime/task/task.h"
#include "plait/schedulers/work_stealing/peers/workloads.h"

namespace examples {
namespace {

using peers::Board;

plait::Task<int64_t> Skynet(int64_t first, int levels) {
  if (levels == 0) co_return first;
  const int64_t step = peers::SkynetStep(levels);
  const auto child = [=](size_t i) {
    return Skynet(first + static_cast<int64_t>(i) * step, levels - 1);
  };
  int64_t sum = 0;
  for (const int64_t part : co_await plait::ForkEach<peers::kSkynetChildren>(child)) sum += part;
  co_return sum;
}

plait::Task<int64_t> NQueens(Board board, int row, int n) {
  if (row == n) co_return 1;
  std::array<char, peers::kMostNQueens> columns;
  const size_t legal = peers::LegalColumns(board, row, n, columns);
  const auto child = [&](size_t i) {
    Board next = board;
    next[static_cast<size_t>(row)] = columns[i];
    return NQueens(next, row + 1, n);
  };
  int64_t solutions = 0;
  co_await plait::ForkEach<peers::kMostNQueens>(legal, child,
                                                [&](size_t, int64_t part) { solutions += part; });
  co_return solutions;
}

// C += A B for quarters of n by n.
plait::Task<void> Matmul(const int* a, const int* b, int* c, int n, int stride) {
  if (n <= peers::kMatmulBlock) {
    peers::MultiplyBlock(a, b, c, n, stride);
    co_return;
  }
  const int half = n / 2;
  const int below = half * stride;
  // Products that write to different quarters of C.
  const auto four = [=](const int* left, const int* top) {
    return plait::Fork(Matmul(left, top, c, half, stride),
                       Matmul(left, top + half, c + half, half, stride),
                       Matmul(left + below, top, c + below, half, stride),
                       Matmul(left + below, top + half, c + below + half, half, stride));
  };
  co_await four(a, b);
  co_await four(a + half, b + below);
}

}  // namespace

plait::Task<int64_t> FibCoroutine(int n) {
  if (n < 2) co_return n;
  const auto [a, b] = co_await plait::Fork(FibCoroutine(n - 1), FibCoroutine(n - 2));
  co_return a + b;
}

plait::Task<int64_t> SkynetCoroutine(int levels) { return Skynet(0, levels); }

plait::Task<int64_t> NQueensCoroutine(int n) { return NQueens({}, 0, n); }

plait::Task<int64_t> MatmulCoroutine(int n) {
  peers::Matrices m(n);
  co_await Matmul(m.a.data(), m.b.data(), m.c.data(), n, n);
  co_return m.Check();
}

}  // namespace examples
