// What do the runtime's smallest steps cost on one EventLoop: a post, a yield, an await, a spawn, a
// sleep, a wake-up?

#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

// A work item that posts itself again until the benchmark has had enough.
struct Repeater : WorkItem {
  EventLoop* loop = nullptr;
  int64_t left = 0;
  static void Again(WorkItem& item) noexcept {
    auto& self = static_cast<Repeater&>(item);
    if (--self.left > 0) self.loop->Schedule(self);
  }
};

void BM_PostAndRun(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  constexpr int64_t kBatch = 100'000;
  for (auto _ : state) {
    Repeater item;
    item.run = &Repeater::Again;
    item.loop = &loop;
    item.left = kBatch;
    loop.Schedule(item);
    if (!loop.Run().ok()) state.SkipWithError("the loop did not run");
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_PostAndRun);

Task<void> YieldFor(int64_t count) {
  for (int64_t i = 0; i < count; ++i) co_await Yield();
}

// Two tasks that take turns: a round trip is two yields.
void BM_YieldRoundTrip(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  constexpr int64_t kBatch = 100'000;
  for (auto _ : state) BlockOn(loop, Gather(YieldFor(kBatch), YieldFor(kBatch)));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_YieldRoundTrip);

Task<int64_t> Ready(int64_t n) { co_return n; }

Task<int64_t> AwaitReady(int64_t count) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += co_await Ready(i);
  co_return sum;
}

void BM_AwaitReadyTask(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  constexpr int64_t kBatch = 100'000;
  for (auto _ : state) benchmark::DoNotOptimize(BlockOn(loop, AwaitReady(kBatch)));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_AwaitReadyTask);

Task<void> Nothing() { co_return; }

Task<void> SpawnAndJoin(int64_t count) {
  for (int64_t i = 0; i < count; ++i) co_await Spawn(Nothing());
}

void BM_SpawnAndJoin(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  constexpr int64_t kBatch = 10'000;
  for (auto _ : state) BlockOn(loop, SpawnAndJoin(kBatch));
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(BM_SpawnAndJoin);

Task<void> GatherMany(int64_t count) {
  std::vector<Task<void>> tasks;
  tasks.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) tasks.push_back(Nothing());
  co_await Gather(std::move(tasks));
}

// A child's share of a Gather of 1,000.
void BM_GatherOfAThousand(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) BlockOn(loop, GatherMany(1'000));
  state.SetItemsProcessed(state.iterations() * 1'000);
}
BENCHMARK(BM_GatherOfAThousand);

Task<absl::Status> SleepLong() {
  co_await OrReturn(Sleep(absl::Hours(24)));
  co_return absl::OkStatus();
}

Task<void> SpawnSleepers(int64_t count, benchmark::State& state) {
  const auto before = mallinfo2();
  std::vector<JoinHandle<absl::Status>> sleepers;
  sleepers.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) sleepers.push_back(Spawn(SleepLong()));
  co_await Yield();  // they run up to their sleep
  const auto after = mallinfo2();
  const double bytes =
      static_cast<double>((after.uordblks + after.hblkhd) - (before.uordblks + before.hblkhd)) -
      static_cast<double>(count) * sizeof(JoinHandle<absl::Status>);
  state.counters["bytes_per_task"] = bytes / static_cast<double>(count);
  for (auto& sleeper : sleepers) sleeper.Cancel();
}

// Spawns this many tasks, puts them to sleep, cancels and joins them all; counts the heap that each
// holds while asleep.
void BM_SleepingTasks(benchmark::State& state) {
  for (auto _ : state) {
    EventLoop loop(MakeEpollReactor());
    BlockOn(loop, SpawnSleepers(state.range(0), state));
    if (!loop.Close().ok()) state.SkipWithError("the loop did not close");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_SleepingTasks)
    ->Arg(1'000)
    ->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

// A loop on another thread that answers each post with a post back: one round trip is two wake-ups
// of a sleeping loop.
struct Ping : WorkItem {
  EventLoop* other = nullptr;
  Ping* answer = nullptr;
  int64_t left = 0;
  absl::Notification* done = nullptr;
  static void Hit(WorkItem& item) noexcept {
    auto& self = static_cast<Ping&>(item);
    if (--self.left == 0) {
      if (self.done != nullptr) return self.done->Notify();
      return;
    }
    self.other->Schedule(*self.answer);
  }
};

void BM_CrossThreadWakeRoundTrip(benchmark::State& state) {
  EventLoop here(MakeEpollReactor());
  EventLoop there(MakeEpollReactor());
  Thread here_thread = StartThread("here", [&] { here.RunForever().IgnoreError(); });
  Thread there_thread = StartThread("there", [&] { there.RunForever().IgnoreError(); });
  constexpr int64_t kBatch = 1'000;
  for (auto _ : state) {
    absl::Notification done;
    Ping ping;
    Ping pong;
    ping.run = pong.run = &Ping::Hit;
    ping.other = &there;
    ping.answer = &pong;
    ping.left = kBatch;
    ping.done = &done;
    pong.other = &here;
    pong.answer = &ping;
    pong.left = kBatch + 1;
    here.Schedule(ping);
    done.WaitForNotification();
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
  here.Stop();
  there.Stop();
  here_thread.join();
  there_thread.join();
}
BENCHMARK(BM_CrossThreadWakeRoundTrip)->UseRealTime();

}  // namespace
}  // namespace plait
