// DeadlineError: the Status of what a deadline has cut short. Internal.
#ifndef PLAIT_RUNTIME_TIME_DEADLINE_ERROR_H_
#define PLAIT_RUNTIME_TIME_DEADLINE_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace plait::internal {

// DeadlineExceeded with `message`, or Cancelled where the task around it was cancelled, which wins;
// with the payloads of `cut_short`, which tell how far that came.
absl::Status DeadlineError(bool task_cancelled, absl::string_view message,
                           const absl::Status& cut_short);

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TIME_DEADLINE_ERROR_H_
