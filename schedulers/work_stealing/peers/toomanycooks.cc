// The workloads on TooManyCooks, as one writes them for it: one branch is forked and the other
// awaited, or all are spawned at once; and its channel, which grows. Built by compare, with
// TooManyCooks' headers.
#define TMC_IMPL
#include <array>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <tmc/all_headers.hpp>
#include <utility>
#include <vector>

#include "plait/schedulers/work_stealing/peers/peer.h"

namespace peers {
namespace {

tmc::task<int64_t> FibTask(int n) {
  if (n < 2) co_return n;
  auto forked = tmc::spawn(FibTask(n - 1)).fork();
  const int64_t b = co_await FibTask(n - 2);
  const int64_t a = co_await std::move(forked);
  co_return a + b;
}

tmc::task<int64_t> SkynetTask(int64_t first, int levels) {
  if (levels == 0) co_return first;
  const int64_t step = SkynetStep(levels);
  const auto children = std::views::iota(0) | std::views::transform([=](int i) {
                          return SkynetTask(first + i * step, levels - 1);
                        });
  const std::array<int64_t, kSkynetChildren> sums =
      co_await tmc::spawn_many<kSkynetChildren>(children.begin());
  int64_t sum = 0;
  for (const int64_t s : sums) sum += s;
  co_return sum;
}

tmc::task<int64_t> NQueensTask(Board board, int row, int n) {
  if (row == n) co_return 1;
  std::size_t count = 0;
  auto children = std::views::iota(0, n) |
                  std::views::filter([&](int column) { return IsLegal(board, row, column); }) |
                  std::views::transform([&](int column) {
                    ++count;
                    board[row] = static_cast<char>(column);  // the child has a copy
                    return NQueensTask(board, row + 1, n);
                  });
  const auto solutions = co_await tmc::spawn_many<kMostNQueens>(children.begin(), children.end());
  int64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += solutions[i];
  co_return sum;
}

tmc::task<void> MatmulTask(const int* a, const int* b, int* c, int n, int stride) {
  if (n <= kMatmulBlock) {
    MultiplyBlock(a, b, c, n, stride);
    co_return;
  }
  const int half = n / 2;
  const int below = half * stride;
  const int* left = a;
  const int* top = b;
  for (int round = 0; round < 2; ++round) {
    co_await tmc::spawn_tuple(MatmulTask(left, top, c, half, stride),
                              MatmulTask(left, top + half, c + half, half, stride),
                              MatmulTask(left + below, top, c + below, half, stride),
                              MatmulTask(left + below, top + half, c + below + half, half, stride));
    left = a + half;
    top = b + below;
  }
}

using Token = tmc::chan_tok<int64_t>;

tmc::task<void> Produce(Token channel, int64_t begin, int64_t end) {
  for (int64_t item = begin; item < end; ++item) channel.post(item);
  co_return;
}

tmc::task<int64_t> Consume(Token channel) {
  int64_t sum = 0;
  while (auto item = co_await channel.pull()) sum += item.value();
  co_return sum;
}

tmc::task<int64_t> Exchange(int n, int sides) {
  auto channel = tmc::make_channel<int64_t>();
  channel.set_consumer_spins(10);  // as in the public comparison
  std::vector<tmc::task<void>> producers;
  std::vector<tmc::task<int64_t>> consumers;
  for (int i = 0; i < sides; ++i) {
    producers.push_back(Produce(channel, ChannelBegin(n, sides, i), ChannelBegin(n, sides, i + 1)));
    consumers.push_back(Consume(channel));
  }
  auto forked = tmc::spawn_many(consumers).fork();
  co_await tmc::spawn_many(producers);
  co_await channel.drain();
  int64_t sum = 0;
  for (const int64_t s : co_await std::move(forked)) sum += s;
  co_return sum;
}

template <class T>
T Run(tmc::task<T> task) {
  return tmc::post_waitable(tmc::cpu_executor(), std::move(task)).get();
}

int64_t Fib(int n) { return Run(FibTask(n)); }
int64_t Skynet(int64_t first, int levels) { return Run(SkynetTask(first, levels)); }
int64_t NQueens(const Board& board, int row, int n) { return Run(NQueensTask(board, row, n)); }
void Matmul(const int* a, const int* b, int* c, int n, int stride) {
  Run(MatmulTask(a, b, c, n, stride));
}
int64_t Channel(int n, int threads) { return Run(Exchange(n, ChannelSides(threads))); }

void RunOnExecutor(int threads, const std::function<void()>& body) {
  tmc::cpu_executor().set_thread_count(static_cast<std::size_t>(threads)).init();
  body();
  tmc::cpu_executor().teardown();
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  return peers::PeerMain({.name = "toomanycooks",
                          .fib = peers::Fib,
                          .skynet = peers::Skynet,
                          .nqueens = peers::NQueens,
                          .matmul = peers::Matmul,
                          .channel = peers::Channel,
                          .run_on = peers::RunOnExecutor},
                         argc, argv);
}
