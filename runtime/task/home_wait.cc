#include "plait/runtime/task/home_wait.h"

#include <utility>

#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

bool HomeWait::Begin(PromiseBase& waiter, Worker& home, const AwaitNote& note) noexcept {
  BeginUncancellable(waiter, home, note);
  StopState* stop = waiter.context->stop;
  if (stop == nullptr) return true;
  if (!stop->Register(*this)) {
    waiter
        .ScheduleLast();  // through the executor, so that a loop of cancelled waits lets others run
    return false;
  }
  registered_ = true;
  return true;
}

void HomeWait::Happened() noexcept {
  happened_ = true;
  if (registered_ && !waiter_->context->stop->TryUnregister(*this)) return;  // OnStop resumes it
  registered_ = false;
  GoOn();
}

bool HomeWait::RunAtHome(bool (*start)(HomeWait&, PromiseBase&) noexcept) noexcept {
  // As if the coroutine ran here, which is about to wait. The others have had their turn.
  const TaskContext* const outer = std::exchange(thread_state.context, waiter_->context);
  thread_state.budget = kReadyAwaits;
  const bool waits = start(*this, *waiter_);
  thread_state.context = outer;
  return waits;
}

void HomeWait::GoOn() noexcept {
  if (waiter_->context->executor == thread_state.local_executor) [[likely]] {
    waiter_->run(*waiter_);
  } else {
    waiter_->Schedule();  // a task of a Strand, say: this thread is not the strand's now
  }
}

bool HomeWait::StopArrived() noexcept {
  if (Worker::Current() != home_) {
    // The node is out of its list, so its links are free to carry it home.
    home_->Post(*this);
    return false;
  }
  registered_ = false;
  if (!happened_) return true;
  waiter_->Schedule();
  return false;
}

}  // namespace plait::internal
