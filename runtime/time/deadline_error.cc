#include "plait/runtime/time/deadline_error.h"

#include "absl/strings/cord.h"

namespace plait::internal {

absl::Status DeadlineError(bool task_cancelled, absl::string_view message,
                           const absl::Status& cut_short) {
  absl::Status error = task_cancelled ? absl::CancelledError("the task was cancelled")
                                      : absl::DeadlineExceededError(message);
  cut_short.ForEachPayload([&error](absl::string_view type, const absl::Cord& payload) {
    error.SetPayload(type, payload);
  });
  return error;
}

}  // namespace plait::internal
