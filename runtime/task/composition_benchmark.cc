// What does it cost to run tasks together: gathered, in a group, two of which the first wins? Per
// task; runtime/task/peers/compare runs the same under asyncio.

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

Task<int64_t> Number(int64_t n) {
  co_await Yield();
  co_return n;
}

Task<int64_t> GatherNumbers(int64_t count) {
  std::vector<Task<int64_t>> tasks;
  tasks.reserve(static_cast<size_t>(count));
  for (int64_t n = 0; n < count; ++n) tasks.push_back(Number(n));
  int64_t sum = 0;
  for (const int64_t n : co_await Gather(std::move(tasks))) sum += n;
  co_return sum;
}

void BM_Gather(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) benchmark::DoNotOptimize(BlockOn(loop, GatherNumbers(state.range(0))));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Gather)->Arg(1'000);

Task<absl::Status> Add(int64_t n, int64_t* sum) {
  co_await Yield();
  *sum += n;
  co_return absl::OkStatus();
}

Task<absl::Status> GroupOf(int64_t count, int64_t* sum) {
  co_return co_await WithTaskGroup([=](TaskGroup& group) -> Task<absl::Status> {
    for (int64_t n = 0; n < count; ++n) group.Spawn(Add(n, sum));
    co_return absl::OkStatus();
  });
}

void BM_TaskGroup(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  int64_t sum = 0;
  for (auto _ : state) {
    if (!BlockOn(loop, GroupOf(state.range(0), &sum)).ok()) state.SkipWithError("the group failed");
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_TaskGroup)->Arg(1'000)->Arg(100'000);

Task<int64_t> Never() {
  Promise<int64_t> never;
  co_return (co_await never.future()).value_or(0);
}

// One that ends on the next turn wins over one that would never end.
Task<int64_t> SelectRounds(int64_t count) {
  int64_t sum = 0;
  for (int64_t n = 0; n < count; ++n) {
    auto selected = co_await Select(Number(n), Never());
    sum += selected.get<0>();
  }
  co_return sum;
}

void BM_SelectOfTwo(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  constexpr int64_t kBatch = 1'000;
  for (auto _ : state) benchmark::DoNotOptimize(BlockOn(loop, SelectRounds(kBatch)));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_SelectOfTwo);

AsyncGenerator<int64_t> Numbers(int64_t count) {
  for (int64_t n = 0; n < count; ++n) co_yield n;
}

Task<int64_t> SumOf(AsyncGenerator<int64_t> numbers) {
  int64_t sum = 0;
  while (auto n = co_await numbers.Next()) sum += *n;
  co_return sum;
}

void BM_AsyncGenerator(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) benchmark::DoNotOptimize(BlockOn(loop, SumOf(Numbers(state.range(0)))));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_AsyncGenerator)->Arg(100'000);

}  // namespace
}  // namespace plait
