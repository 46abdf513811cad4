// Barrier: a number of tasks wait until all of them are there, and then all go on; again and again.
//
//   plait::Barrier round(4);
//   // in four tasks:
//   absl::StatusOr<int> index = co_await round.Wait();     // 0 to 3, in the order of arrival
//   if (index.ok() && *index == 0) StartOfRound();         // one of them
//
// Once `parties` have arrived they are let go together and the barrier is empty again: who comes
// next waits for the next round. Abort breaks the barrier for good: all who wait, and all who come,
// get absl::AbortedError (asyncio: BrokenBarrierError). Reset lets those who wait go with that
// error and makes the barrier whole and empty. Cancellation: a cancelled Wait gives
// absl::CancelledError and has not arrived, so one more is waited for; one whose round was complete
// before the cancel arrived succeeds. Threads: any; what came before a Wait is visible after the
// Waits of its round. Lifetime: the barrier outlives whoever waits (CHECK), until that has gone on:
// the last of them may destroy it. A barrier of no or fewer parties is a programming error (CHECK).
// Cost: a spin lock, which the last to arrive holds while it lets the others go; nothing allocates.
#ifndef PLAIT_RUNTIME_SYNC_BARRIER_H_
#define PLAIT_RUNTIME_SYNC_BARRIER_H_

#include <coroutine>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait {

class Barrier {
  class WaitAwaiter;
  struct [[nodiscard]] WaitAwaitable {
    Barrier& barrier;
    WaitAwaiter operator co_await() const noexcept;
  };

 public:
  // At least 1 (CHECK).
  explicit Barrier(int parties);
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;
  ~Barrier();

  // co_await: an absl::StatusOr<int>, the place in the order of arrival.
  WaitAwaitable Wait() noexcept { return WaitAwaitable{*this}; }

  void Reset() noexcept;
  void Abort() noexcept;

  int parties() const noexcept { return parties_; }
  // How many wait now. Of use in reports only.
  int waiting() const noexcept;
  bool broken() const noexcept;

 private:
  static constexpr int kBroken = -1;

  class [[nodiscard]] WaitAwaiter : private internal::Waiter {
   public:
    explicit WaitAwaiter(Barrier& barrier) noexcept : barrier_(barrier) {}

    bool await_ready() noexcept { return barrier_.ArriveNow(*this); }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
      return barrier_.Suspend(*this, waiter.promise());
    }
    absl::StatusOr<int> await_resume();

   private:
    friend class Barrier;
    static void OnCancel(internal::Waiter& waiter, internal::WakeList& woken) noexcept;

    Barrier& barrier_;
    int index_ = 0;  // or kBroken
  };

  // False when it has to wait.
  bool ArriveNow(WaitAwaiter& arriving) noexcept;
  bool Suspend(WaitAwaiter& arriving, internal::PromiseBase& promise) noexcept;
  // Under lock_.
  bool ArriveUnderLock(WaitAwaiter& arriving, internal::WakeList& woken) noexcept;
  void LetGo(bool broken, internal::WakeList& woken) noexcept;

  const int parties_;
  mutable internal::SpinLock lock_;  // guards what follows
  bool broken_ = false;
  int waiting_ = 0;
  internal::WaiterList waiters_;
};

inline Barrier::WaitAwaiter Barrier::WaitAwaitable::operator co_await() const noexcept {
  return WaitAwaiter(barrier);
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_BARRIER_H_
