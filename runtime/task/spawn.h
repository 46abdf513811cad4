// Spawn starts a task; BlockOn waits for one from outside of all tasks.
#ifndef PLAIT_RUNTIME_TASK_SPAWN_H_
#define PLAIT_RUNTIME_TASK_SPAWN_H_

#include <utility>

#include "absl/strings/string_view.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_local.h"
#include "plait/runtime/task/task_state.h"

namespace plait {

struct SpawnOptions {
  // For people: shows in dumps and reports. Copied.
  absl::string_view name = {};
  // Where the task runs; null for the executor of the task that spawns it. Outlives the task.
  Executor* executor = nullptr;
  // Runs the task up to its first wait inside Spawn, where it runs on the spawning task's executor;
  // one that ends without a wait never goes through the queue. Elsewhere, and when eager tasks
  // start eager tasks many deep, it begins on a later turn as any other.
  bool eager = false;
  // The task-locals that it sees; null for those of the task that spawns it. Copied.
  const TaskLocals* context = nullptr;
  // In place of `name`, for tasks that are many: not copied, and nothing is allocated for it,
  // unless the task has task-locals besides.
  const TaskName* lasting_name = nullptr;
};

namespace internal {

// Starts a task on the executor that `options` and the running task name; CHECKs that there is one.
void StartSpawned(TaskState& state, const SpawnOptions& options) noexcept;
// The same with the options that most have: none.
void StartSpawned(TaskState& state) noexcept;
// Those of `options`, or else of the running coroutine.
const TaskLocalNode* SpawnLocals(const SpawnOptions& options) noexcept;

// Without a name.
template <class T>
[[gnu::always_inline]] inline TaskRef<TaskStateOf<T>> MakeTaskState(
    Task<T>& task, TaskRegistry* siblings = nullptr) {
  TaskPromise<T>* promise = task.Release();
  PLAIT_CHECK(promise != nullptr, "spawning a Task that was moved from or awaited before");
  if (siblings != nullptr) return TaskRef<TaskStateOf<T>>(new ChildStateOf<T>(*promise, *siblings));
  return TaskRef<TaskStateOf<T>>(new TaskStateOf<T>(*promise));
}
// In the group of `siblings`, or in none.
template <class T>
TaskRef<TaskStateOf<T>> MakeTaskState(Task<T> task, absl::string_view name,
                                      const TaskName* lasting_name = nullptr,
                                      TaskRegistry* siblings = nullptr) {
  TaskRef<TaskStateOf<T>> state = MakeTaskState(task, siblings);
  if (lasting_name != nullptr) {
    state->set_name(*lasting_name);
  } else {
    state->set_name(name);
  }
  return state;
}

// Starts `state` and returns once it is done.
void BlockOnState(Executor& executor, TaskState& state);

}  // namespace internal

// Starts `task` as a task of its own, which begins on a later turn of its executor, in the order of
// spawning. Inside a task, from any executor; elsewhere, from any thread, with options.executor. A
// Task that was moved from, no executor, or one that is closed is a programming error (CHECK); on
// one that is being closed the task is cancelled from the beginning. A spawned task does not
// inherit the stop token: it is cancelled through its handle, or by the end of Run. Costs two
// pooled blocks of memory, one of them the coroutine's own frame.
template <class T>
JoinHandle<T> Spawn(Task<T> task) {
  auto state = internal::MakeTaskState(task);
  internal::StartSpawned(*state);
  return JoinHandle<T>(std::move(state));
}
template <class T>
JoinHandle<T> Spawn(Task<T> task, SpawnOptions options) {
  auto state = internal::MakeTaskState(std::move(task), options.name, options.lasting_name);
  internal::StartSpawned(*state, options);
  return JoinHandle<T>(std::move(state));
}

// Runs `task` on `executor` and blocks this thread until it has ended; returns its result, rethrows
// its exception. An EventLoop that is not running runs on this thread meanwhile. Calling it inside
// a task is a programming error (CHECK): it would block the executor; use co_await.
template <class T>
T BlockOn(Executor& executor, Task<T> task) {
  auto state = internal::MakeTaskState(std::move(task), "main");
  internal::BlockOnState(executor, *state);
  state->MarkRetrieved();
  return state->result().Take();
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_SPAWN_H_
