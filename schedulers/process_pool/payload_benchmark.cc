// How far from memcpy is a call with a large argument, a large result, or both?
//
// Each call is timed beside its floors, in turn, and the ratios are its time over theirs:
//   memcpy_ratio: as many copies as cannot be left out, by memcpy, to memory that was written to
//     before. Nothing can be faster.
//   same_ratio: the same copies in one process, with new strings where a call has them. Memory of
//     this size the allocator gets from the system and gives back, and the system clears its pages.
// The calls of Cold are the first of a new pool, whose shared memory has no pages yet either; in
// its same_ratio, too.
//
// With 1 GiB, which takes 6 GiB of memory and is not part of the test:
//   bazel run -c opt //schedulers/process_pool:payload_benchmark -- --benchmark_filter=all
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/run_process_workers.h"

namespace plait {
namespace {

int64_t Length(absl::string_view text) { return static_cast<int64_t>(text.size()); }
std::string Make(int64_t size) { return std::string(static_cast<size_t>(size), 'x'); }
std::string Echo(std::string text) { return text; }

FunctionTable Functions() {
  FunctionTable table;
  table.Add("length", &Length).Add("make", &Make).Add("echo", &Echo);
  return table;
}

ProcessPool NewPool() { return *ProcessPool::Create({.functions = Functions(), .workers = 1}); }

// What stands in for the shared memory.
class Shared {
 public:
  explicit Shared(size_t size, bool warm) : bytes_(new char[size]) {
    if (warm) std::memset(bytes_.get(), 1, size);
  }
  void Write(absl::string_view text) { std::memcpy(bytes_.get(), text.data(), text.size()); }
  char* data() { return bytes_.get(); }

 private:
  // Not a vector, which would write to it.
  const std::unique_ptr<char[]> bytes_;
};

// The text that goes there, and in turn: what is measured, by the benchmark's own time, and its
// floors.
class Comparison {
 public:
  Comparison(benchmark::State& state, int copies)
      : state_(state),
        copies_(copies),
        text_(static_cast<size_t>(state.range(0)), 'x'),
        warm_(text_.size(), true) {}

  const std::string& text() const { return text_; }
  // Of the text's size.
  Shared& warm() { return warm_; }

  void Same(absl::FunctionRef<void()> floor) { same_ += Seconds(floor); }
  void Call(absl::FunctionRef<bool()> call) {
    const int64_t faults = Faults();
    const double seconds = Seconds([&] {
      if (!call()) state_.SkipWithError("a call failed");
    });
    faults_ += Faults() - faults;
    call_ += seconds;
    state_.SetIterationTime(seconds);
    memcpy_ += copies_ * Seconds([&] { warm_.Write(text_); });
  }

  void Report() {
    state_.counters["memcpy_ratio"] = call_ / memcpy_;
    state_.counters["same_ratio"] = call_ / same_;
    state_.counters["faults"] =
        static_cast<double>(faults_) / static_cast<double>(state_.iterations());
    state_.SetBytesProcessed(state_.iterations() * state_.range(0));
  }

 private:
  static double Seconds(absl::FunctionRef<void()> what) {
    const int64_t begin = Clock::Real().Now().nanos();
    what();
    return static_cast<double>(Clock::Real().Now().nanos() - begin) / 1e9;
  }
  // Of pages, in this process.
  static int64_t Faults() {
    rusage usage;
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
  }

  benchmark::State& state_;
  const int copies_;
  const std::string text_;
  Shared warm_;
  double same_ = 0;
  double memcpy_ = 0;
  double call_ = 0;
  int64_t faults_ = 0;
};

// The function looks at its argument where it is: one copy.
void BM_Argument(benchmark::State& state) {
  ProcessPool pool = NewPool();
  EventLoop loop(MakeEpollReactor());
  Comparison comparison(state, 1);
  const auto call = [&] {
    const auto length = BlockOn(loop, pool.Call(Length, absl::string_view(comparison.text())));
    return length.ok() && *length == state.range(0);
  };
  call();
  for (auto _ : state) {
    comparison.Same([&] { comparison.warm().Write(comparison.text()); });
    comparison.Call(call);
  }
  comparison.Report();
}

// Making a string, and two copies.
void BM_Result(benchmark::State& state) {
  ProcessPool pool = NewPool();
  EventLoop loop(MakeEpollReactor());
  Comparison comparison(state, 3);
  const auto call = [&] {
    const auto result = BlockOn(loop, pool.Call(Make, state.range(0)));
    return result.ok() && result->size() == comparison.text().size();
  };
  call();
  for (auto _ : state) {
    comparison.Same([&] {
      comparison.warm().Write(Make(state.range(0)));
      std::string result(comparison.warm().data(), comparison.text().size());
      benchmark::DoNotOptimize(result);
    });
    comparison.Call(call);
  }
  comparison.Report();
}

void FourCopies(absl::string_view text, Shared& there, Shared& back) {
  there.Write(text);
  const std::string argument(there.data(), text.size());
  back.Write(argument);
  std::string result(back.data(), text.size());
  benchmark::DoNotOptimize(result);
}

bool CallEcho(EventLoop& loop, ProcessPool& pool, absl::string_view text) {
  const absl::StatusOr<std::string> result = BlockOn(loop, pool.Call(Echo, text));
  return result.ok() && result->size() == text.size();
}

// Four copies: there, into the function's string, back, and into the caller's.
void BM_Echo(benchmark::State& state) {
  ProcessPool pool = NewPool();
  EventLoop loop(MakeEpollReactor());
  Comparison comparison(state, 4);
  Shared back(comparison.text().size(), true);
  CallEcho(loop, pool, comparison.text());
  for (auto _ : state) {
    comparison.Same([&] { FourCopies(comparison.text(), comparison.warm(), back); });
    comparison.Call([&] { return CallEcho(loop, pool, comparison.text()); });
  }
  comparison.Report();
}

void BM_ColdEcho(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  Comparison comparison(state, 4);
  for (auto _ : state) {
    ProcessPool pool = NewPool();
    CallEcho(loop, pool, "");
    comparison.Same([&] {
      Shared there(comparison.text().size(), false);
      Shared back(comparison.text().size(), false);
      FourCopies(comparison.text(), there, back);
    });
    comparison.Call([&] { return CallEcho(loop, pool, comparison.text()); });
  }
  comparison.Report();
}

BENCHMARK(BM_Argument)->Arg(1 << 20)->Arg(64 << 20)->Arg(1 << 30)->UseManualTime();
BENCHMARK(BM_Result)->Arg(1 << 20)->Arg(64 << 20)->Arg(1 << 30)->UseManualTime();
BENCHMARK(BM_Echo)->Arg(1 << 20)->Arg(64 << 20)->Arg(1 << 30)->UseManualTime();
BENCHMARK(BM_ColdEcho)->Arg(1 << 20)->Arg(64 << 20)->Arg(1 << 30)->UseManualTime();

}  // namespace
}  // namespace plait

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(plait::Functions());
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
