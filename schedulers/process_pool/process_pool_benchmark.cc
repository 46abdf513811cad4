// What does a call of another process cost: one at a time, beside a bare futex ping-pong of two
// processes; many at once; and as an item of a Map?
//
// The floors are measured in the same run, so that the counters that end in _ratio are true however
// fast the machine is just now: the time of a call over that of a round of the ping-pong in which
// both sides sleep (two context switches), with the same pause before it, and over that of the one
// in which both spin.
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/ping_pong.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/run_process_workers.h"

namespace plait {
namespace {

using internal::Latencies;
using internal::PingPong;

int Same(int n) { return n; }

FunctionTable Functions() {
  FunctionTable table;
  table.Add("same", &Same);
  return table;
}

ProcessPool NewPool(int64_t workers) {
  return *ProcessPool::Create({.functions = Functions(), .workers = static_cast<int>(workers)});
}

void Report(benchmark::State& state, Latencies calls, absl::Duration pause = absl::ZeroDuration()) {
  constexpr int kRounds = 5000;
  Latencies parked = PingPong::Measure(PingPong::Waits::kParked, kRounds, pause);
  Latencies spinning = PingPong::Measure(PingPong::Waits::kSpins, kRounds);
  state.counters["p50_us"] = calls.At(0.5);
  state.counters["p99_us"] = calls.At(0.99);
  state.counters["parked_p50_us"] = parked.At(0.5);
  state.counters["parked_p99_us"] = parked.At(0.99);
  state.counters["spinning_p50_us"] = spinning.At(0.5);
  state.counters["spinning_p99_us"] = spinning.At(0.99);
  state.counters["parked_p50_ratio"] = calls.At(0.5) / parked.At(0.5);
  state.counters["parked_p99_ratio"] = calls.At(0.99) / parked.At(0.99);
  state.counters["spinning_p50_ratio"] = calls.At(0.5) / spinning.At(0.5);
  state.counters["spinning_p99_ratio"] = calls.At(0.99) / spinning.At(0.99);
}

// Each after a pause, where that is not zero.
Task<void> RoundTrips(benchmark::State& state, ProcessPool& pool, absl::Duration pause,
                      Latencies& latencies) {
  for (auto _ : state) {
    if (pause > absl::ZeroDuration()) {
      state.PauseTiming();
      (co_await Sleep(pause)).IgnoreError();
      state.ResumeTiming();
    }
    latencies.Begin();
    const absl::StatusOr<int> result = co_await pool.Call(Same, 1);
    latencies.End();
    if (!result.ok()) state.SkipWithError("a call failed");
  }
}

// One after the other: who waits spins for some microseconds.
void BM_RoundTrip(benchmark::State& state) {
  Latencies latencies;
  {
    ProcessPool pool = NewPool(state.range(0));
    EventLoop loop(MakeEpollReactor());
    BlockOn(loop, RoundTrips(state, pool, absl::ZeroDuration(), latencies));
  }
  Report(state, std::move(latencies));
}
BENCHMARK(BM_RoundTrip)->Arg(1)->Arg(2)->UseRealTime();

// Each finds the worker asleep, and its processor too.
void BM_RoundTripAfterAPause(benchmark::State& state) {
  constexpr absl::Duration kPause = absl::Microseconds(500);
  Latencies latencies;
  {
    ProcessPool pool = NewPool(state.range(0));
    EventLoop loop(MakeEpollReactor());
    BlockOn(loop, RoundTrips(state, pool, kPause, latencies));
  }
  Report(state, std::move(latencies), kPause);
}
BENCHMARK(BM_RoundTripAfterAPause)->Arg(1)->Arg(2)->Iterations(2000)->UseRealTime();

Task<void> CallMany(ProcessPool* pool, int calls) {
  for (int i = 0; i < calls; ++i) {
    const absl::StatusOr<int> result = co_await pool->Call(Same, 1);
    benchmark::DoNotOptimize(result);
  }
}

// By 256 tasks at once.
void BM_Pipelined(benchmark::State& state) {
  constexpr int kTasks = 256;
  constexpr int kCallsEach = 16;
  ProcessPool pool = NewPool(state.range(0));
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) {
    std::vector<Task<void>> tasks;
    for (int i = 0; i < kTasks; ++i) tasks.push_back(CallMany(&pool, kCallsEach));
    BlockOn(loop, Gather(std::move(tasks)));
  }
  state.SetItemsProcessed(state.iterations() * kTasks * kCallsEach);
}
BENCHMARK(BM_Pipelined)->Arg(1)->Arg(2)->UseRealTime();

// How many workers, and items in a chunk.
void BM_Map(benchmark::State& state) {
  const int64_t chunk = state.range(1);
  std::vector<int> items(static_cast<size_t>(chunk) << 10);
  std::iota(items.begin(), items.end(), 0);
  ProcessPool pool = NewPool(state.range(0));
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) {
    MapOptions options;
    options.chunk = static_cast<size_t>(chunk);
    const absl::StatusOr<std::vector<int>> results =
        BlockOn(loop, pool.Map(Same, absl::MakeSpan(items), std::move(options)));
    if (!results.ok()) state.SkipWithError("a call failed");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(items.size()));
}
BENCHMARK(BM_Map)->ArgsProduct({{1, 2}, {1, 256}})->ArgNames({"workers", "chunk"})->UseRealTime();

// From nothing to the first answer. That it ends everything again is not timed.
void BM_FirstResultAfterCreate(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    std::optional<EventLoop> loop(std::in_place, MakeEpollReactor());
    state.ResumeTiming();
    std::optional<ProcessPool> pool(NewPool(state.range(0)));
    const absl::StatusOr<int> result = BlockOn(*loop, pool->Call(Same, 1));
    state.PauseTiming();
    if (!result.ok()) state.SkipWithError("a call failed");
    pool.reset();
    loop.reset();  // which ends the processes
    state.ResumeTiming();
  }
}
BENCHMARK(BM_FirstResultAfterCreate)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace plait

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(plait::Functions());
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
