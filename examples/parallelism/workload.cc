#include "plait/examples/parallelism/workload.h"

#include <algorithm>

#include "plait/examples/support/timing.h"

namespace examples {

std::string WorkloadName(Workload workload) {
  return workload == Workload::kSleep ? "sleep" : "hard_work";
}

uint64_t HardWork(uint64_t iterations) {
  // A compiler sees at once where this ends, and would leave the loop out. What is volatile it has
  // to do step by step.
  volatile uint64_t output = 0;
  for (uint64_t i = 0; i < iterations; ++i) output = output + 1;
  return output;
}

uint64_t IterationsFor(absl::Duration target) {
  constexpr uint64_t kSample = 2'000'000;
  // The fastest of a few samples is the one that was disturbed least.
  absl::Duration best = absl::InfiniteDuration();
  for (int sample = 0; sample < 10; ++sample) {
    const Stopwatch watch;
    HardWork(kSample);
    best = std::min(best, watch.elapsed());
  }
  constexpr double kMost = 1e18;  // centuries
  return static_cast<uint64_t>(
      std::min(kMost, static_cast<double>(kSample) * absl::FDivDuration(target, best)));
}

void WorkBlocking(const Job& job) {
  if (job.workload == Workload::kSleep) {
    BlockFor(job.sleep, *job.clock);
  } else if (job.body != nullptr) {
    job.body();
  } else {
    HardWork(job.iterations);
  }
}

}  // namespace examples
