#include "plait/runtime/core/parker.h"

#include "absl/time/time.h"
#include "plait/runtime/core/futex.h"

namespace plait::internal {

bool Parker::Park(Deadline deadline, Clock& clock) noexcept {
  // From woken to awake, or from awake to asleep.
  if (state_.fetch_sub(1, kAcquire) == kWoken) return true;
  do {
    const absl::Duration left =
        deadline.is_infinite() ? absl::InfiniteDuration() : deadline.Since(clock.Now());
    if (left <= absl::ZeroDuration()) break;
    FutexWait(state_, kAsleep, left);
  } while (state_.load(kRelaxed) != kWoken);
  // A wake-up that comes with the deadline counts.
  return state_.exchange(kAwake, kAcquire) == kWoken;
}

void Parker::Wake() noexcept {
  if (state_.exchange(kWoken, kRelease) == kAsleep) FutexWake(state_);
}

}  // namespace plait::internal
