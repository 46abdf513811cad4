#include "plait/runtime/sync/barrier.h"

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/sync/wait_notes.h"

namespace plait {

using internal::SpinLockHolder;
using internal::WakeList;

Barrier::Barrier(int parties) : parties_(parties) {
  PLAIT_CHECK(parties > 0,
              absl::StrCat("a Barrier needs at least 1 party, and was given ", parties));
}

Barrier::~Barrier() {
  PLAIT_CHECK(waiters_.empty(), "a Barrier was destroyed while a task waits at it");
}

void Barrier::LetGo(bool broken, WakeList& woken) noexcept {
  // All of them under one hold of the lock: a cancel must not find a round half let go.
  for (int index = 0; !waiters_.empty(); ++index) {
    auto* waiter = static_cast<WaitAwaiter*>(waiters_.PopFront());
    waiter->index_ = broken ? kBroken : index;
    woken.Add(*waiter);
  }
  waiting_ = 0;
}

bool Barrier::ArriveUnderLock(WaitAwaiter& arriving, WakeList& woken) noexcept {
  if (broken_) {
    arriving.index_ = kBroken;
    return true;
  }
  if (waiting_ + 1 < parties_) return false;
  arriving.index_ = waiting_;
  LetGo(/*broken=*/false, woken);
  return true;
}

bool Barrier::ArriveNow(WaitAwaiter& arriving) noexcept {
  WakeList woken;
  bool ready = false;
  {
    SpinLockHolder hold(lock_);
    ready = ArriveUnderLock(arriving, woken);
  }
  woken.WakeAll();
  return ready;
}

bool Barrier::Suspend(WaitAwaiter& arriving, internal::PromiseBase& promise) noexcept {
  WakeList woken;
  const bool waits =
      arriving.Park<&WaitAwaiter::OnCancel>(promise, lock_, waiters_, internal::kBarrierNote, [&] {
        const bool ready = ArriveUnderLock(arriving, woken);
        if (!ready && !arriving.CancelledEarly()) ++waiting_;
        return ready;
      });
  woken.WakeAll();
  return waits;
}

void Barrier::WaitAwaiter::OnCancel(internal::Waiter& waiter, WakeList&) noexcept {
  --static_cast<WaitAwaiter&>(waiter).barrier_.waiting_;
}

absl::StatusOr<int> Barrier::WaitAwaiter::await_resume() {
  if (!Finish()) return absl::CancelledError("the wait at a Barrier was cancelled");
  if (index_ == kBroken) return absl::AbortedError("the Barrier is broken");
  return index_;
}

void Barrier::Reset() noexcept {
  WakeList woken;
  {
    SpinLockHolder hold(lock_);
    broken_ = false;
    LetGo(/*broken=*/true, woken);
  }
  woken.WakeAll();
}

void Barrier::Abort() noexcept {
  WakeList woken;
  {
    SpinLockHolder hold(lock_);
    broken_ = true;
    LetGo(/*broken=*/true, woken);
  }
  woken.WakeAll();
}

int Barrier::waiting() const noexcept {
  SpinLockHolder hold(lock_);
  return waiting_;
}

bool Barrier::broken() const noexcept {
  SpinLockHolder hold(lock_);
  return broken_;
}

}  // namespace plait
