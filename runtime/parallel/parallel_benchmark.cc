// How near do ParallelFor and ParallelReduce come to plain loops, and what do more jobs gain?
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "benchmark/benchmark.h"
#include "plait/runtime/parallel/parallel.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

constexpr int64_t kItems = 200'000;

double Work(int64_t i) { return std::sqrt(static_cast<double>(i)) * 0.5; }

void BM_PlainFor(benchmark::State& state) {
  std::vector<double> out(kItems);
  for (auto _ : state) {
    for (int64_t i = 0; i < kItems; ++i) out[i] = Work(i);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_PlainFor)->UseRealTime();

void BM_ParallelFor(benchmark::State& state) {
  const int jobs = static_cast<int>(state.range(0));
  ThreadPool pool({.threads = jobs});
  std::vector<double> out(kItems);
  for (auto _ : state) {
    const absl::Status status = BlockOn(
        pool, ParallelFor(pool, 0, kItems, [&](int64_t i) { out[i] = Work(i); }, {.n_jobs = jobs}));
    if (!status.ok()) state.SkipWithError("ParallelFor failed");
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_ParallelFor)->Arg(1)->Arg(2)->UseRealTime();

void BM_PlainReduce(benchmark::State& state) {
  for (auto _ : state) {
    double sum = 0;
    for (int64_t i = 0; i < kItems; ++i) sum += Work(i);
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_PlainReduce)->UseRealTime();

void BM_ParallelReduce(benchmark::State& state) {
  const int jobs = static_cast<int>(state.range(0));
  ThreadPool pool({.threads = jobs});
  for (auto _ : state) {
    const absl::StatusOr<double> sum =
        BlockOn(pool, ParallelReduce(pool, 0, kItems, 0.0,
                                     [](double so_far, int64_t i) { return so_far + Work(i); },
                                     std::plus<double>(), {.n_jobs = jobs}));
    if (!sum.ok()) state.SkipWithError("ParallelReduce failed");
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_ParallelReduce)->Arg(1)->Arg(2)->UseRealTime();

// What it costs when there is next to nothing to do.
void BM_ParallelForOfFewItems(benchmark::State& state) {
  ThreadPool pool({.threads = 2});
  for (auto _ : state) {
    const absl::Status status =
        BlockOn(pool, ParallelFor(pool, 0, 4, [](int64_t) {}, {.n_jobs = 2}));
    if (!status.ok()) state.SkipWithError("ParallelFor failed");
  }
}
BENCHMARK(BM_ParallelForOfFewItems)->UseRealTime();

}  // namespace
}  // namespace plait
