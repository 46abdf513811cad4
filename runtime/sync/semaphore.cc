#include "plait/runtime/sync/semaphore.h"

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"

namespace plait {

absl::Status SemaphoreGuard::status() const {
  if (ok()) return absl::OkStatus();
  if (!error_.ok()) return error_;
  return absl::FailedPreconditionError(
      "the SemaphoreGuard holds nothing: it was released, moved from or never held anything");
}

void SemaphoreGuard::Release() noexcept {
  if (core_ == nullptr) return;
  // Beyond the bound, when somebody else has given them back already, there is nothing to add.
  std::exchange(core_, nullptr)->Add(std::exchange(permits_, 0));
}

namespace internal {

SemaphoreCore::SemaphoreCore(const char* what, int64_t permits, int64_t bound)
    : what_(what), bound_(bound), state_(permits << 1) {
  PLAIT_CHECK(permits >= 0,
              absl::StrCat("a ", what, " cannot have ", permits, " permits: that is negative"));
  PLAIT_CHECK(permits <= kMaxPermits,
              absl::StrCat("a ", what, " cannot have ", permits, " permits: the most is 2^60"));
}

SemaphoreCore::~SemaphoreCore() {
  PLAIT_CHECK(waiters_.empty(), absl::StrCat("a ", what_, " was destroyed while a task waits"));
}

absl::Status SemaphoreCore::Refusal(int64_t permits) const {
  if (permits < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(what_, ": the number of permits is negative: ", permits));
  }
  if (permits > bound_) {
    return absl::InvalidArgumentError(
        absl::StrCat(what_, ": ", permits, " permits can never be had: the most is ", bound_));
  }
  return absl::OkStatus();
}

bool SemaphoreCore::AcquireNow(int64_t permits) noexcept {
  int64_t state = state_.load(kRelaxed);
  do {
    if ((state & kWaited) != 0 || (state >> 1) < permits) return false;
    // Acquire: what was written before the permits were given back is visible to who takes them.
  } while (!state_.compare_exchange_weak(state, state - (permits << 1), kAcquire, kRelaxed));
  return true;
}

bool SemaphoreCore::AcquireOrNoteWaiter(int64_t permits) noexcept {
  if (!waiters_.empty()) return false;  // behind them; kWaited is set
  int64_t state = state_.load(kRelaxed);
  for (;;) {
    const bool enough = (state >> 1) >= permits;
    // That nobody waits any more is noted here as well, where the last waiter was cancelled.
    const int64_t wanted = enough ? (state & ~kWaited) - (permits << 1) : state | kWaited;
    // From here on a release finds kWaited, and then waits for lock_: the wake-up cannot be lost.
    if (state_.compare_exchange_weak(state, wanted, kAcquire, kRelaxed)) return enough;
  }
}

SemaphoreCore::Added SemaphoreCore::Add(int64_t permits) noexcept {
  WakeList woken;
  {
    int64_t state = state_.load(kRelaxed);
    while ((state & kWaited) == 0) {
      if ((state >> 1) > bound_ - permits) return Added::kBeyondBound;
      // Release: what the giver wrote is visible to who takes them.
      if (state_.compare_exchange_weak(state, state + (permits << 1), kRelease, kRelaxed)) {
        return Added::kYes;
      }
    }
    SpinLockHolder hold(lock_);
    // Relaxed: what came with the permits that are there goes on to whoever is served with them by
    // the lock, as who set kWaited has acquired it, and since then permits were added under the
    // lock.
    state = state_.load(kRelaxed);
    while ((state & kWaited) == 0) {  // since the look above; then it is as if nobody had waited
      if ((state >> 1) > bound_ - permits) return Added::kBeyondBound;
      if (state_.compare_exchange_weak(state, state + (permits << 1), kRelease, kRelaxed)) {
        return Added::kYes;
      }
    }
    if ((state >> 1) > bound_ - permits) return Added::kBeyondBound;
    Serve((state >> 1) + permits, woken);
  }
  woken.WakeAll();
  return Added::kYes;
}

void SemaphoreCore::Serve(int64_t there, WakeList& woken) noexcept {
  // First come, first served: one that wants more than there is holds up those behind it.
  for (;;) {
    auto* first = static_cast<AcquireWaiter*>(waiters_.Front());
    if (first == nullptr || first->permits_ > there) break;
    there -= first->permits_;
    woken.Add(*waiters_.PopFront());
  }
  // A plain store: nobody else changes the state while kWaited is set. Release, as in Add.
  state_.store((there << 1) | (waiters_.empty() ? 0 : kWaited), kRelease);
}

void SemaphoreCore::OnCancel(Waiter& waiter, WakeList& woken) noexcept {
  // It may have been the one that wanted more than there is. It was in the list, so kWaited is set.
  // Relaxed, as in Add.
  SemaphoreCore& core = static_cast<AcquireWaiter&>(waiter).core_;
  core.Serve(core.state_.load(kRelaxed) >> 1, woken);
}

SemaphoreGuard SemaphoreCore::TryAcquire(int64_t permits) {
  if (absl::Status refusal = Refusal(permits); !refusal.ok()) {
    return SemaphoreGuard(std::move(refusal));
  }
  if (AcquireNow(permits)) return SemaphoreGuard(*this, permits);
  if ((state_.load(kRelaxed) & kWaited) != 0) {
    // Those who waited may all have been cancelled.
    SpinLockHolder hold(lock_);
    if (waiters_.empty() && AcquireOrNoteWaiter(permits)) return SemaphoreGuard(*this, permits);
  }
  return SemaphoreGuard(absl::UnavailableError(
      absl::StrCat(what_, ": there are not ", permits, " permits to be had at once")));
}

absl::Status SemaphoreCore::Release(int64_t permits) {
  if (permits < 0) return Refusal(permits);
  if (permits <= bound_ && Add(permits) == Added::kYes) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(what_, ": releasing ", permits,
                                                    " permits would make more than the bound of ",
                                                    bound_, ": they were not acquired"));
}

SemaphoreGuard SemaphoreCore::AcquireAwaiter::Served() {
  if (absl::Status refusal = core_.Refusal(permits_); !refusal.ok()) {
    return core_.MakeGuard(std::move(refusal));
  }
  return core_.MakeGuard(permits_);
}

SemaphoreGuard SemaphoreCore::AcquireAwaiter::Cancelled() {
  return core_.MakeGuard(
      absl::CancelledError(absl::StrCat("the wait for a ", core_.what_, " was cancelled")));
}

}  // namespace internal

void Semaphore::Release(int64_t permits) {
  const absl::Status released = core_.Release(permits);
  PLAIT_CHECK(released.ok(), released.ToString());
}

}  // namespace plait
