// What does it cost to have a function run on a blocking thread, and to come back?
#include <cstdint>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "benchmark/benchmark.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/blocking/blocking_pool.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

void BM_PostToAnIdleThread(benchmark::State& state) {
  BlockingPool pool({.max_threads = 1});
  for (auto _ : state) {
    absl::Notification ran;
    pool.Post([&] { ran.Notify(); });
    ran.WaitForNotification();
  }
}
BENCHMARK(BM_PostToAnIdleThread)->UseRealTime();

Task<void> OffloadOften(int64_t count) {
  for (int64_t i = 0; i < count; ++i) co_await Offload([] {});
}

Task<void> OffloadCancellableOften(int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    static_cast<void>(co_await Offload([] { return absl::OkStatus(); }));
  }
}

constexpr int64_t kBatch = 200;

void BM_OffloadRoundTripFromALoop(benchmark::State& state) {
  for (auto _ : state) plait::Run(OffloadOften(kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_OffloadRoundTripFromALoop)->UseRealTime();

void BM_OffloadCancellableRoundTripFromALoop(benchmark::State& state) {
  for (auto _ : state) plait::Run(OffloadCancellableOften(kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_OffloadCancellableRoundTripFromALoop)->UseRealTime();

void BM_OffloadRoundTripFromAPool(benchmark::State& state) {
  ThreadPool pool({.threads = 1});
  for (auto _ : state) BlockOn(pool, OffloadOften(kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_OffloadRoundTripFromAPool)->UseRealTime();

}  // namespace
}  // namespace plait
