#include "plait/schedulers/process_pool/remote_executor.h"

#include "plait/runtime/task/await_note.h"

namespace plait::internal {
namespace {

constexpr NamedNote kNote("a call of another process");

}  // namespace

RemoteCallWait::RemoteCallWait(RemoteExecutor& executor) noexcept
    : executor_(executor), stop_(&OnStop) {
  run = &OnEnd;
  stop_.self = this;
}

void RemoteCallWait::Suspend(PromiseBase& waiter) noexcept {
  waiter_ = &waiter;
  SetAwaitNote(waiter, kNote);
  StopState* const stop = waiter.context->stop;
  if (stop != nullptr) {
    registered_ = true;  // before: the call may end, and this be gone, at any time after
    if (!stop->Register(stop_)) {
      status = absl::CancelledError("cancelled before it was called");
      waiter.Schedule();  // through the executor, so that a loop of cancelled calls lets others run
      return;
    }
  }
  executor_.Start(*this);
}

void RemoteCallWait::Arrive() noexcept {
  // Both sides: what the first to come did is visible to the other, which goes on.
  if (one_is_done_.exchange(true, kAcqRel)) waiter_->Schedule();
}

void RemoteCallWait::OnEnd(WorkItem& item) noexcept {
  auto& self = static_cast<RemoteCallWait&>(static_cast<RemoteCall&>(item));
  if (self.registered_ && !self.waiter_->context->stop->TryUnregister(self.stop_)) {
    self.Arrive();
  } else {
    self.waiter_->Schedule();
  }
}

void RemoteCallWait::OnStop(WorkItem& item) noexcept {
  RemoteCallWait& self = *static_cast<Stop&>(static_cast<StopNode&>(item)).self;
  self.executor_.Cancel(self);
  self.Arrive();
}

}  // namespace plait::internal
