// A process a task: memory of its own, and a crash that stays where it happens.
#ifndef PLAIT_EXAMPLES_PARALLELISM_PROCESSES_H_
#define PLAIT_EXAMPLES_PARALLELISM_PROCESSES_H_

#include <functional>

#include "absl/status/status.h"
#include "plait/examples/parallelism/transcript.h"
#include "plait/examples/parallelism/workload.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/run.h"

namespace examples {

// A call of a process pool for each task; every worker of the pool does one and ends. All run at
// once, as far as there are descriptors for their processes. A task whose process crashes or cannot
// be started fails, and no other. An error is about `options`. Job::body has to be null in a
// program that has threads by now.
absl::Status RunProcesses(const Job& job, Transcript& transcript,
                          const plait::RunOptions& options = {});

// What the workers run: for the first line of main, plait::RunProcessWorkersIfAsked, as some
// reactors have a thread and workers are then not forked. `body` is Job::body.
plait::FunctionTable ProcessFunctions(std::function<void()> body = nullptr);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_PARALLELISM_PROCESSES_H_
