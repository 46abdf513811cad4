#include "plait/runtime/sync/condition_variable.h"

#include <coroutine>

#include "plait/runtime/core/check.h"
#include "plait/runtime/sync/wait_notes.h"

namespace plait {

using internal::SpinLockHolder;

// Waits in the list, and lets go of the mutex once it is there, so that no notification sent with
// the mutex held can be missed.
class [[nodiscard]] ConditionVariable::NotifiedAwaiter : private internal::Waiter {
 public:
  NotifiedAwaiter(ConditionVariable& variable, MutexGuard& guard) noexcept
      : variable_(variable), guard_(guard) {}

  bool await_ready() const noexcept { return false; }
  template <internal::PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    // Held here: once this awaiter is in the list, another thread may go on with the coroutine,
    // which then waits for the mutex to be let go.
    const MutexGuard held = std::move(guard_);
    return Park(waiter.promise(), variable_.lock_, variable_.waiters_, internal::kConditionNote,
                [] { return false; });
  }
  absl::Status await_resume() {
    if (Finish()) return absl::OkStatus();
    return absl::CancelledError("the wait for a ConditionVariable was cancelled");
  }

 private:
  ConditionVariable& variable_;
  MutexGuard& guard_;
};

ConditionVariable::~ConditionVariable() {
  PLAIT_CHECK(waiters_.empty(), "a ConditionVariable was destroyed while a task waits for it");
}

Task<absl::Status> ConditionVariable::Wait(MutexGuard& guard) {
  if (!guard.ok()) co_return guard.status();
  Mutex& mutex = *guard.mutex();
  absl::Status status = co_await NotifiedAwaiter(*this, guard);
  guard = co_await Mutex::LockAwaiter(mutex, /*cancellable=*/false);
  co_return status;
}

void ConditionVariable::NotifyOne() noexcept {
  internal::Waiter* waiter = nullptr;
  {
    SpinLockHolder hold(lock_);
    waiter = waiters_.PopFront();
  }
  if (waiter != nullptr) waiter->Wake();
}

void ConditionVariable::NotifyAll() noexcept {
  internal::LeavingList leaving;
  {
    SpinLockHolder hold(lock_);
    leaving.Take(waiters_);
  }
  leaving.WakeAll(lock_);
}

}  // namespace plait
