// What does it cost to lock, to hand over, to let go: Mutex, Semaphore and Event, alone and between
// tasks on one EventLoop?
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

constexpr int64_t kBatch = 100'000;

Task<void> LockAndUnlock(Mutex& mutex, int64_t times) {
  for (int64_t i = 0; i < times; ++i) {
    const MutexGuard guard = co_await mutex.Lock();
    benchmark::DoNotOptimize(guard.ok());
  }
}

// Nobody else wants it: a lock and an unlock.
void BM_MutexUncontended(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  Mutex mutex;
  for (auto _ : state) BlockOn(loop, LockAndUnlock(mutex, kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_MutexUncontended);

void BM_MutexTryLock(benchmark::State& state) {
  Mutex mutex;
  for (auto _ : state) {
    const MutexGuard guard = mutex.TryLock();
    benchmark::DoNotOptimize(guard.ok());
  }
}
BENCHMARK(BM_MutexTryLock);

Task<void> LockAcrossYield(Mutex& mutex, int64_t times) {
  for (int64_t i = 0; i < times; ++i) {
    const MutexGuard guard = co_await mutex.Lock();
    co_await Yield();
  }
}

// Always held across a yield, so every lock waits and is handed over. The yield is in the time.
void BM_MutexContended(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  const int64_t tasks = state.range(0);
  for (auto _ : state) {
    Mutex mutex;
    std::vector<Task<void>> all;
    for (int64_t i = 0; i < tasks; ++i) all.push_back(LockAcrossYield(mutex, kBatch / tasks));
    BlockOn(loop, Gather(std::move(all)));
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_MutexContended)->Arg(2)->Arg(16);

Task<void> AcquireAndRelease(Semaphore& semaphore, int64_t times) {
  for (int64_t i = 0; i < times; ++i) {
    const SemaphoreGuard guard = co_await semaphore.Acquire();
    benchmark::DoNotOptimize(guard.ok());
  }
}

void BM_SemaphoreUncontended(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  Semaphore semaphore(2);
  for (auto _ : state) BlockOn(loop, AcquireAndRelease(semaphore, kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_SemaphoreUncontended);

Task<void> PassOn(Semaphore& from, Semaphore& to, int64_t times) {
  for (int64_t i = 0; i < times; ++i) {
    SemaphoreGuard permit = co_await from.Acquire();
    permit.Keep();
    to.Release();
  }
}

// Two tasks that hand one permit back and forth: a round trip is two waits.
void BM_SemaphoreHandOver(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) {
    Semaphore ping(1);
    Semaphore pong(0);
    BlockOn(loop, Gather(PassOn(ping, pong, kBatch), PassOn(pong, ping, kBatch)));
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_SemaphoreHandOver);

Task<void> WaitFor(Event& event) {
  const absl::Status status = co_await event.Wait();
  benchmark::DoNotOptimize(status.ok());
}

Task<void> FanOut(int64_t waiters) {
  Event event;
  std::vector<JoinHandle<void>> tasks;
  tasks.reserve(static_cast<size_t>(waiters));
  for (int64_t i = 0; i < waiters; ++i) tasks.push_back(Spawn(WaitFor(event)));
  co_await Yield();  // they run up to their wait
  event.Set();
  for (auto& task : tasks) co_await task;
}

// So many tasks wait, one Set lets them go; spawning and joining them is in the time.
void BM_EventFanOut(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) BlockOn(loop, FanOut(state.range(0)));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_EventFanOut)->Arg(10)->Arg(10'000);

Task<void> WaitForSet(Event& event, int64_t times) {
  for (int64_t i = 0; i < times; ++i) {
    const absl::Status status = co_await event.Wait();
    benchmark::DoNotOptimize(status.ok());
  }
}

void BM_EventThatIsSet(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  Event event(true);
  for (auto _ : state) BlockOn(loop, WaitForSet(event, kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_EventThatIsSet);

}  // namespace
}  // namespace plait
