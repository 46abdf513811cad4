// TaskContext: what a coroutine knows about where it runs: its executor, its stop state, the task
// that it is part of.
//
// Every coroutine of a task points at one context and hands the pointer to the coroutines that it
// awaits; a scope that changes something (Timeout, a group) puts a context of its own in between. A
// context outlives every coroutine that points at it, as parents outlive their children.
#ifndef PLAIT_RUNTIME_TASK_TASK_CONTEXT_H_
#define PLAIT_RUNTIME_TASK_TASK_CONTEXT_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/stop_token.h"

namespace plait {

namespace internal {

class TaskState;
struct TaskLocalNode;

// What few tasks have.
struct TaskExtrasBase {
  const TaskLocalNode* locals = nullptr;
};

// In one word, as most have none of it: nothing, task-locals, a TaskName, or extras, which have
// both of these and more. The lowest bits of the address tell which, and are free as all are
// aligned.
class TaskRarities {
 public:
  using Word = uintptr_t;

  static Word Locals(const TaskLocalNode* locals) noexcept {
    return locals == nullptr ? 0 : reinterpret_cast<Word>(locals) | kLocalsTag;
  }
  // A TaskName.
  static Word Name(const void* name) noexcept { return reinterpret_cast<Word>(name) | kNameTag; }
  static Word Extras(TaskExtrasBase* extras) noexcept { return reinterpret_cast<Word>(extras); }

  // Null where it is something else.
  static const TaskLocalNode* LocalsIn(Word word) noexcept {
    if ((word & kLocalsTag) != 0) return reinterpret_cast<const TaskLocalNode*>(word & ~kTags);
    const TaskExtrasBase* const extras = ExtrasIn(word);
    return extras == nullptr ? nullptr : extras->locals;
  }
  static const void* NameIn(Word word) noexcept {
    return (word & kNameTag) == 0 ? nullptr : reinterpret_cast<const void*>(word & ~kTags);
  }
  static TaskExtrasBase* ExtrasIn(Word word) noexcept {
    return (word & kTags) != 0 ? nullptr : reinterpret_cast<TaskExtrasBase*>(word);
  }

 private:
  static constexpr Word kNameTag = 1;
  static constexpr Word kLocalsTag = 2;
  static constexpr Word kTags = 3;
};

}  // namespace internal

struct TaskContext {
  TaskContext() = default;
  // With the task-locals, and nothing else that few tasks have.
  TaskContext(const TaskContext& other) noexcept
      : executor(other.executor), stop(other.stop), task(other.task) {
    set_locals(other.locals());
  }
  TaskContext& operator=(const TaskContext&) = delete;

  Executor* executor = nullptr;         // never null in a running task
  internal::StopState* stop = nullptr;  // null: cannot be cancelled
  internal::TaskState* task = nullptr;  // the spawned task; never null in a running task
  // Of the task's own context this changes when it gets extras, on any thread.
  internal::Atomic<internal::TaskRarities::Word> rarities{0};

  // Task-locals that are set, innermost first. Acquire: others may have made the extras.
  const internal::TaskLocalNode* locals() const noexcept {
    const internal::TaskRarities::Word word = rarities.load(internal::kAcquire);
    return word == 0 ? nullptr : internal::TaskRarities::LocalsIn(word);
  }
  // Before anybody else sees it.
  void set_locals(const internal::TaskLocalNode* locals) noexcept {
    rarities.store(internal::TaskRarities::Locals(locals), internal::kRelaxed);
  }

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
