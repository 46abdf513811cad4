#include "plait/examples/parallelism/backends.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace examples {
namespace {

void DoWork(const Job& job, int number, Transcript& transcript) {
  transcript.Start(number);
  WorkBlocking(job);
  transcript.Finish(number);
}

// The same as a coroutine. While it sleeps, the others on its thread run; while it computes, nobody
// there does.
plait::Task<absl::Status> DoWorkAsync(const Job& job, int number, Transcript& transcript) {
  transcript.Start(number);
  if (job.workload == Workload::kSleep) {
    co_await plait::OrReturn(plait::Sleep(job.sleep));
  } else {
    WorkBlocking(job);
  }
  transcript.Finish(number);
  co_return absl::OkStatus();
}

plait::Task<absl::Status> Main(const Job& job, Transcript& transcript) {
  const auto start_all = [&](plait::TaskGroup& group) -> plait::Task<absl::Status> {
    for (int n = 0; n < job.tasks; ++n) group.Spawn(DoWorkAsync(job, n, transcript));
    co_return absl::OkStatus();
  };
  co_return co_await plait::WithTaskGroup(start_all);  // returns when all have finished
}

}  // namespace

void RunSync(const Job& job, Transcript& transcript) {
  const Transcript::Progress progress(transcript);
  for (int n = 0; n < job.tasks; ++n) DoWork(job, n, transcript);
}

void RunThreads(const Job& job, Transcript& transcript) {
  const Transcript::Progress progress(transcript);
  std::vector<plait::Thread> threads;
  for (int n = 0; n < job.tasks; ++n) {
    threads.push_back(
        plait::StartThread(absl::StrCat("work ", n), [&, n] { DoWork(job, n, transcript); }));
  }
  for (plait::Thread& thread : threads) thread.join();
}

absl::Status RunAsync(const Job& job, Transcript& transcript, const plait::RunOptions& options) {
  const Transcript::Progress progress(transcript);
  return plait::Run(Main(job, transcript), options);
}

absl::Status RunPool(const Job& job, Transcript& transcript, const plait::RunOptions& options) {
  auto pool = plait::WorkStealingPool::Create(
      {.name = "pool",
       .reactor = [&options] { return plait::MakeReactor(options.reactor); },
       .clock = options.clock});
  if (!pool.ok()) return pool.status();
  const Transcript::Progress progress(transcript);
  return plait::BlockOn(**pool, Main(job, transcript));
}

}  // namespace examples
