// What does a fork cost that nobody wants, beside a call, and what does a second thread gain? How
// near is a ParallelReduce to the loop that it is in place of?
#include <cmath>
#include <cstdint>
#include <functional>

#include "benchmark/benchmark.h"
#include "plait/runtime/parallel/forking_threads.h"
#include "plait/runtime/parallel/invoke.h"
#include "plait/runtime/parallel/loops.h"

namespace plait {
namespace {

constexpr int kFib = 27;
constexpr int64_t kForks = 514'228;  // fib(28) - 1 calls of 2 or more
constexpr int64_t kItems = 1'000'000;

// What the compiler may not see through.
int64_t Called(int64_t result) {
  benchmark::DoNotOptimize(result);
  return result;
}

[[gnu::noinline]] int64_t CallFib(int n) {
  return n < 2 ? n : Called(CallFib(n - 1)) + Called(CallFib(n - 2));
}

int64_t ForkFib(int n) {
  if (n < 2) return n;
  const auto [a, b] =
      ParallelInvoke([&] { return ForkFib(n - 1); }, [&] { return ForkFib(n - 2); });
  return a + b;
}

void BM_FibOfCalls(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(CallFib(kFib));
  state.SetItemsProcessed(state.iterations() * kForks);
}
BENCHMARK(BM_FibOfCalls)->UseRealTime();

// 0 threads: where nobody steals.
void BM_FibOfForks(benchmark::State& state) {
  const auto run = [&] {
    for (auto _ : state) benchmark::DoNotOptimize(ForkFib(kFib));
  };
  if (state.range(0) == 0) {
    run();
  } else {
    ForkingThreads(static_cast<int>(state.range(0))).Run(run);
  }
  state.SetItemsProcessed(state.iterations() * kForks);
}
BENCHMARK(BM_FibOfForks)->Arg(0)->Arg(1)->Arg(2)->UseRealTime();

double Add(double sum, int64_t i) { return sum + std::sqrt(static_cast<double>(i)); }

void BM_PlainSum(benchmark::State& state) {
  for (auto _ : state) {
    double sum = 0;
    for (int64_t i = 0; i < kItems; ++i) sum = Add(sum, i);
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_PlainSum)->UseRealTime();

void BM_ParallelSum(benchmark::State& state) {
  ForkingThreads(static_cast<int>(state.range(0))).Run([&] {
    for (auto _ : state) {
      benchmark::DoNotOptimize(ParallelReduce(0, kItems, 0.0, Add, std::plus<>()));
    }
  });
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_ParallelSum)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace plait
