// What does an item of a Generator and of an AsyncGenerator cost, beside the loop that one would
// write by hand?

#include <cstdint>
#include <utility>

#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

constexpr int64_t kItems = 100'000;

// Not to be seen through by the optimiser, as the generators' frames are not.
uint64_t Step(uint64_t n) {
  benchmark::DoNotOptimize(n);
  return n * 3 + 1;
}

void BM_HandWrittenLoop(benchmark::State& state) {
  for (auto _ : state) {
    uint64_t sum = 0;
    uint64_t n = 1;
    for (int64_t i = 0; i < kItems; ++i) sum += n = Step(n);
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_HandWrittenLoop);

Generator<uint64_t> Numbers() {
  uint64_t n = 1;
  for (int64_t i = 0; i < kItems; ++i) co_yield n = Step(n);
}

void BM_GeneratorItem(benchmark::State& state) {
  for (auto _ : state) {
    uint64_t sum = 0;
    for (const uint64_t n : Numbers()) sum += n;
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_GeneratorItem);

// Items that come out of a generator that many others stand around.
Generator<uint64_t> Nested(int64_t depth) {
  if (depth > 0) {
    co_yield ElementsOf(Nested(depth - 1));
  } else {
    co_yield ElementsOf(Numbers());
  }
}

void BM_NestedGeneratorItem(benchmark::State& state) {
  for (auto _ : state) {
    uint64_t sum = 0;
    for (const uint64_t n : Nested(state.range(0))) sum += n;
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_NestedGeneratorItem)->Arg(1)->Arg(1'000);

// What a generator costs that gives nothing: its frame.
Generator<uint64_t> Empty() { co_return; }

void BM_GeneratorWithoutItems(benchmark::State& state) {
  for (auto _ : state) {
    for (const uint64_t n : Empty()) benchmark::DoNotOptimize(n);
  }
}
BENCHMARK(BM_GeneratorWithoutItems);

AsyncGenerator<uint64_t> AsyncNumbers() {
  uint64_t n = 1;
  for (int64_t i = 0; i < kItems; ++i) co_yield n = Step(n);
}

Task<uint64_t> SumOf(AsyncGenerator<uint64_t> numbers) {
  uint64_t sum = 0;
  while (auto n = co_await numbers.Next()) sum += *n;
  co_return sum;
}

void BM_AsyncGeneratorItem(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) benchmark::DoNotOptimize(BlockOn(loop, SumOf(AsyncNumbers())));
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_AsyncGeneratorItem);

// The same numbers, each from a task of its own.
Task<uint64_t> NumberAfter(uint64_t n) { co_return Step(n); }

Task<uint64_t> SumOfTasks() {
  uint64_t sum = 0;
  uint64_t n = 1;
  for (int64_t i = 0; i < kItems; ++i) {
    n = co_await NumberAfter(n);
    sum += n;
  }
  co_return sum;
}

void BM_TaskPerItem(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) benchmark::DoNotOptimize(BlockOn(loop, SumOfTasks()));
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_TaskPerItem);

}  // namespace
}  // namespace plait
