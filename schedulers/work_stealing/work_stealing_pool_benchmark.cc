// What do the pool's smallest steps cost: a post, a spawn and its join, a yield, a message from
// task to task, a wake-up from another thread? And what does it cost while it has nothing to do
// (BM_IdleCpu, in percent of one processor, by each IdlePolicy)?
#include <cstdint>
#include <ctime>
#include <vector>

#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;

WorkStealingPoolOptions Threads(benchmark::State& state) {
  return {.threads = static_cast<int>(state.range(0))};
}

Task<void> Nothing() { co_return; }

Task<void> SpawnAndJoin(int64_t count) {
  for (int64_t i = 0; i < count; ++i) co_await Spawn(Nothing());
}

void BM_SpawnAndJoin(benchmark::State& state) {
  WorkStealingPool pool(Threads(state));
  constexpr int64_t kBatch = 20'000;
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
  WorkStealingPool pool(Threads(state));
  constexpr int64_t kBatch = 20'000;
  for (auto _ : state) BlockOn(pool, SpawnMany(kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_SpawnManyAndJoin)->Arg(1)->Arg(2)->UseRealTime();

Task<void> YieldFor(int64_t count) {
  for (int64_t i = 0; i < count; ++i) co_await Yield();
}

void BM_Yield(benchmark::State& state) {
  WorkStealingPool pool(Threads(state));
  constexpr int64_t kBatch = 100'000;
  for (auto _ : state) BlockOn(pool, Gather(YieldFor(kBatch), YieldFor(kBatch)));
  state.SetItemsProcessed(state.iterations() * 2 * kBatch);
}
BENCHMARK(BM_Yield)->Arg(1)->Arg(2)->UseRealTime();

Task<void> Say(Channel<int>* to, Channel<int>* from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    static_cast<void>(co_await to->Send(1));
    static_cast<void>(co_await from->Receive());
  }
}

Task<void> Echo(Channel<int>* from, Channel<int>* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    static_cast<void>(co_await from->Receive());
    static_cast<void>(co_await to->Send(1));
  }
}

void BM_PingPong(benchmark::State& state) {
  WorkStealingPool pool(Threads(state));
  constexpr int64_t kBatch = 50'000;
  for (auto _ : state) {
    Channel<int> there(1);
    Channel<int> back(1);
    BlockOn(pool, Gather(Say(&there, &back, kBatch), Echo(&there, &back, kBatch)));
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_PingPong)->Arg(1)->Arg(2)->UseRealTime();

// From a thread of our own to the pool and back: the other thread looks for the answer without
// sleeping.
void BM_PostFromOutside(benchmark::State& state) {
  WorkStealingPool pool({.threads = 2, .idle = static_cast<IdlePolicy>(state.range(0))});
  struct Answer : WorkItem {
    Atomic<bool> there{false};
  } answer;
  answer.run = [](WorkItem& item) noexcept {
    static_cast<Answer&>(item).there.store(true, internal::kRelease);
  };
  for (auto _ : state) {
    answer.there.store(false, internal::kRelaxed);
    pool.Schedule(answer);
    while (!answer.there.load(internal::kAcquire)) internal::SpinWait(0);
  }
}
BENCHMARK(BM_PostFromOutside)->Arg(0)->Arg(1)->Arg(2)->UseRealTime();

void BM_IdleCpu(benchmark::State& state) {
  WorkStealingPool pool({.threads = 8, .idle = static_cast<IdlePolicy>(state.range(0))});
  BlockOn(pool, SpawnMany(1000));
  double seconds = 0;
  double busy = 0;
  for (auto _ : state) {
    const std::clock_t cpu = std::clock();
    const Deadline before = Clock::Real().Now();
    BlockOn(pool, []() -> Task<void> { static_cast<void>(co_await Sleep(absl::Seconds(1))); }());
    seconds += absl::ToDoubleSeconds(Clock::Real().Now().Since(before));
    busy += static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  }
  state.counters["percent"] = 100 * busy / seconds;
}
BENCHMARK(BM_IdleCpu)->Arg(0)->Arg(1)->Arg(2)->UseRealTime()->Iterations(1);

}  // namespace
}  // namespace plait
