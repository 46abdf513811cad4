// parallelism: the same tasks one after the other, on threads, in processes and as coroutines, on
// one thread or on a pool of them.
//
// Two workloads, as in the articles: `sleep` only waits, `hard_work` only computes. Which way is
// fast depends on which of the two a program does.
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "plait/examples/parallelism/backends.h"
#include "plait/examples/parallelism/comparison.h"
#include "plait/examples/parallelism/processes.h"
#include "plait/examples/parallelism/transcript.h"
#include "plait/examples/parallelism/workload.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/runtime/core/environment.h"
#include "plait/schedulers/process_pool/run_process_workers.h"

namespace {

using examples::Color;
using examples::Console;
using examples::Job;
using examples::Measurement;
using examples::Transcript;
using examples::Workload;

constexpr int kTimelineColumns = 50;
constexpr int kTimelineTasks = 20;  // more do not fit a screen

// One cell of the table: does the job on the backend and shows how it goes.
Measurement Measure(const Job& job, const std::string& backend, const plait::RunOptions& options,
                    Console& console) {
  const std::string title = absl::StrFormat("%s, %s", WorkloadName(job.workload), backend);
  console.Print(title, Color::kBold);
  Transcript transcript(console, title, job.tasks, *job.clock);
  if (backend == "sync") {
    RunSync(job, transcript);
  } else if (backend == "threads") {
    RunThreads(job, transcript);
  } else {
    const auto run = backend == "processes" ? &examples::RunProcesses
                     : backend == "async"   ? &examples::RunAsync
                                            : &examples::RunPool;
    const absl::Status status = run(job, transcript, options);
    if (!status.ok()) transcript.Fail(0, status.ToString());
  }
  transcript.End();
  if (job.tasks <= kTimelineTasks) {
    for (const std::string& line : transcript.Timeline(kTimelineColumns)) {
      console.Print(line, Color::kDim);
    }
  }
  console.Print();
  return {job.workload,       backend, job.tasks, transcript.total(), transcript.sum_of_tasks(),
          transcript.failed()};
}

void Explain(const std::vector<Measurement>& measurements, Console& console) {
  const int cores = plait::HardwareThreads();
  for (const std::string& line : ComparisonTable(measurements, cores)) console.Print(line);
  console.Print();
  console.Print(
      absl::StrFormat("C++ has no GIL: threads do hard_work on all cores of this machine (%d), as "
                      "processes do,",
                      cores));
  console.Print("as far as other programs leave them free.");
  console.Print("async does hard_work in the time of sync: it is one thread, and nothing waits.");
  console.Print("pool runs the same coroutines on a thread for each core, which share the work.");
  console.Print(
      "Everything but sync waits for all sleeps at once, async without a single thread more.");
  console.Print(
      "\"at most\" is Amdahl's law, 1 / ((1 - p) + p / n): a share p of the time can be spread");
  console.Print(
      absl::StrFormat("over n. With p = 1/6 it stays below %.1f however large n is: 20 %% at most.",
                      examples::AmdahlBound(1.0 / 6, 1e9)));
  console.Print();
  for (const Measurement& m : measurements) console.Print(MachineLine(m));
}

}  // namespace

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(examples::ProcessFunctions());
  std::string workload = "all";
  std::string backend = "all";
  int64_t tasks = 5;
  int64_t crash = -1;
  bool article = false;
  std::optional<absl::Duration> sleep;
  std::optional<absl::Duration> work;
  plait::RunOptions options;
  options.handle_sigint = false;  // it ends the program, and not one backend
  examples::Flags flags("parallelism",
                        "The same tasks one after the other, on threads, in processes and as\n"
                        "coroutines, on one thread and on a pool; for tasks that wait, and\n"
                        "for tasks that compute.");
  flags.Choice("workload", &workload, {"sleep", "hard_work", "all"}, "what a task does");
  flags.Choice("backend", &backend, {"sync", "threads", "processes", "async", "pool", "all"},
               "how the tasks are run");
  flags.Int("tasks", &tasks, 1, 256, "how many tasks");
  flags.Time("sleep", &sleep, "how long a task sleeps; not given: 300ms, or 2s with --article");
  flags.Time("work", &work,
             "how long a task computes, about; not given: 300ms, or 2.3s with --article");
  flags.Bool("article", &article, "the articles' sizes; takes about a minute");
  flags.Int("crash", &crash, -1, 255,
            "with --backend=processes: the number of a task that crashes; -1: none does");
  flags.Check([&] {
    if (crash >= 0 && backend != "processes") {
      return absl::InvalidArgumentError(
          "--crash needs --backend=processes, as anywhere else it would end the whole program");
    }
    if (crash >= tasks) {
      return absl::InvalidArgumentError("--crash names a task, so it is less than --tasks");
    }
    return absl::OkStatus();
  });
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  Console console;
  Job job;
  job.tasks = static_cast<int>(tasks);
  job.crash = static_cast<int>(crash);
  job.sleep = sleep.value_or(article ? absl::Seconds(2) : absl::Milliseconds(300));
  // The same number of iterations for every backend, so that they do the same work.
  job.iterations = examples::IterationsFor(
      work.value_or(article ? absl::Seconds(2.3) : absl::Milliseconds(300)));

  std::vector<Measurement> measurements;
  for (const Workload w : {Workload::kSleep, Workload::kHardWork}) {
    if (workload != "all" && workload != examples::WorkloadName(w)) continue;
    job.workload = w;
    for (const std::string b : {"sync", "threads", "processes", "async", "pool"}) {
      if (backend != "all" && backend != b) continue;
      measurements.push_back(Measure(job, b, options, console));
    }
  }
  Explain(measurements, console);
  for (const Measurement& m : measurements) {
    if (m.failed > 0) return 1;
  }
  return 0;
}
