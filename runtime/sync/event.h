// Event: a flag that tasks wait for. (asyncio: Event; elsewhere: a manual-reset event.)
//
//   plait::Event ready;
//   co_await plait::OrReturn(ready.Wait());      // until somebody calls Set
//   ready.Set();                                 // from any thread
//
// Set lets everyone go who waits, in the order of their arrival, and whoever comes later passes at
// once, until Clear. One that waited when Set was called goes on even if Clear follows before its
// turn. Cancellation: a cancelled Wait gives absl::CancelledError. A Wait on an event that is set
// succeeds in a cancelled task too; after 128 in a row it gives other tasks a turn. Threads: any;
// what came before Set is visible after the Wait. Lifetime: the event outlives whoever waits
// (CHECK), until that has gone on: the last of them may destroy it, even if Set has not returned on
// its thread. Cost: a Wait on an event that is set is a load; nothing allocates.
#ifndef PLAIT_RUNTIME_SYNC_EVENT_H_
#define PLAIT_RUNTIME_SYNC_EVENT_H_

#include <coroutine>
#include <cstdint>

#include "absl/status/status.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/sync/wait_notes.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait {

class Event {
  class WaitAwaiter;
  struct [[nodiscard]] WaitAwaitable {
    Event& event;
    WaitAwaiter operator co_await() const noexcept;
  };

 public:
  explicit Event(bool set = false) : state_(set ? kSet : kClear) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  // co_await: an absl::Status, OK once the event is set.
  WaitAwaitable Wait() noexcept { return WaitAwaitable{*this}; }

  // Setting again does nothing, and neither does clearing again.
  void Set() noexcept;
  void Clear() noexcept;
  // Acquire: what came before Set is visible to whoever sees it.
  bool IsSet() const noexcept { return state_.load(internal::kAcquire) != kClear; }

 private:
  // kClear --Set, under lock_--> kSetting --Set, without it--> kSet;  Clear, under lock_ --> kClear
  //
  // In kSetting a Set is not through with the event yet: nobody who waits may go on, and perhaps
  // destroy it.
  enum State : uint8_t { kClear, kSetting, kSet };

  // Returns once no Set is in kSetting: a few instructions.
  void AwaitSetter() const noexcept;

  class [[nodiscard]] WaitAwaiter : private internal::Waiter {
   public:
    explicit WaitAwaiter(Event& event) noexcept : event_(event) {}

    bool await_ready() const noexcept {
      return event_.state_.load(internal::kAcquire) == kSet && internal::SpendBudget();
    }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
      const bool waits = Park(waiter.promise(), event_.lock_, event_.waiters_, internal::kEventNote,
                              [this] { return event_.IsSet(); });
      if (waits) return true;
      event_.AwaitSetter();
      return internal::YieldIfSpent(waiter.promise());
    }
    absl::Status await_resume() {
      if (Finish()) return absl::OkStatus();
      return absl::CancelledError("the wait for an Event was cancelled");
    }

   private:
    Event& event_;
  };

  internal::Atomic<State> state_;
  internal::SpinLock lock_;  // guards what follows
  internal::WaiterList waiters_;
};

inline Event::WaitAwaiter Event::WaitAwaitable::operator co_await() const noexcept {
  return WaitAwaiter(event);
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_EVENT_H_
