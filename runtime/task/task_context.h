// TaskContext: what a coroutine knows about where it runs: its executor, its stop state, the task
// that it is part of.
//
// Every coroutine of a task points at one context and hands the pointer to the coroutines that it
// awaits; a scope that changes something (Timeout, a group) puts a context of its own in between. A
// context outlives every coroutine that points at it, as parents outlive their children.
#ifndef PLAIT_RUNTIME_TASK_TASK_CONTEXT_H_
#define PLAIT_RUNTIME_TASK_TASK_CONTEXT_H_

#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/stop_token.h"

namespace plait {

namespace internal {
class TaskState;
struct TaskLocalNode;
}  // namespace internal

struct TaskContext {
  Executor* executor = nullptr;         // never null in a running task
  internal::StopState* stop = nullptr;  // null: cannot be cancelled
  internal::TaskState* task = nullptr;  // the spawned task; never null in a running task
  const internal::TaskLocalNode* locals = nullptr;  // task-locals that are set, innermost first

  bool stop_requested() const noexcept { return stop != nullptr && stop->stop_requested(); }

  // The context of the coroutine that this thread runs now, or null outside of tasks.
  static const TaskContext* Current() noexcept { return internal::thread_state.context; }
};

// The token of the coroutine that runs now; one that is never stopped outside of tasks. Valid while
// its scope lasts.
inline StopToken CurrentStopToken() noexcept {
  const TaskContext* context = TaskContext::Current();
  if (context == nullptr) return StopToken();
  // Others may get it.
  if (internal::thread_state.joins != nullptr && context->stop != nullptr) [[unlikely]]
    context->stop->PassJoins();
  return StopToken(context->stop);
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_TASK_CONTEXT_H_
