// Waiter and WaiterList: the suspended side of everything that makes a task wait for another
// (Future, Queue, ...).
//
// A primitive has FIFO lists of waiters, each under a lock, which may be any of those below. A
// waiter ends in one of two ways, decided under that lock, so that it has exactly one outcome: it
// is granted what it waits for, or it is cancelled.
//
//   created --Suspend--> waiting --WaiterList::PopFront--> granted --> resumes on its executor
//                           \----stop requested----------> cancelled --> resumes on its executor
//
// Whoever pops a waiter fills in what it waits for, unlocks, and then calls Wake, exactly once; a
// WakeList keeps those that are popped under one hold of the lock until it is released.
//
// Lifetime: the primitive outlives its waiters until they have gone on (Finish), and not only until
// they are woken: a stop request that found one waiting takes the lock, perhaps after the grant,
// and Finish waits for it.
#ifndef PLAIT_RUNTIME_TASK_WAITER_LIST_H_
#define PLAIT_RUNTIME_TASK_WAITER_LIST_H_

#include <cstdint>
#include <memory>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/biased_lock.h"
#include "plait/runtime/core/roving_lock.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/stop_token.h"

namespace plait::internal {

class WaiterList;
class WakeList;

template <class Lock>
struct LockHolderOf;
template <>
struct LockHolderOf<SpinLock> {
  using Type = SpinLockHolder;
};
template <>
struct LockHolderOf<BiasedLock> {
  using Type = BiasedLockHolder;
};
template <>
struct LockHolderOf<RovingLock> {
  using Type = RovingLockHolder;
};
template <class Lock>
using LockHolder = typename LockHolderOf<Lock>::Type;

struct WaiterLink {
  WaiterLink* before;  // null when in no list
  WaiterLink* after;
};

class Waiter : public WaiterLink {
 public:
  enum class Outcome : uint8_t { kPending, kGranted, kCancelled };

  // Most awaits need not wait, so all but what Finish looks at is left for Prepare to fill in.
  Waiter() noexcept {}  // NOLINT: not = default, which would have to make stop_
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // What a cancel does besides, for primitives in which one that leaves the queue may let others
  // go on: runs under the lock, right after a stop request has taken the waiter out of its list.
  // Whom it grants it adds to `woken`.
  using CancelHook = void (*)(Waiter&, WakeList& woken) noexcept;

  // From await_suspend, with `lock` not held: gets ready to wait for `promise`'s coroutine. Then
  // take the lock, look at the condition again, and either add the waiter to a list (unless
  // CancelledEarly) or call Grant. `note`, a constant, tells people what is waited for.
  template <CancelHook kOnCancel = nullptr, class Lock>
  void Prepare(PromiseBase& promise, Lock& lock, const AwaitNote& note) noexcept {
    if (!PrepareAtHome<kOnCancel>(promise, lock, note)) [[unlikely]]
      Register(*promise.context->stop);
  }
  // Prepare where that is soon done and calls nothing; else false, and Prepare is to be called.
  template <CancelHook kOnCancel = nullptr, class Lock>
  [[nodiscard]] bool PrepareAtHome(PromiseBase& promise, Lock& lock,
                                   const AwaitNote& note) noexcept {
    PrepareUncancellable(promise, lock, note);
    StopState* const stop = promise.context->stop;
    if (stop == nullptr) [[unlikely]]
      return true;
    std::construct_at(&stop_, &OnStop<Lock, kOnCancel>, WorkItem::Unlinked())->self = this;
    // Before it is in a list: once it is, another thread may grant it and free it.
    registered_ = stop->RegisterAtHome(stop_);
    return registered_;
  }

  // The same for a wait that no stop request ends.
  template <class Lock>
  void PrepareUncancellable(PromiseBase& promise, Lock& lock, const AwaitNote& note) noexcept {
    before = nullptr;
    promise_ = &promise;
    lock_ = &lock;
    SetAwaitNote(promise, note);
  }

  // All of await_suspend, for the usual case: waits in `list` unless `ready()`, which runs under
  // the lock, also where a stop came before: what need not wait is not cancelled. Gives what
  // await_suspend returns.
  template <CancelHook kOnCancel = nullptr, class Lock, class Ready>
  bool Park(PromiseBase& promise, Lock& lock, WaiterList& list, const AwaitNote& note,
            Ready ready) noexcept;

  // Under the lock: the stop came before the waiter was in a list. It must not be added; call Wake
  // after unlocking.
  bool CancelledEarly() const noexcept { return outcome() == Outcome::kCancelled; }

  // Under the lock: it has what it waits for.
  void Grant() noexcept { outcome_.store(Outcome::kGranted, kRelaxed); }

  // Without the lock: the coroutine goes on, on its own executor. The waiter may be gone after
  // this.
  void Wake() noexcept { promise_->Schedule(); }

  // From await_resume: nothing refers to the waiter afterwards.
  void Leave() noexcept {
    if (registered_) Unregister();
  }
  // After that: it had to wait, and was not granted.
  bool cancelled() const noexcept { return outcome() == Outcome::kCancelled; }
  // Both. True when granted, or when it never had to wait.
  bool Finish() noexcept {
    Leave();
    return !cancelled();
  }

  bool granted() const noexcept { return outcome() == Outcome::kGranted; }  // under the lock

 private:
  struct Stop : StopNode {
    using StopNode::StopNode;
    Waiter* self;
  };
  [[gnu::noinline]] void Register(StopState& stop) noexcept;
  void Unregister() noexcept;
  template <class Lock, CancelHook kOnCancel>
  static void OnStop(WorkItem& item) noexcept;
  // Under the lock, where it has no outcome yet. Whether it was in a list, and is to be woken.
  bool Cancel() noexcept;
  Outcome outcome() const noexcept { return outcome_.load(kRelaxed); }

  PromiseBase* promise_;
  void* lock_;  // of the type that OnStop is made for
  union {
    Stop stop_;  // made by Prepare; needs no destructor
  };
  bool registered_ = false;
  // Written under the lock. Looked at without it by a stop request only, which leaves a waiter
  // alone that has its outcome. Relaxed, as nothing else follows from what it sees.
  Atomic<Outcome> outcome_{Outcome::kPending};
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

  // The same for the newest.
  Waiter* PopBack() noexcept {
    if (empty()) return nullptr;
    auto* waiter = static_cast<Waiter*>(ends_.before);
    Unlink(*waiter);
    waiter->Grant();
    return waiter;
  }

  // Moves all of `other` behind those that are here, in order.
  void Append(WaiterList& other) noexcept {
    if (other.empty()) return;
    other.ends_.after->before = ends_.before;
    ends_.before->after = other.ends_.after;
    other.ends_.before->after = &ends_;
    ends_.before = other.ends_.before;
    other.ends_.before = other.ends_.after = &other.ends_;
  }

  static void Unlink(WaiterLink& link) noexcept {
    link.before->after = link.after;
    link.after->before = link.before;
    link.before = nullptr;
  }

 private:
  WaiterLink ends_;
};

// Waiters that were granted under a lock, to be woken in that order once it is released. It links
// them through what was their place in the list, so it costs nothing.
class WakeList {
 public:
  WakeList() = default;
  WakeList(const WakeList&) = delete;
  WakeList& operator=(const WakeList&) = delete;

  // A waiter that PopFront has given.
  void Add(Waiter& granted) noexcept {
    granted.after = nullptr;
    *last_ = &granted;
    last_ = &granted.after;
  }

  bool empty() const noexcept { return first_ == nullptr; }

  // Without the lock, once.
  void WakeAll() noexcept {
    for (WaiterLink* link = first_; link != nullptr;) {
      auto* waiter = static_cast<Waiter*>(link);
      link = waiter->after;  // the waiter may be gone after it is woken
      waiter->Wake();
    }
  }

 private:
  WaiterLink* first_ = nullptr;
  WaiterLink** last_ = &first_;
};

// Everyone who waits, to be granted and woken. The lock is taken for a few of them at a time, so
// that thousands do not make others spin; a stop request may still take one out meanwhile.
//
// The primitive is there until the last of those who wait goes on, and so one of them, which no
// stop request can take any more, is kept back to the end.
class LeavingList {
 public:
  LeavingList() = default;
  LeavingList(const LeavingList&) = delete;
  LeavingList& operator=(const LeavingList&) = delete;

  // Under the lock: moves all of `waiting` here, behind those that are here.
  void Take(WaiterList& waiting) noexcept {
    if (last_ == nullptr) last_ = waiting.PopBack();
    waiting_.Append(waiting);
    more_ = !waiting_.empty();
  }

  // Without the lock, once: wakes them, in order, but for the first list's newest, which is last.
  // The primitive may be gone after this, or before where there is nobody.
  template <class Lock>
  void WakeAll(Lock& lock) noexcept {
    constexpr int kAtATime = 32;
    while (more_) {
      WakeList woken;
      {
        LockHolder<Lock> hold(lock);
        for (int i = 0; i < kAtATime && !waiting_.empty(); ++i) woken.Add(*waiting_.PopFront());
        more_ = !waiting_.empty();
      }
      woken.WakeAll();
    }
    if (last_ != nullptr) last_->Wake();
  }

 private:
  WaiterList waiting_;      // guarded by the primitive's lock
  Waiter* last_ = nullptr;  // granted
  bool more_ = false;       // waiting_ was not empty when it was looked at last
};

template <Waiter::CancelHook kOnCancel, class Lock, class Ready>
bool Waiter::Park(PromiseBase& promise, Lock& lock, WaiterList& list, const AwaitNote& note,
                  Ready ready) noexcept {
  Prepare<kOnCancel>(promise, lock, note);
  {
    LockHolder<Lock> hold(lock);
    if (ready()) {
      Grant();
      return false;
    }
    if (!CancelledEarly()) {
      list.PushBack(*this);
      return true;
    }
  }
  Wake();  // through the executor, so that a loop of cancelled waits lets others run
  return true;
}

template <class Lock, Waiter::CancelHook kOnCancel>
void Waiter::OnStop(WorkItem& item) noexcept {
  Waiter& self = *static_cast<Stop&>(item).self;
  // Needs no lock then, which others may want. A grant may come right after this look all the same.
  if (self.outcome() != Outcome::kPending) return;
  WakeList woken;
  bool wake = false;
  {
    LockHolder<Lock> hold(*static_cast<Lock*>(self.lock_));
    wake = self.Cancel();
    if constexpr (kOnCancel != nullptr) {
      if (wake) kOnCancel(self, woken);
    }
  }
  woken.WakeAll();
  // Finish waits for this function when it runs on another thread, so `self` is still there.
  if (wake) self.Wake();
}

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_WAITER_LIST_H_
