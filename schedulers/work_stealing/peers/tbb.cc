// The workloads on oneTBB, as one writes them for it: parallel_invoke for two branches, a
// task_group for more, whose last branch runs in place; and its bounded queue between threads, as
// its tasks cannot wait. Built by compare.
#include <tbb/concurrent_queue.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <array>
#include <cstdint>
#include <thread>
#include <vector>

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
  const int count = static_cast<int>(LegalColumns(board, row, n, columns));
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

int64_t Channel(int n, int threads) {
  const int sides = ChannelSides(threads);
  tbb::concurrent_bounded_queue<int64_t> queue;
  queue.set_capacity(kChannelCapacity);
  constexpr int64_t kEnd = -1;
  std::vector<int64_t> sums(sides);
  std::vector<std::thread> producers;
  std::vector<std::thread> consumers;
  for (int i = 0; i < sides; ++i) {
    producers.emplace_back([&, i] {
      const int64_t end = ChannelBegin(n, sides, i + 1);
      for (int64_t item = ChannelBegin(n, sides, i); item < end; ++item) queue.push(item);
    });
    consumers.emplace_back([&, i] {
      int64_t item;
      for (queue.pop(item); item != kEnd; queue.pop(item)) sums[i] += item;
    });
  }
  for (std::thread& producer : producers) producer.join();
  for (int i = 0; i < sides; ++i) queue.push(kEnd);
  for (std::thread& consumer : consumers) consumer.join();
  int64_t sum = 0;
  for (const int64_t s : sums) sum += s;
  return sum;
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
                          .channel = peers::Channel,
                          .run_on = peers::RunInArena},
                         argc, argv);
}
