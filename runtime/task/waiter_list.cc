#include "plait/runtime/task/waiter_list.h"

#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

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

bool Waiter::Cancel() noexcept {
  if (outcome() != Outcome::kPending) return false;
  outcome_.store(Outcome::kCancelled, kRelaxed);
  // Else it is not in a list yet, and its own await_suspend will see CancelledEarly.
  if (before == nullptr) return false;
  WaiterList::Unlink(*this);
  return true;
}

}  // namespace plait::internal
