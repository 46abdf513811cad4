// What does a fiber cost: to start, to switch to and back, to await in, beside a coroutine?
#include <cstdint>

#include "benchmark/benchmark.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/fiber/fiber.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

constexpr int64_t kBatch = 10'000;

Task<int64_t> Ready(int64_t n) { co_return n; }

// Starts fibers that end at once; their stacks are used again.
void BM_RunFiber(benchmark::State& state) {
  for (auto _ : state) {
    plait::Run([]() -> Task<void> {
      for (int64_t i = 0; i < kBatch; ++i) co_await RunFiber([] {});
    }());
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_RunFiber);

// Awaits tasks that are ready: two switches and a coroutine each.
void BM_AwaitReadyTaskInAFiber(benchmark::State& state) {
  for (auto _ : state) {
    plait::Run(RunFiber([] {
      int64_t sum = 0;
      for (int64_t i = 0; i < kBatch; ++i) sum += Await(Ready(i));
      benchmark::DoNotOptimize(sum);
    }));
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_AwaitReadyTaskInAFiber);

void BM_AwaitReadyTaskInACoroutine(benchmark::State& state) {
  for (auto _ : state) {
    plait::Run([]() -> Task<void> {
      int64_t sum = 0;
      for (int64_t i = 0; i < kBatch; ++i) sum += co_await Ready(i);
      benchmark::DoNotOptimize(sum);
    }());
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_AwaitReadyTaskInACoroutine);

// Two fibers that take turns: a round trip is two yields.
void BM_YieldRoundTripOfFibers(benchmark::State& state) {
  const auto yield_often = [] {
    for (int64_t i = 0; i < kBatch; ++i) Await(Yield());
  };
  for (auto _ : state) {
    plait::Run([](auto function) -> Task<void> {
      co_await Gather(RunFiber(function), RunFiber(function));
    }(yield_often));
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_YieldRoundTripOfFibers);

}  // namespace
}  // namespace plait
