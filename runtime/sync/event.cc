#include "plait/runtime/sync/event.h"

#include "plait/runtime/core/check.h"

namespace plait {

using internal::kRelaxed;
using internal::kRelease;
using internal::SpinLockHolder;

Event::~Event() {
  PLAIT_CHECK(waiters_.empty(), "an Event was destroyed while a task waits for it");
}

void Event::Set() noexcept {
  internal::WaiterList leaving;
  {
    SpinLockHolder hold(lock_);
    if (set_.load(kRelaxed)) return;  // those who waited are on their way
    // Release: for IsSet. Who waits looks again under lock_, so none is overlooked.
    set_.store(true, kRelease);
    if (waiters_.empty()) return;
    leaving.Append(waiters_);
  }
  internal::WakeEveryone(lock_, leaving);
}

void Event::Clear() noexcept {
  SpinLockHolder hold(lock_);
  set_.store(false, kRelaxed);
}

}  // namespace plait
