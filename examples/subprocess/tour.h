// A tour of what can be done with other programs, one thing after the other.
#ifndef PLAIT_EXAMPLES_SUBPROCESS_TOUR_H_
#define PLAIT_EXAMPLES_SUBPROCESS_TOUR_H_

#include "absl/status/status.h"
#include "plait/examples/subprocess/session.h"
#include "plait/runtime/task/task.h"

namespace examples {

plait::Task<absl::Status> Tour(Session& session);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUBPROCESS_TOUR_H_
