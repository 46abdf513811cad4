// Waiter and WaiterList: the suspended side of everything that makes a task wait for another
// (Future, Queue, ...).
//
// A primitive has one SpinLock and, under it, FIFO lists of waiters. A waiter ends in one of two
// ways, decided under that lock, so that it has exactly one outcome: it is granted what it waits
// for, or it is cancelled.
//
//   created --Suspend--> waiting --WaiterList::PopFront--> granted --> resumes on its executor
//                           \----stop requested----------> cancelled --> resumes on its executor
//
// Whoever pops a waiter fills in what it waits for, unlocks, and then calls Wake, exactly once.
#ifndef PLAIT_RUNTIME_TASK_WAITER_LIST_H_
#define PLAIT_RUNTIME_TASK_WAITER_LIST_H_

#include <cstdint>

#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/stop_token.h"

namespace plait::internal {

struct WaiterLink {
  WaiterLink* before = nullptr;  // null when in no list
  WaiterLink* after = nullptr;
};

class Waiter : public WaiterLink {
 public:
  enum class Outcome : uint8_t { kPending, kGranted, kCancelled };

  Waiter() : stop_(&OnStop) { stop_.self = this; }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // From await_suspend, with `lock` not held: gets ready to wait for `promise`'s coroutine. Then
  // take the lock, look at the condition again, and either add the waiter to a list (unless
  // CancelledEarly) or call Grant.
  void Prepare(PromiseBase& promise, SpinLock& lock) noexcept;

  // Under the lock: the stop came before the waiter was in a list. It must not be added; call Wake
  // after unlocking.
  bool CancelledEarly() const noexcept { return outcome_ == Outcome::kCancelled; }

  // Under the lock: it has what it waits for.
  void Grant() noexcept { outcome_ = Outcome::kGranted; }

  // Without the lock: the coroutine goes on, on its own executor. The waiter may be gone after
  // this.
  void Wake() noexcept { promise_->Schedule(); }

  // From await_resume: nothing refers to the waiter afterwards. True when granted.
  bool Finish() noexcept;

 private:
  struct Stop : StopNode {
    using StopNode::StopNode;
    Waiter* self = nullptr;
  };
  static void OnStop(WorkItem& item) noexcept;

  PromiseBase* promise_ = nullptr;
  SpinLock* lock_ = nullptr;
  Stop stop_;
  bool registered_ = false;
  Outcome outcome_ = Outcome::kPending;
};

// FIFO; guarded by its primitive's lock. Everything is O(1).
class WaiterList {
 public:
  WaiterList() noexcept { ends_.before = ends_.after = &ends_; }
  WaiterList(const WaiterList&) = delete;
  WaiterList& operator=(const WaiterList&) = delete;

  bool empty() const noexcept { return ends_.after == &ends_; }

  void PushBack(Waiter& waiter) noexcept {
    waiter.before = ends_.before;
    waiter.after = &ends_;
    ends_.before->after = &waiter;
    ends_.before = &waiter;
  }

  Waiter* Front() noexcept { return empty() ? nullptr : static_cast<Waiter*>(ends_.after); }

  // Takes the oldest out and grants it; null when empty. The caller wakes it once the lock is
  // released.
  Waiter* PopFront() noexcept {
    if (empty()) return nullptr;
    auto* waiter = static_cast<Waiter*>(ends_.after);
    Unlink(*waiter);
    waiter->Grant();
    return waiter;
  }

  static void Unlink(WaiterLink& link) noexcept {
    link.before->after = link.after;
    link.after->before = link.before;
    link.before = nullptr;
  }

 private:
  WaiterLink ends_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_WAITER_LIST_H_
