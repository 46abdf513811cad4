#include "plait/runtime/task/waiter_list.h"

#include <memory>

#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

void Waiter::BeCancellable() noexcept {
  // Before it is in a list: once it is, another thread may grant it and free it.
  StopState* stop = promise_->context->stop;
  if (stop == nullptr) return;
  std::construct_at(&stop_, &OnStop)->self = this;
  if (promise_->context->executor == thread_state.sole_executor && stop->RegisterAtHome(stop_)) {
    registered_ = true;
    return;
  }
  Register(*stop);
}

void Waiter::Register(StopState& stop) noexcept {
  registered_ = promise_->context->executor == thread_state.sole_executor
                    ? stop.RegisterOnOnlyThread(stop_)
                    : stop.Register(stop_);
  if (!registered_) outcome_.store(Outcome::kCancelled, kRelaxed);
}

void Waiter::Unregister() noexcept {
  StopState& stop = *promise_->context->stop;
  if (!stop.UnregisterAtHome(stop_)) stop.Unregister(stop_);
}

void Waiter::OnStop(WorkItem& item) noexcept {
  Waiter& self = *static_cast<Stop&>(item).self;
  // Needs no lock then, which others may want. A grant may come right after this look all the same.
  if (self.outcome() != Outcome::kPending) return;
  WakeList woken;
  bool wake = false;
  if (self.lock_is_biased_) {
    BiasedLockHolder hold(*static_cast<BiasedLock*>(self.lock_));
    wake = self.Cancel(woken);
  } else {
    SpinLockHolder hold(*static_cast<SpinLock*>(self.lock_));
    wake = self.Cancel(woken);
  }
  woken.WakeAll();
  // Finish waits for this function when it runs on another thread, so `self` is still there.
  if (wake) self.Wake();
}

bool Waiter::Cancel(WakeList& woken) noexcept {
  if (outcome() != Outcome::kPending) return false;
  outcome_.store(Outcome::kCancelled, kRelaxed);
  // Else it is not in a list yet, and its own await_suspend will see CancelledEarly.
  if (before == nullptr) return false;
  WaiterList::Unlink(*this);
  if (on_cancel_ != nullptr) on_cancel_(*this, woken);
  return true;
}

}  // namespace plait::internal
