#include "plait/runtime/sync/event.h"

#include "plait/runtime/core/check.h"

namespace plait {

using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;
using internal::SpinLockHolder;

Event::~Event() {
  PLAIT_CHECK(waiters_.empty(), "an Event was destroyed while a task waits for it");
}

void Event::Set() noexcept {
  internal::LeavingList leaving;
  {
    SpinLockHolder hold(lock_);
    if (state_.load(kRelaxed) != kClear) return;  // those who waited are on their way
    // Release: for IsSet. Who waits looks again under lock_, so none is overlooked.
    state_.store(kSetting, kRelease);
    leaving.Take(waiters_);
  }
  State setting = kSetting;
  // Release: for a Wait that need not wait. A Clear that came between is left alone.
  state_.compare_exchange_strong(setting, kSet, kRelease, kRelaxed);
  // From here on the event may be gone, unless there is somebody to wake: it outlives them.
  leaving.WakeAll(lock_);
}

void Event::Clear() noexcept {
  SpinLockHolder hold(lock_);
  state_.store(kClear, kRelaxed);
}

void Event::AwaitSetter() const noexcept {
  for (int round = 0; state_.load(kAcquire) == kSetting; ++round) internal::SpinWait(round);
}

}  // namespace plait
