// DumpTasks: the await tree of the running program: which tasks there are, which coroutines each
// consists of, and what it waits for. For people.
//
//   std::fputs(plait::DumpTasks().c_str(), stderr);
//
//   task 1 "main"
//     Main
//       plait::WithTaskGroup
//         waits for its children
//     task 2 "fetch"
//       Fetch
//         waits for Sleep
//
// Children of a group stand under the task that opened it. Coroutines are named by the program's
// symbols; a stripped program shows addresses. Threads: the coroutines and waits are shown where
// the executor's only thread is the one that asks, as otherwise they change while one looks: for an
// EventLoop, inside its tasks and callbacks. From elsewhere only the tasks are listed, which also
// works while the loop is held by something. Cost: slow; it reads the program's file.
#ifndef PLAIT_RUNTIME_TRACE_DUMP_TASKS_H_
#define PLAIT_RUNTIME_TRACE_DUMP_TASKS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "plait/runtime/core/executor.h"

namespace plait {

// The tasks of this task's executor; empty outside of tasks.
std::string DumpTasks();
std::string DumpTasks(Executor& executor);

// One task of this task's executor, by JoinHandle::id(). NotFound when there is none, or it is
// done.
absl::StatusOr<std::string> DumpTask(uint64_t id);
absl::StatusOr<std::string> DumpTask(Executor& executor, uint64_t id);

namespace internal {

class TaskState;

// What `task`, which is suspended and runs on this thread only, consists of and waits for, indented
// by `depth` steps.
std::string DumpAwaits(const TaskState& task, int depth);

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_RUNTIME_TRACE_DUMP_TASKS_H_
