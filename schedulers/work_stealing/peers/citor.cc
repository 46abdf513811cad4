// The workloads on citor, as one writes them for it: forkJoin for branches that are known,
// forkJoinAll for a number of them; plain functions, which cannot wait, so it has no channel. Built
// by compare.
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>

#include "citor/hints.h"
#include "citor/thread_pool.h"
#include "plait/schedulers/work_stealing/peers/peer.h"

namespace peers {
namespace {

citor::ThreadPool* pool = nullptr;

template <class... Branches>
void Fork(Branches&&... branches) {
  pool->forkJoin<citor::HintsDefaults>(branches...);
}

int64_t Fib(int n) {
  if (n < 2) return n;
  int64_t a = 0;
  int64_t b = 0;
  Fork([&] { a = Fib(n - 1); }, [&] { b = Fib(n - 2); });
  return a + b;
}

template <class Branch>
int64_t SumOf(int count, const Branch& branch) {
  std::array<int64_t, kMostNQueens> sums;
  pool->forkJoinAll<citor::HintsDefaults>(static_cast<size_t>(count),
                                          [&](size_t i) { sums[i] = branch(i); });
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) sum += sums[static_cast<size_t>(i)];
  return sum;
}

int64_t Skynet(int64_t first, int levels) {
  if (levels == 0) return first;
  const int64_t step = SkynetStep(levels);
  static_assert(kSkynetChildren <= kMostNQueens);
  return SumOf(kSkynetChildren, [&](size_t i) {
    return Skynet(first + static_cast<int64_t>(i) * step, levels - 1);
  });
}

int64_t NQueens(const Board& board, int row, int n) {
  if (row == n) return 1;
  std::array<char, kMostNQueens> columns;
  const int count = static_cast<int>(LegalColumns(board, row, n, columns));
  if (count == 0) return 0;
  return SumOf(count, [&](size_t i) {
    Board next = board;
    next[row] = columns[i];
    return NQueens(next, row + 1, n);
  });
}

void Matmul(const int* a, const int* b, int* c, int n, int stride) {
  if (n <= kMatmulBlock) return MultiplyBlock(a, b, c, n, stride);
  const int half = n / 2;
  const int below = half * stride;
  const auto four = [&](const int* left, const int* top) {
    Fork([&] { Matmul(left, top, c, half, stride); },
         [&] { Matmul(left, top + half, c + half, half, stride); },
         [&] { Matmul(left + below, top, c + below, half, stride); },
         [&] { Matmul(left + below, top + half, c + below + half, half, stride); });
  };
  four(a, b);
  four(a + half, b + below);
}

void RunOnPool(int threads, const std::function<void()>& body) {
  // By itself it takes a thread a core at most, whatever that has of them.
  const auto count = static_cast<size_t>(threads);
  const bool all = count == std::thread::hardware_concurrency();
  citor::ThreadPool made(count, all ? citor::Affinity::PerCpuSmtPair : citor::Affinity::PerCpu);
  pool = &made;
  body();
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  return peers::PeerMain({.name = "citor",
                          .fib = peers::Fib,
                          .skynet = peers::Skynet,
                          .nqueens = peers::NQueens,
                          .matmul = peers::Matmul,
                          .channel = nullptr,
                          .run_on = peers::RunOnPool},
                         argc, argv);
}
