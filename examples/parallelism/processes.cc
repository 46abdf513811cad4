#include "plait/examples/parallelism/processes.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/process_pool/process_pool.h"

namespace examples {
namespace {

// Gives the number of the process that does it.
constexpr plait::ProcessFunction<int(Workload, absl::Duration, uint64_t, bool)> kWork("work");

int DoWork(Job job, bool crash) {
  if (crash) std::abort();
  WorkBlocking(job);
  return getpid();
}

// How many processes the pool may have: each takes it some descriptors.
int MostWorkers() {
  constexpr rlim_t kOthers = 64;
  constexpr rlim_t kEach = 8;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= kOthers + kEach) return 1;
  return static_cast<int>(std::min<rlim_t>((limit.rlim_cur - kOthers) / kEach, 256));
}

// The job, and what its tasks share.
struct Work {
  plait::ProcessPool& pool;
  const Job& job;
  Transcript& transcript;
  plait::Semaphore free;  // processes
  std::vector<int> pids;  // of each task; 0 where it did not end well
};

// Fails alone, never the others.
plait::Task<absl::Status> DoInAProcess(Work& work, int number) {
  const plait::SemaphoreGuard process = co_await plait::OrReturn(work.free.Acquire());
  work.transcript.Start(number);
  const absl::StatusOr<int> pid = co_await work.pool.Call(
      kWork, work.job.workload, work.job.sleep, work.job.iterations, number == work.job.crash);
  if (pid.ok()) {
    work.pids[static_cast<size_t>(number)] = *pid;
    work.transcript.Finish(number);
  } else {
    // Aborted is what the pool says of a process that died; the message says how.
    work.transcript.Fail(number,
                         absl::StrCat(absl::IsAborted(pid.status()) ? "crashed: " : "failed: ",
                                      pid.status().message()));
  }
  co_return absl::OkStatus();
}

plait::Task<absl::Status> Main(Work& work) {
  const auto start_all = [&](plait::TaskGroup& group) -> plait::Task<absl::Status> {
    for (int n = 0; n < work.job.tasks; ++n) group.Spawn(DoInAProcess(work, n));
    co_return absl::OkStatus();
  };
  co_return co_await plait::WithTaskGroup(start_all);
}

}  // namespace

plait::FunctionTable ProcessFunctions(std::function<void()> body) {
  plait::FunctionTable functions;
  functions.Add(kWork, [body = std::move(body)](Workload workload, absl::Duration sleep,
                                                uint64_t iterations, bool crash) {
    return DoWork({.workload = workload, .sleep = sleep, .iterations = iterations, .body = body},
                  crash);
  });
  return functions;
}

absl::Status RunProcesses(const Job& job, Transcript& transcript,
                          const plait::RunOptions& options) {
  const int workers = std::min(job.tasks, MostWorkers());
  absl::StatusOr<plait::ProcessPool> pool = plait::ProcessPool::Create(
      // What is sent is small: no memory for more.
      {.functions = ProcessFunctions(job.body),
       .workers = workers,
       .max_tasks_per_worker = 1,
       .max_payload = 1});
  if (!pool.ok()) {
    for (int n = 0; n < job.tasks; ++n) {
      transcript.Fail(n, absl::StrCat("failed: no process for it: ", pool.status().message()));
    }
    return absl::OkStatus();
  }
  const Transcript::Progress progress(transcript);
  Work work = {*pool, job, transcript, plait::Semaphore(workers),
               std::vector<int>(static_cast<size_t>(job.tasks))};
  absl::Status status = plait::Run(Main(work), options);
  std::erase(work.pids, 0);
  if (!work.pids.empty()) {
    transcript.Note(absl::StrCat("Process ", getpid(), " had the work done by the processes ",
                                 absl::StrJoin(work.pids, ", ")));
  }
  return status;
}

}  // namespace examples
