#include "plait/runtime/task/child_visit.h"

#include "plait/runtime/core/check.h"
#include "plait/runtime/task/task_state.h"

namespace plait::internal {

ChildVisit::ChildVisit(TaskState& child) noexcept : on_stop_(&CancelChild) {
  on_stop_.child = &child;
  const bool registered = stop.Register(on_stop_);
  PLAIT_CHECK(registered, "nobody can have stopped it yet");
}

ChildVisit* ChildVisit::Begin(Executor& executor, TaskState& child) {
  auto* const visit = new ChildVisit(child);
  if (!executor.visits().Add(*visit)) child.Cancel();
  return visit;
}

void ChildVisit::End(Executor& executor) noexcept {
  // Waits for CancelChild where that runs on another thread.
  stop.Unregister(on_stop_);
  executor.visits().Remove(*this);
  Unref();
}

void ChildVisit::CancelChild(WorkItem& item) noexcept {
  TaskState& child = *static_cast<OnStop&>(item).child;
  // There until End, which an executor that runs what it is handed at once may come to right here.
  child.Ref();
  child.Cancel();
  child.Unref();
}

}  // namespace plait::internal
