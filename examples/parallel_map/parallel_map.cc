// parallel_map: one function over many items, on one thread and on more of them.
//
// Python needs joblib or Cython's prange for this, as its threads take turns. Here ParallelMap cuts
// the items into chunks, and jobs on a pool of threads take one after the other; the results come
// in the order of the items, whoever made them. Meanwhile the program's main task waits on its own
// loop, which stays free for others.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/timing.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace {

using examples::Color;
using examples::Console;
using examples::Stamp;
using examples::Stopwatch;

struct Plan {
  int64_t items = 200;
  int64_t work = 20'000;
  int64_t jobs = plait::HardwareThreads();
  int64_t chunk = 0;
};

// Hard work with a result: how many steps the numbers from `first` on take to come down to 1, in
// all (the Collatz conjecture says that they do).
int64_t CountSteps(int64_t first, int64_t numbers) {
  int64_t steps = 0;
  for (int64_t start = first; start < first + numbers; ++start) {
    for (int64_t n = start; n > 1; ++steps) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
  }
  return steps;
}

std::vector<int64_t> Items(const Plan& plan) {
  std::vector<int64_t> items;
  for (int64_t i = 0; i < plan.items; ++i) items.push_back(1 + i * plan.work);
  return items;
}

// 1, 2, 4, ... and the number that was asked for.
std::vector<int> JobCounts(int64_t most) {
  std::vector<int> counts;
  for (int64_t n = 1; n < most; n *= 2) counts.push_back(static_cast<int>(n));
  counts.push_back(static_cast<int>(most));
  return counts;
}

void PrintRow(Console& console, const std::string& what, absl::Duration took,
              absl::Duration alone) {
  const double ratio = took > absl::ZeroDuration() ? absl::FDivDuration(alone, took) : 1.0;
  console.Print(absl::StrFormat("%-22s %s   %5.2f x", what, Stamp(took), ratio));
}

plait::Task<absl::Status> Main(Console& console, Plan plan) {
  const int64_t work = plan.work;
  const auto count_steps = [work](int64_t first) { return CountSteps(first, work); };

  const Stopwatch plain;
  std::vector<int64_t> expected;
  for (const int64_t item : Items(plan)) expected.push_back(count_steps(item));
  const absl::Duration alone = plain.elapsed();
  PrintRow(console, "a plain loop", alone, alone);

  plait::ThreadPool pool({.threads = static_cast<int>(plan.jobs), .name = "map"});
  for (const int jobs : JobCounts(plan.jobs)) {
    const Stopwatch watch;
    const std::vector<int64_t> counted = co_await plait::OrReturn(
        plait::ParallelMap(pool, Items(plan), count_steps, {.n_jobs = jobs, .chunk = plan.chunk}));
    PrintRow(console, absl::StrCat("ParallelMap, ", jobs, jobs == 1 ? " job" : " jobs"),
             watch.elapsed(), alone);
    if (counted != expected) co_return absl::InternalError("the results are not those of the loop");
  }

  const Stopwatch watch;
  const int64_t total = co_await plait::OrReturn(plait::ParallelReduce(
      pool, 0, plan.items, int64_t{0},
      [work](int64_t sum, int64_t i) { return sum + CountSteps(1 + i * work, work); },
      std::plus<int64_t>(), {.n_jobs = static_cast<int>(plan.jobs), .chunk = plan.chunk}));
  PrintRow(console, "ParallelReduce", watch.elapsed(), alone);
  int64_t sum = 0;
  for (const int64_t steps : expected) sum += steps;
  if (total != sum) co_return absl::InternalError("the sum is not that of the loop");

  console.Print();
  console.Print(absl::StrFormat("%d numbers take %d steps down to 1, whoever counts them.",
                                plan.items * plan.work, total),
                Color::kBold);
  co_return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  plait::RunOptions options;
  examples::Flags flags("parallel_map",
                        "One function over many items: a plain loop, and jobs on a pool of "
                        "threads, with the same results in the same order.");
  flags.Int("items", &plan.items, 0, 1'000'000, "how many items there are");
  flags.Int("work", &plan.work, 0, 1'000'000, "how many numbers an item stands for");
  flags.Int("jobs", &plan.jobs, 1, plait::ThreadPool::kMostThreads, "the most jobs at once");
  flags.Int("chunk", &plan.chunk, 0, 1'000'000, "items that a job takes at a time; 0: as fits");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  Console console;
  const absl::Status status = plait::Run(Main(console, plan), options);
  if (!status.ok()) console.Print(status.ToString(), Color::kRed);
  return status.ok() ? 0 : 1;
}
