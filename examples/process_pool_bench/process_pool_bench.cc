// process_pool_bench: how fast are functions called in other processes?
//
// Many calls of an empty function at once, and then one after the other, each a round trip to
// another process. With --chunk the first part is a Map, whose items travel many at a time.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/timing.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/run_process_workers.h"
#include "plait/schedulers/run.h"

namespace {

int Same(int n) { return n; }

plait::FunctionTable Functions() {
  plait::FunctionTable functions;
  functions.Add("same", &Same);
  return functions;
}

struct Options {
  int64_t workers = 2;
  int64_t calls = 100'000;
  int64_t chunk = 1;
  int64_t in_flight = 256;
  int64_t round_trips = 10'000;
};

struct Report {
  absl::Duration start;
  absl::Duration all;
  std::vector<absl::Duration> round_trips;  // sorted
};

// Calls one after the other until `*left` are none.
plait::Task<absl::Status> CallAll(plait::ProcessPool& pool, int64_t* left) {
  while ((*left)-- > 0) co_await plait::OrReturn(pool.Call(Same, 1));
  co_return absl::OkStatus();
}

plait::Task<absl::Status> ManyCalls(plait::ProcessPool& pool, const Options& options) {
  if (options.chunk > 1) {
    std::vector<int> items(static_cast<size_t>(options.calls), 1);
    plait::MapOptions map;
    map.chunk = static_cast<size_t>(options.chunk);
    const std::vector<int> results =
        co_await plait::OrReturn(pool.Map(Same, std::move(items), std::move(map)));
    if (results.size() == static_cast<size_t>(options.calls)) co_return absl::OkStatus();
    co_return absl::InternalError("results are missing");
  }
  int64_t left = options.calls;
  std::vector<plait::Task<absl::Status>> callers;
  for (int64_t i = 0; i < options.in_flight; ++i) callers.push_back(CallAll(pool, &left));
  co_return co_await plait::Gather(std::move(callers));
}

plait::Task<absl::StatusOr<Report>> Main(plait::ProcessPool pool, Options options,
                                         examples::Stopwatch since_start) {
  Report report;
  co_await plait::OrReturn(pool.Call(Same, 0));
  report.start = since_start.elapsed();
  const examples::Stopwatch watch;
  co_await plait::OrReturn(ManyCalls(pool, options));
  report.all = watch.elapsed();
  for (int64_t i = 0; i < options.round_trips; ++i) {
    const examples::Stopwatch one;
    co_await plait::OrReturn(pool.Call(Same, 1));
    report.round_trips.push_back(one.elapsed());
  }
  std::sort(report.round_trips.begin(), report.round_trips.end());
  co_await plait::OrReturn(pool.Drain());
  co_return report;
}

double Micros(const std::vector<absl::Duration>& sorted, double part) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return absl::ToDoubleMicroseconds(sorted[static_cast<size_t>(last * part)]);
}

}  // namespace

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(Functions());
  Options options;
  plait::RunOptions run;
  examples::Flags flags("process_pool_bench",
                        "Calls an empty function in other processes, many times at once and then "
                        "one after the other.");
  flags.Int("workers", &options.workers, 1, 256, "how many processes");
  flags.Int("calls", &options.calls, 1, 1'000'000'000, "how many calls at once, all in all");
  flags.Int("chunk", &options.chunk, 1, 1'000'000, "how many of them travel together");
  flags.Int("in_flight", &options.in_flight, 1, 1'000'000,
            "how many calls are made at the same time, where the chunk is 1");
  flags.Int("round_trips", &options.round_trips, 1, 1'000'000'000,
            "how many calls one after the other");
  examples::AddReactorFlag(flags, &run);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  examples::Console console;
  const examples::Stopwatch since_start;
  absl::StatusOr<plait::ProcessPool> pool = plait::ProcessPool::Create(
      {.functions = Functions(), .workers = static_cast<int>(options.workers)});
  if (!pool.ok()) {
    console.Print(pool.status().ToString(), examples::Color::kRed);
    return 1;
  }
  const absl::StatusOr<Report> report =
      plait::Run(Main(*std::move(pool), options, since_start), run);
  if (!report.ok()) {
    console.Print(report.status().ToString(), examples::Color::kRed);
    return 1;
  }
  console.Print(
      absl::StrFormat("First result after %.2f ms; then %d calls, %d at once or in "
                      "chunks of %d, and %d one after the other.",
                      absl::ToDoubleMilliseconds(report->start), options.calls, options.in_flight,
                      options.chunk, options.round_trips));
  console.Print(absl::StrFormat(
      "process_pool workers=%d calls=%d calls_per_second=%.0f p50_us=%.2f p99_us=%.2f",
      options.workers, options.calls,
      static_cast<double>(options.calls) / absl::ToDoubleSeconds(report->all),
      Micros(report->round_trips, 0.5), Micros(report->round_trips, 0.99)));
  return 0;
}
