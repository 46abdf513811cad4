#include "plait/runtime/sync/mutex.h"

#include "plait/runtime/core/check.h"
#include "plait/runtime/sync/wait_notes.h"

namespace plait {

using internal::kAcquire;
using internal::kRelaxed;
using internal::SpinLockHolder;
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

bool Mutex::LockOrNoteWaiter() noexcept {
  uint32_t state = state_.load(kRelaxed);
  for (;;) {
    if (state == kHeldAndWaited) return false;
    const uint32_t wanted = state == kFree ? kHeld : kHeldAndWaited;
    // Acquire, in case this takes it: what the last holder wrote. A holder that unlocks from here
    // on finds kHeldAndWaited, and then waits for lock_: the wake-up cannot be lost.
    if (state_.compare_exchange_weak(state, wanted, kAcquire, kRelaxed)) return wanted == kHeld;
  }
}

bool Mutex::Suspend(Waiter& waiter, internal::PromiseBase& promise, bool cancellable) noexcept {
  if (cancellable) {
    return waiter.Park(promise, lock_, waiters_, internal::kMutexNote,
                       [this] { return LockOrNoteWaiter(); });
  }
  waiter.PrepareUncancellable(promise, lock_, internal::kMutexNote);
  SpinLockHolder hold(lock_);
  if (LockOrNoteWaiter()) {
    waiter.Grant();
    return false;
  }
  waiters_.PushBack(waiter);
  return true;
}

void Mutex::HandOver() noexcept {
  Waiter* next = nullptr;
  {
    SpinLockHolder hold(lock_);
    next = waiters_.PopFront();
    // A plain store: nobody else changes kHeldAndWaited. The next holder gets what was written here
    // through its executor.
    if (waiters_.empty()) state_.store(kHeld, kRelaxed);
  }
  if (next != nullptr) {
    next->Wake();
  } else {
    // Whoever waited was cancelled. Not freed under lock_: the mutex may be gone once it is free.
    Unlock();
  }
}

}  // namespace plait
