// Mutex: one task at a time, also between tasks on different threads. (asyncio: Lock.)
//
//   plait::Mutex mutex;
//   {
//     plait::MutexGuard guard = co_await mutex.Lock();
//     ++shared;                                       // nobody else is here
//   }                                                 // the guard's end unlocks
//
// It may be held across a co_await; a thread never blocks on it.
//
// Cancellation: a Lock that is cancelled while it waits gives a guard that holds nothing, and the
// task is not in the queue any more. So where a task can be cancelled, ask:
//
//   auto guard = co_await mutex.Lock();
//   if (!guard.ok()) co_return guard.status();              // absl::CancelledError
//   auto guard = co_await plait::OrReturn(mutex.Lock());    // the same in one line
//
// A Lock that need not wait succeeds in a cancelled task too, and so does one that was handed the
// mutex before the cancel arrived.
// Fairness: FIFO. An unlock hands the mutex to the task that has waited longest; nobody overtakes.
// A task that never has to wait gives others a turn after 128 awaits, then with the mutex locked.
// Locking twice in one task waits for ever, as with asyncio's. Threads: any; a guard may be moved
// to another task or thread and unlocked there. Lifetime: the mutex outlives its guards, and
// whoever waits for it (CHECK), until that has gone on. Cost: one locked instruction to lock and
// one to unlock when nobody waits, and none once a thread alone has used it a thousand times
// (runtime/core/biased_lock.h); nothing allocates.
#ifndef PLAIT_RUNTIME_SYNC_MUTEX_H_
#define PLAIT_RUNTIME_SYNC_MUTEX_H_

#include <coroutine>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/biased_lock.h"
#include "plait/runtime/sync/guard_await.h"  // IWYU pragma: export
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait {

class ConditionVariable;
class Mutex;

// Holds a Mutex, or says why it does not. Movable; unlocks when it dies.
class [[nodiscard]] MutexGuard {
 public:
  // Holds nothing.
  MutexGuard() = default;
  MutexGuard(MutexGuard&& other) noexcept
      : mutex_(std::exchange(other.mutex_, nullptr)), why_(std::exchange(other.why_, kReleased)) {}
  MutexGuard& operator=(MutexGuard&& other) noexcept {
    MutexGuard old(std::move(*this));
    mutex_ = std::exchange(other.mutex_, nullptr);
    why_ = std::exchange(other.why_, kReleased);
    return *this;
  }
  ~MutexGuard() {
    if (mutex_ != nullptr) Unlock();
  }

  // Whether it holds the mutex.
  bool ok() const noexcept { return mutex_ != nullptr; }
  explicit operator bool() const noexcept { return ok(); }
  // OK when it does; else absl::CancelledError after a cancelled Lock, Unavailable after a TryLock
  // in vain, FailedPrecondition for a guard that was unlocked, moved from or never held anything.
  absl::Status status() const;

  // Before the guard dies. Does nothing when it holds nothing.
  inline void Unlock() noexcept;

  // What it holds, or null.
  Mutex* mutex() const noexcept { return mutex_; }

 private:
  friend class Mutex;
  enum Why : uint8_t { kReleased, kCancelled, kBusy };

  explicit MutexGuard(Mutex& held) noexcept : mutex_(&held) {}
  explicit MutexGuard(Why why) noexcept : why_(why) {}

  Mutex* mutex_ = nullptr;
  Why why_ = kReleased;  // it holds nothing
};

class Mutex {
  class LockAwaiter;
  struct [[nodiscard]] LockAwaitable {
    using Guard = MutexGuard;
    Mutex& mutex;
    LockAwaiter operator co_await() const noexcept;
  };

 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  // Nobody may hold it or wait for it (CHECK).
  ~Mutex();

  // co_await: a MutexGuard, which says whether it holds the mutex.
  LockAwaitable Lock() noexcept { return LockAwaitable{*this}; }

  // Without waiting: a guard that holds nothing when the mutex is taken.
  MutexGuard TryLock() noexcept {
    return LockNow() ? MutexGuard(*this) : MutexGuard(MutexGuard::kBusy);
  }

  // Somebody holds it.
  bool locked() const noexcept { return held_.load(internal::kRelaxed); }

 private:
  friend class MutexGuard;
  friend class ConditionVariable;

  bool LockNow() noexcept {
    internal::BiasedLockHolder hold(lock_);
    return Take();
  }
  // Under lock_.
  bool Take() noexcept {
    if (held_.load(internal::kRelaxed)) return false;
    held_.store(true, internal::kRelaxed);
    return true;
  }
  void Unlock() noexcept {
    internal::Waiter* next = nullptr;
    {
      internal::BiasedLockHolder hold(lock_);
      next = waiters_.PopFront();
      // Else it stays held, by the next: nobody overtakes.
      if (next == nullptr) held_.store(false, internal::kRelaxed);
    }
    // The next holder gets what was written here through its executor. Without one, the mutex may
    // be gone now.
    if (next != nullptr) [[unlikely]]
      next->Wake();
  }

  // `cancellable`: whether a stop request ends the wait.
  bool Suspend(internal::Waiter& waiter, internal::PromiseBase& promise, bool cancellable) noexcept;

  class [[nodiscard]] LockAwaiter : private internal::Waiter {
   public:
    explicit LockAwaiter(Mutex& mutex, bool cancellable = true) noexcept
        : mutex_(mutex), cancellable_(cancellable) {}

    bool await_ready() noexcept { return internal::SpendBudget() && mutex_.LockNow(); }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
      return mutex_.Suspend(*this, waiter.promise(), cancellable_) ||
             internal::YieldIfSpent(waiter.promise());
    }
    MutexGuard await_resume() noexcept {
      return Finish() ? MutexGuard(mutex_) : MutexGuard(MutexGuard::kCancelled);
    }

   private:
    Mutex& mutex_;
    const bool cancellable_;
  };

  internal::BiasedLock lock_;  // guards what follows
  // Relaxed: it changes under lock_, and whoever looks without learns nothing but what it was.
  internal::Atomic<bool> held_{false};
  internal::WaiterList waiters_;
};

inline Mutex::LockAwaiter Mutex::LockAwaitable::operator co_await() const noexcept {
  return LockAwaiter(mutex);
}

inline void MutexGuard::Unlock() noexcept {
  if (Mutex* held = std::exchange(mutex_, nullptr)) held->Unlock();
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_MUTEX_H_
