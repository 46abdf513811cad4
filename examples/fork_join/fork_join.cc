// fork_join: work that is divided again and again, down to pieces of nanoseconds, on all threads of
// a WorkStealingPool.
//
// Each workload is there in two styles: as coroutines, which may wait on the way, and as plain
// functions. A fork that no other thread takes costs little more than a call, so neither style has
// a size below which it stops forking.
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "plait/examples/fork_join/workload.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/timing.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/work_stealing/peers/workloads.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace {

using examples::Color;
using examples::Console;
using examples::Stopwatch;
using examples::Workload;
using plait::Task;
using plait::WorkStealingPool;

constexpr int kMostThreads = 256;

struct Plan {
  std::string workload = "all";
  std::string style = "coroutines";
  std::string reactor;  // empty: none
  int64_t n = -1;
  int64_t threads = plait::HardwareThreads();
};

Task<int64_t> AsTask(const Workload& workload, const std::string& style, int n) {
  if (style == "coroutines") return workload.coroutines(n);
  return
      [](const Workload& w, int size) -> Task<int64_t> { co_return w.closures(size); }(workload, n);
}

struct Measured {
  absl::Duration took;
  std::string line;  // for programs
};

// A run of one workload on so many threads. An answer that is wrong is an error.
absl::StatusOr<Measured> RunOne(Console& console, const Workload& workload, int n, const Plan& plan,
                                int threads) {
  const std::string& style = plan.style;
  console.Progress(absl::StrFormat("%s(%d) as %s, %d threads", workload.name, n, style, threads));
  plait::WorkStealingPoolOptions options;
  options.threads = threads;
  options.name = "fork_join";
  if (!plan.reactor.empty()) options.reactor = [&] { return plait::MakeReactor(plan.reactor); };
  absl::StatusOr<std::unique_ptr<WorkStealingPool>> pool =
      WorkStealingPool::Create(std::move(options));
  if (!pool.ok()) return pool.status();
  peers::ForgetPeak();  // which other workloads had
  // So that all threads run, and have their memory.
  plait::BlockOn(**pool, AsTask(workload, style, WarmUpSize(workload, n)));
  const Stopwatch watch;
  const int64_t result = plait::BlockOn(**pool, AsTask(workload, style, n));
  const absl::Duration took = watch.elapsed();
  if (const int64_t answer = workload.answer(n); result != answer) {
    return absl::InternalError(absl::StrFormat("%s(%d) as %s on %d threads came to %d and not %d",
                                               workload.name, n, style, threads, result, answer));
  }
  console.Progress("");
  return Measured{
      took,
      absl::StrFormat("fork_join workload=%s n=%d threads=%d seconds=%.3f result=%d peak_mib=%d",
                      workload.name, n, threads, absl::ToDoubleSeconds(took), result,
                      static_cast<int>(std::ceil(peers::PeakMib())))};
}

// All workloads, on one thread and on all: a table for people, and then the lines for programs.
absl::Status RunAll(Console& console, const Plan& plan, int threads) {
  console.Print(
      absl::StrFormat("All workloads as %s, on one thread and on %d:", plan.style, threads),
      Color::kBold);
  console.Print(absl::StrFormat("| %-12s | 1 thread, s | %3d threads, s | times faster |",
                                plan.style, threads));
  console.Print("|:-------------|------------:|---------------:|-------------:|");
  std::vector<std::string> lines;
  for (const Workload& workload : examples::Workloads()) {
    const int n = workload.moderate;
    const absl::StatusOr<Measured> one = RunOne(console, workload, n, plan, 1);
    if (!one.ok()) return one.status();
    const absl::StatusOr<Measured> all = RunOne(console, workload, n, plan, threads);
    if (!all.ok()) return all.status();
    const double faster =
        all->took > absl::ZeroDuration() ? absl::FDivDuration(one->took, all->took) : 1;
    console.Print(absl::StrFormat(
        "| %-12s | %11.4f | %14.4f | %12.2f |", absl::StrCat(workload.name, "(", n, ")"),
        absl::ToDoubleSeconds(one->took), absl::ToDoubleSeconds(all->took), faster));
    lines.push_back(one->line);
    lines.push_back(all->line);
  }
  console.Print();
  for (const std::string& line : lines) console.Print(line);
  return absl::OkStatus();
}

absl::Status Run(const Plan& plan) {
  Console console;
  const int threads = static_cast<int>(plan.threads);
  if (plan.workload == "all") return RunAll(console, plan, threads);
  for (const Workload& workload : examples::Workloads()) {
    if (workload.name != plan.workload) continue;
    const int n = plan.n < 0 ? workload.moderate : static_cast<int>(plan.n);
    const absl::StatusOr<Measured> run = RunOne(console, workload, n, plan, threads);
    if (!run.ok()) return run.status();
    console.Print(run->line);
    return absl::OkStatus();
  }
  return absl::InternalError("no such workload");
}

std::string SizesHelp() {
  std::string help = "how large it is; not given:";
  for (const Workload& workload : examples::Workloads()) {
    absl::StrAppend(&help, help.back() == ':' ? " " : ", ", workload.moderate, " for ",
                    workload.name);
  }
  return help;
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  examples::Flags flags("fork_join",
                        "Work that is divided down to its smallest pieces, on the threads of a\n"
                        "work-stealing pool. Without a workload: all of them, with a table of how\n"
                        "much faster all threads are than one.");
  flags.Choice("workload", &plan.workload, {"fib", "nqueens", "matmul", "skynet", "all"},
               "what is worked out");
  flags.Int("n", &plan.n, -1, 1'000'000, SizesHelp());
  flags.Int("threads", &plan.threads, 1, kMostThreads, "how many threads the pool has");
  flags.Choice("style", &plan.style, {"coroutines", "closures"}, "how it is written");
  flags.Text("reactor", &plan.reactor,
             "with which the threads could also wait for the system; not given: none, as nothing "
             "here waits");
  flags.Check([&plan] {
    return plan.reactor.empty() ? absl::OkStatus() : plait::MakeReactor(plan.reactor).status();
  });
  flags.Check([&plan]() -> absl::Status {
    if (plan.n == -1) return absl::OkStatus();
    for (const Workload& workload : examples::Workloads()) {
      if (workload.name == plan.workload) return CheckSize(workload, plan.n);
    }
    return absl::InvalidArgumentError("--n needs a --workload, as each has sizes of its own");
  });
  if (const auto status = flags.Parse(argc, argv)) return *status;

  const absl::Status status = Run(plan);
  if (status.ok()) return 0;
  absl::FPrintF(stderr, "fork_join: %s\n", std::string(status.message()));
  return 1;
}
