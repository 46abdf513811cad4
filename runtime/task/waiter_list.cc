#include "plait/runtime/task/waiter_list.h"

namespace plait::internal {
namespace {

constexpr AwaitKind kWaiterKind{"another task (a value, a lock, a signal)"};
constexpr AwaitNote kWaiterNote{&kWaiterKind};

}  // namespace

void Waiter::Prepare(PromiseBase& promise, SpinLock& lock) noexcept {
  promise_ = &promise;
  lock_ = &lock;
  SetAwaitNote(promise, kWaiterNote);
  // Before it is in a list: once it is, another thread may grant it and free it.
  StopState* stop = promise.context->stop;
  if (stop == nullptr) return;
  registered_ = stop->Register(stop_);
  if (!registered_) outcome_ = Outcome::kCancelled;
}

void Waiter::OnStop(WorkItem& item) noexcept {
  Waiter& self = *static_cast<Stop&>(item).self;
  WakeList woken;
  bool wake = false;
  {
    SpinLockHolder hold(*self.lock_);
    if (self.outcome_ == Outcome::kPending) {
      self.outcome_ = Outcome::kCancelled;
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
