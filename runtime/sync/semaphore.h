// Semaphore and BoundedSemaphore: a number of permits that tasks take and give back.
//
//   plait::Semaphore connections(10);
//   {
//     plait::SemaphoreGuard permit = co_await connections.Acquire();   // at most ten are past here
//     co_await Fetch(url);
//   }                                                                  // the guard gives it back
//
// Release adds permits from outside, which makes a Semaphore a counter to wait on; a
// BoundedSemaphore refuses to hold more than it began with, which finds a program that gives back
// what it did not take.
//
// Cancellation: an Acquire that is cancelled while it waits gives a guard that holds nothing, and
// has taken nothing. So where a task can be cancelled, ask `guard.ok()`, or use co_await
// plait::OrReturn(semaphore.Acquire()). An Acquire that need not wait succeeds in a cancelled task
// too, and so does one that was served before the cancel arrived.
// Fairness: FIFO, also among Acquires of different sizes: one that wants many permits is not
// starved by those that want few, as they wait behind it. Threads: any; a guard may be moved to
// another task or thread. Lifetime: the semaphore outlives its guards and every call, and whoever
// waits (CHECK), until that has gone on. Errors: see each function. Cost: one locked instruction to
// acquire and one to release when nobody waits; nothing allocates.
#ifndef PLAIT_RUNTIME_SYNC_SEMAPHORE_H_
#define PLAIT_RUNTIME_SYNC_SEMAPHORE_H_

#include <coroutine>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/sync/guard_await.h"  // IWYU pragma: export
#include "plait/runtime/sync/wait_notes.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait {
namespace internal {
class SemaphoreCore;
}

// Holds permits, or says why it does not. Movable; gives them back when it dies.
class [[nodiscard]] SemaphoreGuard {
 public:
  // Holds nothing.
  SemaphoreGuard() = default;
  SemaphoreGuard(SemaphoreGuard&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)),
        permits_(std::exchange(other.permits_, 0)),
        error_(std::move(other.error_)) {
    other.error_ = absl::OkStatus();
  }
  SemaphoreGuard& operator=(SemaphoreGuard&& other) noexcept {
    SemaphoreGuard taken(std::move(other));
    std::swap(core_, taken.core_);
    std::swap(permits_, taken.permits_);
    std::swap(error_, taken.error_);
    return *this;
  }
  ~SemaphoreGuard() { Release(); }

  // Whether it holds what was asked for.
  bool ok() const noexcept { return core_ != nullptr; }
  explicit operator bool() const noexcept { return ok(); }
  // OK when it does; else absl::CancelledError after a cancelled Acquire, Unavailable after a
  // TryAcquire in vain, InvalidArgument for a number that can never be had, FailedPrecondition for
  // a guard that was released, moved from or never held anything.
  absl::Status status() const;

  // How many it holds.
  int64_t permits() const noexcept { return permits_; }

  // Before the guard dies. Does nothing when it holds nothing.
  void Release() noexcept;

  // Lets the permits stay taken when the guard dies: somebody else gives them back, by
  // Semaphore::Release.
  void Keep() noexcept {
    core_ = nullptr;
    permits_ = 0;
  }

 private:
  friend class internal::SemaphoreCore;

  SemaphoreGuard(internal::SemaphoreCore& core, int64_t permits) noexcept
      : core_(&core), permits_(permits) {}
  explicit SemaphoreGuard(absl::Status error) noexcept : error_(std::move(error)) {}

  internal::SemaphoreCore* core_ = nullptr;
  int64_t permits_ = 0;
  absl::Status error_;
};

namespace internal {

// What both kinds are made of.
class SemaphoreCore {
 public:
  static constexpr int64_t kMaxPermits = int64_t{1} << 60;

  // 0 <= permits <= bound (CHECK, with the name `what`).
  SemaphoreCore(const char* what, int64_t permits, int64_t bound);
  SemaphoreCore(const SemaphoreCore&) = delete;
  SemaphoreCore& operator=(const SemaphoreCore&) = delete;
  ~SemaphoreCore();

  class AcquireAwaiter;
  struct [[nodiscard]] AcquireAwaitable {
    using Guard = SemaphoreGuard;
    SemaphoreCore& core;
    int64_t permits;
    AcquireAwaiter operator co_await() const noexcept;
  };

  SemaphoreGuard TryAcquire(int64_t permits);
  // InvalidArgument when negative, FailedPrecondition when it would exceed the bound; nothing is
  // added then.
  absl::Status Release(int64_t permits);
  int64_t available() const noexcept { return state_.load(kRelaxed) >> 1; }

 private:
  friend class plait::SemaphoreGuard;
  class AcquireWaiter;

  // What is wrong with asking for so many, if anything is.
  absl::Status Refusal(int64_t permits) const;
  bool AcquireNow(int64_t permits) noexcept;
  // Under lock_.
  bool AcquireOrNoteWaiter(int64_t permits) noexcept;
  enum class Added { kYes, kBeyondBound };
  Added Add(int64_t permits) noexcept;
  // Under lock_, with kWaited: serves whom it can, with so many permits there.
  void Serve(int64_t there, WakeList& woken) noexcept;
  static void OnCancel(Waiter& waiter, WakeList& woken) noexcept;
  SemaphoreGuard MakeGuard(int64_t permits) noexcept { return SemaphoreGuard(*this, permits); }
  static SemaphoreGuard MakeGuard(absl::Status error) noexcept {
    return SemaphoreGuard(std::move(error));
  }

  // The number of permits that are there, times two, plus kWaited. With kWaited somebody may wait:
  // the state then changes under lock_ only, and nobody takes permits past the queue.
  static constexpr int64_t kWaited = 1;

  const char* const what_;
  const int64_t bound_;
  Atomic<int64_t> state_;
  SpinLock lock_;  // guards what follows
  WaiterList waiters_;
};

class SemaphoreCore::AcquireWaiter : public Waiter {
 public:
  AcquireWaiter(SemaphoreCore& core, int64_t permits) noexcept : core_(core), permits_(permits) {}

 protected:
  friend class SemaphoreCore;

  SemaphoreCore& core_;
  const int64_t permits_;
};

class [[nodiscard]] SemaphoreCore::AcquireAwaiter : private AcquireWaiter {
 public:
  using AcquireWaiter::AcquireWaiter;

  bool await_ready() noexcept {
    // Nonsense is not waited for; await_resume says what is wrong.
    return permits_ < 0 || (SpendBudget() && core_.AcquireNow(permits_)) || permits_ > core_.bound_;
  }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return Park<&OnCancel>(waiter.promise(), core_.lock_, core_.waiters_, kSemaphoreNote,
                           [this] { return core_.AcquireOrNoteWaiter(permits_); }) ||
           YieldIfSpent(waiter.promise());
  }
  SemaphoreGuard await_resume() { return Finish() ? Served() : Cancelled(); }

 private:
  SemaphoreGuard Served();
  SemaphoreGuard Cancelled();
};

inline SemaphoreCore::AcquireAwaiter SemaphoreCore::AcquireAwaitable::operator co_await()
    const noexcept {
  return AcquireAwaiter(core, permits);
}

}  // namespace internal

class Semaphore {
 public:
  // Begins with so many permits: not negative (CHECK).
  explicit Semaphore(int64_t permits = 1)
      : core_("Semaphore", permits, internal::SemaphoreCore::kMaxPermits) {}

  // co_await: a SemaphoreGuard over `permits` of them, taken all at once. A negative number is not
  // waited for: the guard's status is InvalidArgument.
  internal::SemaphoreCore::AcquireAwaitable Acquire(int64_t permits = 1) noexcept {
    return {core_, permits};
  }

  // Without waiting: a guard that holds nothing when there are not so many, or when others wait.
  SemaphoreGuard TryAcquire(int64_t permits = 1) { return core_.TryAcquire(permits); }

  // Adds permits, which nobody need have taken. Not negative (CHECK).
  void Release(int64_t permits = 1);

  // How many could be taken now. Of use in reports only: it may have changed already.
  int64_t available() const noexcept { return core_.available(); }

 private:
  internal::SemaphoreCore core_;
};

class BoundedSemaphore {
 public:
  // Begins with so many permits, and never has more: not negative (CHECK).
  explicit BoundedSemaphore(int64_t permits = 1) : core_("BoundedSemaphore", permits, permits) {}

  // As with Semaphore. Asking for more than the bound, which nobody could ever serve, is
  // InvalidArgument.
  internal::SemaphoreCore::AcquireAwaitable Acquire(int64_t permits = 1) noexcept {
    return {core_, permits};
  }
  SemaphoreGuard TryAcquire(int64_t permits = 1) { return core_.TryAcquire(permits); }

  // FailedPrecondition, and nothing is added, when there would be more than the bound;
  // InvalidArgument for a negative number. The guard of permits that somebody else has given back
  // adds nothing beyond the bound either.
  absl::Status Release(int64_t permits = 1) { return core_.Release(permits); }

  int64_t available() const noexcept { return core_.available(); }

 private:
  internal::SemaphoreCore core_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_SEMAPHORE_H_
