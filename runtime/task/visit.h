// Visit: a part of a task that runs on another executor than the task's, on the books of that
// executor. Behind On and ParallelFor; internal.
//
//   Visit visit(pool);                          in the awaiting coroutine's frame
//   child.context = &visit.context();           a child that runs there
//   ...                                         the child ends on a thread of the pool, which calls
//   visit.Leave();                              before it sends word home
//
// So the executor can be closed at any time: it asks the parts of others that are there to end, as
// it asks its own tasks, and waits until they have left. A visit that begins while it closes is
// asked to end from the start. The awaiting task, which goes on at home, sees what its part has
// ended with. A stop of the awaiting coroutine's scope reaches the part, not the other way round.
//
// Threads: made and destroyed where the awaiting coroutine runs, Leave on the executor's own
// thread, stop by any. Cost: a small block from the frame pool, and the lock of the executor's
// books, twice.
#ifndef PLAIT_RUNTIME_TASK_VISIT_H_
#define PLAIT_RUNTIME_TASK_VISIT_H_

#include "plait/runtime/core/executor.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {

struct VisitState;

class Visit {
 public:
  // Inside the context of the coroutine that runs on this thread now (CHECK: there is one).
  explicit Visit(Executor& executor);
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  // After Leave.
  ~Visit();

  // The awaiting coroutine's, but for the executor and the stop state.
  const TaskContext& context() const noexcept { return context_; }
  // Asks the part to end.
  void RequestStop() noexcept;
  // The part has ended. Nothing of it may touch the executor after the item that calls this.
  void Leave() noexcept;

 private:
  struct Link : StopNode {
    using StopNode::StopNode;
    Visit* self = nullptr;
  };

  StopState* const outer_;
  TaskContext context_;
  Link link_;
  VisitState* const state_;
};

// For an executor's Close, with its tasks' registry (CancelAll). Asks the visits that are there to
// end. Any thread.
void StopVisits(Executor& executor);

// Of an executor that closes: what is there is asked to end, tasks and visits, and so is what comes
// from now on. Any thread.
void BeginClosing(Executor& executor);

// Whether there are tasks or visits. Any thread.
inline bool HasTasks(const Executor& executor) noexcept {
  return executor.tasks().size() > 0 || executor.visits().size() > 0;
}

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_VISIT_H_
