#include "plait/runtime/task/join_handle.h"

namespace plait {

TaskHandle CurrentTask() {
  const TaskContext* context = TaskContext::Current();
  if (context == nullptr || context->task == nullptr) return TaskHandle();
  context->task->Ref();
  return TaskHandle(internal::TaskRef<internal::TaskState>(context->task));
}

namespace internal {

bool JoinAwaiterBase::Suspend(PromiseBase& waiter) noexcept {
  PLAIT_CHECK(waiter.context->task != &state_, "a task cannot await itself: it would never end");
  waiter_ = &waiter;
  done_.self = this;
  done_.run = [](WorkItem& item) noexcept { static_cast<Done&>(item).self->waiter_->Schedule(); };
  stop_.self = this;
  stop_.run = [](WorkItem& item) noexcept { static_cast<Stop&>(item).self->state_.Cancel(); };
  StopState* stop = waiter.context->stop;
  if (stop != nullptr && !stop->Register(stop_)) state_.Cancel();
  // From here on the task's end may resume, and free, the waiter on another thread.
  return state_.AddWaiter(done_);
}

void JoinAwaiterBase::Resume() noexcept {
  if (waiter_ == nullptr) return;
  if (StopState* stop = waiter_->context->stop) stop->Unregister(stop_);
}

}  // namespace internal
}  // namespace plait
