#include "plait/runtime/task/home_wait.h"

#include <utility>

#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

bool StoppableWait::RunAtHome(bool (*start)(StoppableWait&, PromiseBase&) noexcept) noexcept {
  // As if the coroutine ran here, which is about to wait. The others have had their turn.
  const TaskContext* const outer = std::exchange(thread_state.context, waiter_->context);
  thread_state.budget = kReadyAwaits;
  const bool waits = start(*this, *waiter_);
  thread_state.context = outer;
  return waits;
}

bool StoppableWait::StopArrived(Worker& home) noexcept {
  if (Worker::Current() != &home) {
    // The node is out of its list, so its links are free to carry it home.
    home.Post(*this);
    return false;
  }
  registered_ = false;
  if (!happened_) return true;
  waiter_->Schedule();
  return false;
}

}  // namespace plait::internal
