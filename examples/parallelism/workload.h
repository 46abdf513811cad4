// The articles' two workloads: one that waits and one that computes.
#ifndef PLAIT_EXAMPLES_PARALLELISM_WORKLOAD_H_
#define PLAIT_EXAMPLES_PARALLELISM_WORKLOAD_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "plait/runtime/core/environment.h"

namespace examples {

enum class Workload { kSleep, kHardWork };

// "sleep" or "hard_work".
std::string WorkloadName(Workload workload);

// What is to be done, the same for every backend: `tasks` times the workload.
struct Job {
  Workload workload = Workload::kSleep;
  int tasks = 5;
  absl::Duration sleep;     // how long a task of kSleep waits
  uint64_t iterations = 0;  // how far a task of kHardWork counts
  // For tests: what a task of kHardWork does instead of counting.
  std::function<void()> body = nullptr;
  int crash = -1;  // the number of a task that aborts its process, or -1
  plait::Clock* clock = &plait::Clock::Real();
};

// Counts to `iterations`, one by one, and gives where it got: all that it takes is time.
uint64_t HardWork(uint64_t iterations);

// How many iterations take about `target` on this machine in this build.
uint64_t IterationsFor(absl::Duration target);

// Does one task's work in the plain way: blocks this thread until it is done.
void WorkBlocking(const Job& job);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_PARALLELISM_WORKLOAD_H_
