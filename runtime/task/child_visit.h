// ChildVisit: a group's child that runs on another executor than the group, on the books of that
// executor. Internal.
//
// The group owns the child, and cancels and joins it. The executor that it runs on has it among its
// visits besides, so that it can be closed at any time, as with a part that On has there: it
// cancels the child, and waits for it.
#ifndef PLAIT_RUNTIME_TASK_CHILD_VISIT_H_
#define PLAIT_RUNTIME_TASK_CHILD_VISIT_H_

#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/visit_state.h"

namespace plait::internal {

class TaskState;

class ChildVisit final : public VisitState {
 public:
  // Of a child that has not started. Cancels it where the executor is closing.
  static ChildVisit* Begin(Executor& executor, TaskState& child);
  // Before the group hears of the end, on the executor's thread, to which the child is still to
  // return. The last that may be done with it.
  void End(Executor& executor) noexcept;

 private:
  struct OnStop : StopNode {
    using StopNode::StopNode;
    TaskState* child = nullptr;
  };

  explicit ChildVisit(TaskState& child) noexcept;
  static void CancelChild(WorkItem& item) noexcept;

  OnStop on_stop_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_CHILD_VISIT_H_
