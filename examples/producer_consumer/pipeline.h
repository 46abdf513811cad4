// The articles' producers and consumer, one after the other and side by side.
//
// A producer makes an item, then rests for half to one and a half times the pace; the consumer
// takes half the pace for each item. What differs between the runs is how long an item lies about
// before it is processed.
#ifndef PLAIT_EXAMPLES_PRODUCER_CONSUMER_PIPELINE_H_
#define PLAIT_EXAMPLES_PRODUCER_CONSUMER_PIPELINE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace examples {

struct Plan {
  int64_t producers = 1;
  int64_t items = 8;  // of each producer
  absl::Duration pace = absl::Milliseconds(100);
  // How many items the queue holds before a producer has to wait. The synchronous run has no such
  // bound.
  size_t capacity = plait::Queue<int>::kUnbounded;
  uint64_t seed = 1;  // of the rests
};

struct Outcome {
  absl::Duration total;
  std::vector<absl::Duration> delays;  // from made to processed, in the order of processing
  size_t longest_queue = 0;
  int pushed_back = 0;  // how often a producer found the queue full

  absl::Duration mean_delay() const;
  absl::Duration max_delay() const;
};

// First the producers, one after the other, then the consumer.
Outcome RunSynchronously(const Plan& plan, Console& console,
                         plait::Clock& clock = plait::Clock::Real());

// All of them side by side, on one thread, with a queue between them.
absl::StatusOr<Outcome> RunAsynchronously(const Plan& plan, Console& console,
                                          const plait::RunOptions& options = {});

}  // namespace examples

#endif  // PLAIT_EXAMPLES_PRODUCER_CONSUMER_PIPELINE_H_
