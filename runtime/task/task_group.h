// TaskGroup: a scope that joins its children. (Elsewhere: nursery, JoinSet.)
//
//   auto body = [&](plait::TaskGroup& group) -> plait::Task<absl::Status> {
//     for (int n = 0; n < 5; ++n) group.Spawn(Work(n));
//     co_return absl::OkStatus();
//   };
//   absl::Status status = co_await plait::WithTaskGroup(body);
//   // all five have ended here, however they ended
//
// Errors: the first child (or the body) that fails, by a status that is an error or by an
// exception, cancels the others and the body. Once all have ended, WithTaskGroup gives that
// failure, with the messages of the later ones appended, and rethrows it if it was an exception. A
// child that ends with absl::CancelledError is not a failure. errors() has them all. Cancellation:
// a cancel of the task around it cancels the body and every child; WithTaskGroup still joins them,
// and then ends with absl::CancelledError if that cut anything short. Threads: Spawn and Cancel may
// be called from any thread while the group is open; the group belongs to the coroutine that made
// it. The callable given to WithTaskGroup is kept alive until its coroutine has ended.
#ifndef PLAIT_RUNTIME_TASK_TASK_GROUP_H_
#define PLAIT_RUNTIME_TASK_TASK_GROUP_H_

#include <coroutine>
#include <cstddef>
#include <exception>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/task_registry.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/scope.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_state.h"

namespace plait {

struct TaskGroupOptions {
  // How many children run at once: further ones begin, in the order of their Spawn, when others
  // have ended. Spawn itself never waits. One that is cancelled while it waits for its turn ends
  // when that comes. 0: no limit.
  size_t max_in_flight = 0;
};

class TaskGroup : private internal::TaskLink {
 public:
  // Inside a task only (CHECK), in the frame of the coroutine that will join it. WithTaskGroup does
  // it for you.
  explicit TaskGroup(TaskGroupOptions options = {});
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  // Every child must have been joined (CHECK).
  ~TaskGroup();

  // Starts `task` as a child, on the group's executor or options.executor. A group that is closing,
  // because it was cancelled or its end was reached, rejects it: the task never runs, and its
  // handle is done, with FailedPrecondition where T carries a status (elsewhere awaiting it is a
  // CHECK; look at cancelled() first).
  template <class T>
  JoinHandle<T> Spawn(Task<T> task, SpawnOptions options = {}) {
    auto state =
        internal::MakeTaskState(std::move(task), options.name, options.lasting_name, &children_);
    StartChild(*state, options);
    return JoinHandle<T>(std::move(state));
  }

  // Asks the body and all children to end, and closes the group to new ones. Does not wait.
  void Cancel();

  // Whether Spawn would reject a task.
  bool closing() const;

  // co_await: until no child is left; then closes the group and gives its outcome. Once.
  Task<absl::Status> Join();

  // Every failure so far, oldest first; an exception appears as Internal.
  std::vector<absl::Status> errors() const;

  // For the runtime. StartChild is Spawn, of a task that is made already.
  void StartChild(internal::TaskState& state, const SpawnOptions& options);
  internal::TaskRegistry& children() noexcept { return children_; }
  const TaskContext& context() const noexcept { return scope_.context(); }
  static void ChildDone(internal::TaskRegistry& children, internal::TaskState& child) noexcept;
  static TaskGroup& Of(internal::TaskLink& link) noexcept { return static_cast<TaskGroup&>(link); }
  // Takes note of how the body ended.
  void BodyDone(const absl::Status& status, std::exception_ptr exception);

 private:
  struct Children : internal::TaskRegistry {
    TaskGroup* group = nullptr;
  };
  struct OnStop : internal::StopNode {
    using StopNode::StopNode;
    TaskGroup* group = nullptr;
  };

  void Fail(const absl::Status& status, std::exception_ptr exception);
  // A child has ended: the next that waits for the limit, if any, takes its place.
  internal::TaskState* NextInLine() noexcept;
  absl::Status Outcome();

  internal::Scope scope_;
  OnStop on_stop_;
  Children children_;
  internal::JoinCounter counter_;
  const size_t max_in_flight_;
  mutable internal::SpinLock lock_;  // guards what follows
  size_t in_flight_ = 0;             // counted only where there is a limit
  WorkQueue in_line_;                // children that wait for the limit
  bool closing_ = false;
  bool joined_ = true;      // nothing to join yet
  bool cut_short_ = false;  // a child or the body ended with Cancelled
  absl::Status
      body_cancelled_;  // the body ended with Cancelled though nobody had cancelled the group
  std::vector<absl::Status> errors_;
  std::exception_ptr exception_;  // if that was the first failure
};

// Runs `body(group)` and joins everything that it spawned; see the top of this file.
template <class F>
Task<absl::Status> WithTaskGroup(TaskGroupOptions options, F body) {
  TaskGroup group(options);
  internal::Result<absl::Status> ended;
  co_await internal::AwaitInto<absl::Status>(body(group), &group.context(), ended);
  group.BodyDone(ended.has_value() ? ended.value() : absl::OkStatus(), ended.exception());
  co_return co_await group.Join();
}
template <class F>
Task<absl::Status> WithTaskGroup(F body) {
  return WithTaskGroup(TaskGroupOptions(), std::move(body));
}

namespace internal {

// The children, not done yet, of the groups that `task` has open. Any thread.
std::vector<TaskRef<TaskState>> ChildrenOf(TaskState& task);

}  // namespace internal

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_TASK_GROUP_H_
