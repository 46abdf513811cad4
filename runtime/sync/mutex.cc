#include "plait/runtime/sync/mutex.h"

#include "plait/runtime/core/check.h"
#include "plait/runtime/sync/wait_notes.h"

namespace plait {

using internal::BiasedLockHolder;
using internal::Waiter;

absl::Status MutexGuard::status() const {
  if (ok()) return absl::OkStatus();
  switch (why_) {
    case kCancelled:
      return absl::CancelledError("the wait for a Mutex was cancelled");
    case kBusy:
      return absl::UnavailableError("the Mutex is locked");
    case kReleased:
      break;
  }
  return absl::FailedPreconditionError(
      "the MutexGuard holds nothing: it was unlocked, moved from or never locked");
}

Mutex::~Mutex() {
  PLAIT_CHECK(waiters_.empty(), "a Mutex was destroyed while a task waits for it");
  PLAIT_CHECK(!locked(), "a Mutex was destroyed while somebody holds it");
}

bool Mutex::Suspend(Waiter& waiter, internal::PromiseBase& promise, bool cancellable) noexcept {
  if (cancellable) {
    return waiter.Park(promise, lock_, waiters_, internal::kMutexNote, [this] { return Take(); });
  }
  waiter.PrepareUncancellable(promise, lock_, internal::kMutexNote);
  BiasedLockHolder hold(lock_);
  if (Take()) {
    waiter.Grant();
    return false;
  }
  waiters_.PushBack(waiter);
  return true;
}

}  // namespace plait
