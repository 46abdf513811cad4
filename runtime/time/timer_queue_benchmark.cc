// Does a timer cost the same whether ten or a million others are waiting?

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "benchmark/benchmark.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/time/timer_queue.h"

namespace plait {
namespace {

constexpr int64_t kMinute = 60'000'000'000;

// A queue in which `count` timers wait, due at random within a minute.
struct Crowd {
  explicit Crowd(int64_t count) : timers(std::make_unique<Timer[]>(static_cast<size_t>(count))) {
    std::mt19937_64 draw(1);
    for (int64_t i = 0; i < count; ++i) {
      Timer& timer = timers[static_cast<size_t>(i)];
      timer.deadline = Deadline::AtNanos(static_cast<int64_t>(draw() % kMinute));
      queue.Add(timer);
    }
  }

  TimerQueue queue;
  std::unique_ptr<Timer[]> timers;
};

// The random deadlines are drawn beforehand, so that only the queue is measured.
std::vector<Deadline> RandomDeadlines() {
  std::mt19937_64 draw(2);
  std::vector<Deadline> deadlines(4096);
  for (Deadline& deadline : deadlines) {
    deadline = Deadline::AtNanos(static_cast<int64_t>(draw() % kMinute));
  }
  return deadlines;
}

void BM_AddAndCancel(benchmark::State& state) {
  Crowd crowd(state.range(0));
  const std::vector<Deadline> deadlines = RandomDeadlines();
  std::vector<Timer> timers(deadlines.size());
  size_t i = 0;
  for (auto _ : state) {
    Timer& timer = timers[i % timers.size()];
    timer.deadline = deadlines[i % deadlines.size()];
    ++i;
    crowd.queue.Add(timer);
    benchmark::DoNotOptimize(crowd.queue.size());
    crowd.queue.Cancel(timer);
  }
}
BENCHMARK(BM_AddAndCancel)->Arg(10)->Arg(1'000)->Arg(1'000'000);

// Adds a batch, then cancels it in another order, as timeouts do.
void BM_AddBatchThenCancel(benchmark::State& state) {
  Crowd crowd(state.range(0));
  const std::vector<Deadline> deadlines = RandomDeadlines();
  std::vector<Timer> timers(deadlines.size());
  for (auto _ : state) {
    for (size_t i = 0; i < timers.size(); ++i) {
      timers[i].deadline = deadlines[i];
      crowd.queue.Add(timers[i]);
    }
    for (size_t i = 0; i < timers.size(); ++i)
      crowd.queue.Cancel(timers[(i * 1'237) % timers.size()]);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(timers.size()));
}
BENCHMARK(BM_AddBatchThenCancel)->Arg(10)->Arg(1'000)->Arg(1'000'000);

// What firing costs a timer, all levels that it moves down included.
void BM_FireAll(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    Crowd crowd(state.range(0));
    WorkQueue ready;
    state.ResumeTiming();
    for (int64_t now = 0; now <= kMinute; now += kMinute / 1'000) {
      crowd.queue.Advance(Deadline::AtNanos(now), ready);
    }
    if (!crowd.queue.empty()) state.SkipWithError("timers were left");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_FireAll)->Arg(1'000)->Arg(1'000'000);

}  // namespace
}  // namespace plait
