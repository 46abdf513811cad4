#include "plait/runtime/task/waiter_list.h"

#include <memory>

namespace plait::internal {

void Waiter::PrepareUncancellable(PromiseBase& promise, SpinLock& lock,
                                  const AwaitNote& note) noexcept {
  before = nullptr;
  promise_ = &promise;
  lock_ = &lock;
  SetAwaitNote(promise, note);
}

void Waiter::Prepare(PromiseBase& promise, SpinLock& lock, const AwaitNote& note) noexcept {
  PrepareUncancellable(promise, lock, note);
  // Before it is in a list: once it is, another thread may grant it and free it.
  StopState* stop = promise.context->stop;
  if (stop == nullptr) return;
  std::construct_at(&stop_, &OnStop)->self = this;
  registered_ = stop->Register(stop_);
  if (!registered_) outcome_.store(Outcome::kCancelled, kRelaxed);
}

void Waiter::OnStop(WorkItem& item) noexcept {
  Waiter& self = *static_cast<Stop&>(item).self;
  // What comes after a grant may be the end of the lock's owner.
  if (self.outcome() != Outcome::kPending) return;
  WakeList woken;
  bool wake = false;
  {
    SpinLockHolder hold(*self.lock_);
    if (self.outcome() == Outcome::kPending) {
      self.outcome_.store(Outcome::kCancelled, kRelaxed);
      // Otherwise it is not in a list yet, and its own await_suspend will see CancelledEarly.
      wake = self.before != nullptr;
      if (wake) {
        WaiterList::Unlink(self);
        if (self.on_cancel_ != nullptr) self.on_cancel_(self, woken);
      }
    }
  }
  woken.WakeAll();
  // Finish waits for this function when it runs on another thread, so `self` is still there.
  if (wake) self.Wake();
}

void WakeEveryone(SpinLock& lock, WaiterList& leaving) noexcept {
  constexpr int kAtATime = 32;
  for (;;) {
    WakeList woken;
    bool last = false;
    {
      SpinLockHolder hold(lock);
      for (int i = 0; i < kAtATime && !leaving.empty(); ++i) woken.Add(*leaving.PopFront());
      last = leaving.empty();
    }
    woken.WakeAll();
    if (last) return;  // without another look: the lock may be gone once the last one is woken
  }
}

}  // namespace plait::internal
