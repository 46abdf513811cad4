// A process a task: memory of its own, results through a pipe, and a crash that stays where it
// happens.
#ifndef PLAIT_EXAMPLES_PARALLELISM_PROCESSES_H_
#define PLAIT_EXAMPLES_PARALLELISM_PROCESSES_H_

#include "plait/examples/parallelism/transcript.h"
#include "plait/examples/parallelism/workload.h"

namespace examples {

// Forks a child for each task and waits for all of them. No other thread may be alive: a fork
// copies only the one that calls it, and a lock that another holds would stay locked in the child
// for ever. A child that crashes, and one that the system refuses, fails its own task and no other.
void RunProcesses(const Job& job, Transcript& transcript);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_PARALLELISM_PROCESSES_H_
