// What do the pool's smallest steps cost: a post, a spawn, a wake-up from another thread?
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/synchronization/notification.h"
#include "benchmark/benchmark.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

using internal::Atomic;

// A work item that posts itself again until it has had enough.
struct Repeater : WorkItem {
  Executor* executor = nullptr;
  int64_t left = 0;
  Atomic<int>* running = nullptr;
  absl::Notification* done = nullptr;

  static void Again(WorkItem& item) noexcept {
    auto& self = static_cast<Repeater&>(item);
    if (--self.left > 0) return self.executor->Schedule(self);
    if (self.running->fetch_sub(1, internal::kAcqRel) == 1) self.done->Notify();
  }
};

// As many items as threads, so that all threads are busy.
void BM_PostAndRun(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(0));
  ThreadPool pool({.threads = threads});
  constexpr int64_t kBatch = 20'000;
  for (auto _ : state) {
    std::vector<std::unique_ptr<Repeater>> items;
    Atomic<int> running{threads};
    absl::Notification done;
    for (int i = 0; i < threads; ++i) {
      items.push_back(std::make_unique<Repeater>());
      items.back()->run = &Repeater::Again;
      items.back()->executor = &pool;
      items.back()->left = kBatch;
      items.back()->running = &running;
      items.back()->done = &done;
    }
    for (const auto& item : items) pool.Schedule(*item);
    done.WaitForNotification();
  }
  state.SetItemsProcessed(state.iterations() * kBatch * threads);
}
BENCHMARK(BM_PostAndRun)->Arg(1)->Arg(2)->Arg(8)->UseRealTime();

Task<void> Nothing() { co_return; }

Task<void> SpawnAndJoin(int64_t count) {
  for (int64_t i = 0; i < count; ++i) co_await Spawn(Nothing());
}

void BM_SpawnAndJoin(benchmark::State& state) {
  ThreadPool pool({.threads = static_cast<int>(state.range(0))});
  constexpr int64_t kBatch = 5'000;
  for (auto _ : state) BlockOn(pool, SpawnAndJoin(kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_SpawnAndJoin)->Arg(1)->Arg(2)->UseRealTime();

Task<void> SpawnMany(int64_t count) {
  std::vector<JoinHandle<void>> handles;
  handles.reserve(count);
  for (int64_t i = 0; i < count; ++i) handles.push_back(Spawn(Nothing()));
  for (JoinHandle<void>& handle : handles) co_await handle;
}

void BM_SpawnManyAndJoin(benchmark::State& state) {
  ThreadPool pool({.threads = static_cast<int>(state.range(0))});
  constexpr int64_t kBatch = 5'000;
  for (auto _ : state) BlockOn(pool, SpawnMany(kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_SpawnManyAndJoin)->Arg(1)->Arg(2)->UseRealTime();

// From a thread of our own to a pool that spins (0) or is parked (1), and back: the other thread
// looks for the answer without sleeping.
void BM_CrossThreadWake(benchmark::State& state) {
  ThreadPool pool({.threads = 1});
  const bool parked = state.range(0) == 1;
  struct Answer : WorkItem {
    Atomic<bool> there{false};
  } answer;
  answer.run = [](WorkItem& item) noexcept {
    static_cast<Answer&>(item).there.store(true, internal::kRelease);
  };
  for (auto _ : state) {
    if (parked) {
      state.PauseTiming();
      const Deadline until = Clock::Real().Now() + 5 * ThreadPool::kSpin;
      while (Clock::Real().Now() < until) internal::SpinWait(0);
      state.ResumeTiming();
    }
    answer.there.store(false, internal::kRelaxed);
    pool.Schedule(answer);
    while (!answer.there.load(internal::kAcquire)) internal::SpinWait(0);
  }
}
BENCHMARK(BM_CrossThreadWake)->Arg(0)->Arg(1)->UseRealTime();

Task<void> YieldFor(int64_t count) {
  for (int64_t i = 0; i < count; ++i) co_await Yield();
}

void BM_YieldRoundTrip(benchmark::State& state) {
  ThreadPool pool({.threads = static_cast<int>(state.range(0))});
  constexpr int64_t kBatch = 10'000;
  for (auto _ : state) BlockOn(pool, Gather(YieldFor(kBatch), YieldFor(kBatch)));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_YieldRoundTrip)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace plait
