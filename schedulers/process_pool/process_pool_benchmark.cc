// What does a call of another process cost: an empty one, many at once, a Map's item, and one whose
// argument and result are large? And next to the floor of the last: the same four copies by memcpy
// in one process.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/run_process_workers.h"

namespace plait {
namespace {

int Same(int n) { return n; }
std::string Echo(std::string text) { return text; }

FunctionTable Functions() {
  FunctionTable table;
  table.Add("same", &Same).Add("echo", &Echo);
  return table;
}

ProcessPool NewPool(int64_t workers) {
  return *ProcessPool::Create({.functions = Functions(), .workers = static_cast<int>(workers)});
}

// One after the other, in one task.
void BM_RoundTrip(benchmark::State& state) {
  ProcessPool pool = NewPool(state.range(0));
  EventLoop loop(MakeEpollReactor());
  BlockOn(loop, [](benchmark::State& s, ProcessPool& called) -> Task<void> {
    for (auto _ : s) {
      if (!(co_await called.Call(Same, 1)).ok()) s.SkipWithError("a call failed");
    }
  }(state, pool));
}
BENCHMARK(BM_RoundTrip)->Arg(1)->Arg(2)->UseRealTime();

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

void BM_MapInChunksOf256(benchmark::State& state) {
  constexpr int kItems = 1 << 18;
  ProcessPool pool = NewPool(state.range(0));
  EventLoop loop(MakeEpollReactor());
  std::vector<int> items(kItems);
  std::iota(items.begin(), items.end(), 0);
  for (auto _ : state) {
    MapOptions options;
    options.chunk = 256;
    const absl::StatusOr<std::vector<int>> results =
        BlockOn(loop, pool.Map(Same, absl::MakeSpan(items), std::move(options)));
    if (!results.ok()) state.SkipWithError("a call failed");
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_MapInChunksOf256)->Arg(1)->Arg(2)->UseRealTime();

// A string there and back.
void BM_EchoOfALargeString(benchmark::State& state) {
  ProcessPool pool = NewPool(1);
  EventLoop loop(MakeEpollReactor());
  const std::string text(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) {
    const absl::StatusOr<std::string> result =
        BlockOn(loop, pool.Call(Echo, absl::string_view(text)));
    if (!result.ok() || result->size() != text.size()) state.SkipWithError("a call failed");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_EchoOfALargeString)->Arg(1 << 20)->Arg(64 << 20)->UseRealTime();

// The floor: into shared memory, out of it into a new string, and the same back.
void BM_FloorFourCopies(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  const std::string text(size, 'x');
  std::vector<char> there(size);
  std::vector<char> back(size);
  for (auto _ : state) {
    std::memcpy(there.data(), text.data(), size);
    std::string argument(there.data(), size);
    benchmark::DoNotOptimize(argument);
    std::memcpy(back.data(), argument.data(), size);
    std::string result(back.data(), size);
    benchmark::DoNotOptimize(result);
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_FloorFourCopies)->Arg(1 << 20)->Arg(64 << 20)->UseRealTime();

}  // namespace
}  // namespace plait

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(plait::Functions());
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
