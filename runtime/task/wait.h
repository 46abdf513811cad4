// Wait: waits for several tasks that run by themselves, and tells which have ended. Shield: waits
// for one, without passing a cancel on to it.
//
//   absl::StatusOr<plait::WaitResult> ended =
//       co_await plait::Wait(handles, plait::WaitFor::kFirstCompleted);
//   for (size_t i : ended->done) Use(handles[i].result());
//
// Unlike Gather and Select, neither owns the tasks: a cancel of the waiting task ends the wait,
// with absl::CancelledError, and leaves them running; so does a Timeout around it. Waiting for
// nothing, or on a handle that is empty, gives InvalidArgument. Threads: the tasks may run on any
// executors. Cost: an allocation or two per Wait, none per task.
#ifndef PLAIT_RUNTIME_TASK_WAIT_H_
#define PLAIT_RUNTIME_TASK_WAIT_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_state.h"

namespace plait {

enum class WaitFor : uint8_t {
  kAll,
  kFirstCompleted,
  // All, or the first that ends with an error or an exception; a cancelled one counts.
  kFirstError,
};

// Indices into the handles, ascending.
struct WaitResult {
  std::vector<size_t> done;
  std::vector<size_t> pending;
};

namespace internal {

using TaskRefs = std::vector<TaskRef<TaskState>>;

Task<absl::StatusOr<WaitResult>> WaitForTasks(TaskRefs tasks, WaitFor what);
TaskRef<TaskState> RefOf(const TaskHandle& handle);

template <class T>
Task<WithStatus<T>> RunShielded(JoinHandle<T> handle) {
  TaskRefs tasks;
  tasks.push_back(RefOf(handle));
  const absl::StatusOr<WaitResult> waited = co_await WaitForTasks(std::move(tasks), WaitFor::kAll);
  if (!waited.ok()) co_return waited.status();
  co_return handle.result();
}

}  // namespace internal

// `handles`: a range of JoinHandles or TaskHandles, which is not looked at after this call.
template <class Handles>
Task<absl::StatusOr<WaitResult>> Wait(const Handles& handles, WaitFor what = WaitFor::kAll) {
  internal::TaskRefs tasks;
  for (const TaskHandle& handle : handles) tasks.push_back(internal::RefOf(handle));
  return internal::WaitForTasks(std::move(tasks), what);
}

// Waits for `handle`'s task; when the waiting task is cancelled it goes on at once, with
// absl::CancelledError, and the awaited one runs on. A Task is spawned first, on this executor, and
// so runs even if the Shield is never awaited. A T that can be copied stays with the handle as
// well.
template <class T>
Task<internal::WithStatus<T>> Shield(const JoinHandle<T>& handle) {
  return internal::RunShielded(handle.Share());
}
template <class T>
Task<internal::WithStatus<T>> Shield(Task<T> task) {
  return internal::RunShielded(Spawn(std::move(task)));
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_WAIT_H_
