// The ways to do a job. Each starts all tasks, waits for all of them, and tells `transcript`
// about every one.
//
// (Processes, which need more of the operating system, are in processes.h.)
#ifndef PLAIT_EXAMPLES_PARALLELISM_BACKENDS_H_
#define PLAIT_EXAMPLES_PARALLELISM_BACKENDS_H_

#include "absl/status/status.h"
#include "plait/examples/parallelism/transcript.h"
#include "plait/examples/parallelism/workload.h"
#include "plait/schedulers/run.h"

namespace examples {

// One task after the other.
void RunSync(const Job& job, Transcript& transcript);

// A thread a task.
void RunThreads(const Job& job, Transcript& transcript);

// A coroutine a task, all on one thread. An error is about `options`.
absl::Status RunAsync(const Job& job, Transcript& transcript,
                      const plait::RunOptions& options = {});

// A coroutine a task, on a work-stealing pool with a thread for each core, each with a reactor.
absl::Status RunPool(const Job& job, Transcript& transcript, const plait::RunOptions& options = {});

}  // namespace examples

#endif  // PLAIT_EXAMPLES_PARALLELISM_BACKENDS_H_
