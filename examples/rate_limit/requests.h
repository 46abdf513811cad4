// Many requests to a service that does not want too many: at once, or a second.
//
// Each request is a task that takes a while. A Semaphore bounds how many are in flight, a
// TokenBucket how many begin a second; each can be left out.
#ifndef PLAIT_EXAMPLES_RATE_LIMIT_REQUESTS_H_
#define PLAIT_EXAMPLES_RATE_LIMIT_REQUESTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/schedulers/run.h"

namespace examples {

struct Plan {
  int64_t requests = 20;
  absl::Duration takes = absl::Milliseconds(300);  // each; every third takes twice as long
  int64_t in_flight = 0;                           // at most; 0: any number
  int64_t per_second = 0;                          // at most; 0: any number
  int64_t burst = 1;                               // that may begin at once after a rest
};

struct Outcome {
  absl::Duration total;
  int64_t most_in_flight = 0;
  std::vector<absl::Duration> began;  // when each did, from the first one's task on, in that order

  // The most requests that began within any second.
  int64_t most_in_a_second() const;
};

absl::StatusOr<Outcome> RunRequests(const Plan& plan, Console& console,
                                    const plait::RunOptions& options = {});

}  // namespace examples

#endif  // PLAIT_EXAMPLES_RATE_LIMIT_REQUESTS_H_
