#include "plait/runtime/task/future.h"

namespace plait::internal {

bool FutureStateBase::Suspend(Waiter& waiter, PromiseBase& promise) noexcept {
  waiter.Prepare(promise, lock_);
  {
    SpinLockHolder hold(lock_);
    if (stage_ != Stage::kEmpty) {
      if (!waiter.CancelledEarly()) waiter.Grant();
      return false;
    }
    if (!waiter.CancelledEarly()) {
      waiters_.PushBack(waiter);
      return true;
    }
  }
  waiter.Wake();  // through the executor, so that a loop of cancelled waits lets others run
  return true;
}

void FutureStateBase::WakeAll() noexcept {
  for (;;) {
    Waiter* waiter = nullptr;
    {
      SpinLockHolder hold(lock_);
      waiter = waiters_.PopFront();
    }
    if (waiter == nullptr) return;
    waiter->Wake();
  }
}

}  // namespace plait::internal
