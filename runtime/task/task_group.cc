#include "plait/runtime/task/task_group.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/task/describe_exception.h"

namespace plait {

using internal::SpinLockHolder;
using internal::TaskRegistry;
using internal::TaskState;

TaskGroup::TaskGroup(TaskGroupOptions options)
    : on_stop_([](WorkItem& item) noexcept { static_cast<OnStop&>(item).group->Cancel(); }),
      max_in_flight_(options.max_in_flight) {
  scope_.context().task->AddGroup(*this);
  children_.group = this;
  on_stop_.group = this;
  // Whichever way the scope is stopped, the children are told.
  if (!scope_.stop().Register(on_stop_)) Cancel();
}

TaskGroup::~TaskGroup() {
  scope_.context().task->RemoveGroup(*this);
  scope_.stop().Unregister(on_stop_);
  PLAIT_CHECK(joined_,
              "a TaskGroup was destroyed before its children were joined: co_await Join()");
}

bool TaskGroup::closing() const {
  SpinLockHolder hold(lock_);
  return closing_;
}

std::vector<absl::Status> TaskGroup::errors() const {
  SpinLockHolder hold(lock_);
  return errors_;
}

void TaskGroup::StartChild(TaskState& state, const SpawnOptions& options) {
  Executor* executor = options.executor != nullptr ? options.executor : scope_.context().executor;
  bool open = false;
  {
    SpinLockHolder hold(lock_);
    open = !closing_ && counter_.TryAdd();
    if (open) joined_ = false;
  }
  if (!open) {
    state.Reject(absl::FailedPreconditionError(
        "the TaskGroup is closing: it was cancelled or has been joined, and takes no new tasks"));
    return;
  }
  // From a thread that runs no task: the task-locals of the group.
  const bool inherits = options.context != nullptr || TaskContext::Current() != nullptr;
  state.Adopt(*executor, this,
              inherits ? internal::SpawnLocals(options) : scope_.context().locals());
  if (max_in_flight_ > 0) {
    SpinLockHolder hold(lock_);
    if (in_flight_ == max_in_flight_) {
      in_line_.Push(state);
      return;
    }
    ++in_flight_;
  }
  state.Start(options.eager);
}

TaskState* TaskGroup::NextInLine() noexcept {
  if (max_in_flight_ == 0) return nullptr;
  SpinLockHolder hold(lock_);
  WorkItem* next = in_line_.Pop();
  if (next == nullptr) --in_flight_;
  return static_cast<TaskState*>(next);
}

void TaskGroup::Cancel() {
  {
    SpinLockHolder hold(lock_);
    closing_ = true;
  }
  children_.Close();
  // The first request runs on_stop_, and so comes here again. It may end the children right there,
  // and with them the group.
  if (!scope_.stop().RequestStop()) internal::CancelAll(children_);
}

void TaskGroup::Fail(const absl::Status& status, std::exception_ptr exception) {
  {
    SpinLockHolder hold(lock_);
    if (errors_.empty()) exception_ = exception;
    errors_.push_back(exception == nullptr
                          ? status
                          : absl::InternalError(internal::DescribeException(exception)));
  }
  Cancel();
}

void TaskGroup::BodyDone(const absl::Status& status, std::exception_ptr exception) {
  if (exception != nullptr || (!status.ok() && !absl::IsCancelled(status))) {
    Fail(status, std::move(exception));
  } else if (!status.ok()) {
    {
      SpinLockHolder hold(lock_);
      cut_short_ = true;
      if (!closing_) body_cancelled_ = status;
    }
    Cancel();
  }
}

void TaskGroup::ChildDone(TaskRegistry& children, TaskState& child) noexcept {
  TaskGroup& group = *static_cast<Children&>(children).group;
  // First, and not when the group may be gone.
  if (child.context().executor != group.context().executor) [[unlikely]]
    child.EndVisit();
  const std::exception_ptr exception = child.exception();
  const absl::Status error = child.error();
  if (exception != nullptr || (!error.ok() && !absl::IsCancelled(error))) {
    group.Fail(error, exception);
  } else if (child.ended_cancelled()) {
    SpinLockHolder hold(group.lock_);
    group.cut_short_ = true;
  }
  child.MarkRetrieved();
  children.Remove(child);
  // One that waits for the limit is counted, so the group is still there.
  if (TaskState* next = group.NextInLine()) {
    // A cancel that is under way on another thread may not have come to it yet.
    if (group.scope_.stop().stop_requested()) next->Cancel();
    next->Start(/*eager=*/false);
  }
  group.counter_.Done();  // last: the group may go away
}

Task<absl::Status> TaskGroup::Join() {
  // While children run they may spawn more; the count covers those as well, as only what is alive
  // can spawn.
  co_await counter_.Join();
  {
    SpinLockHolder hold(lock_);
    closing_ = true;
    joined_ = true;
  }
  co_return Outcome();
}

absl::Status TaskGroup::Outcome() {
  if (exception_ != nullptr) std::rethrow_exception(exception_);
  if (errors_.empty()) {
    const bool outer_stop = scope_.outer().stop_requested();
    if (cut_short_ && outer_stop) return absl::CancelledError("the task was cancelled");
    return body_cancelled_;
  }
  if (errors_.size() == 1) return errors_.front();
  std::string message(errors_.front().message());
  absl::StrAppend(&message, "; then ", errors_.size() - 1, " more failed: ");
  const char* separator = "";
  for (size_t i = 1; i < errors_.size(); ++i) {
    absl::StrAppend(&message, separator, errors_[i].ToString());
    separator = "; ";
  }
  return absl::Status(errors_.front().code(), message);
}

namespace internal {

std::vector<TaskRef<TaskState>> ChildrenOf(TaskState& task) {
  std::vector<TaskRef<TaskState>> children;
  task.ForEachGroup([&](TaskLink& link) {
    for (auto& child : TasksIn(TaskGroup::Of(link).children()))
      children.push_back(std::move(child));
  });
  return children;
}

}  // namespace internal
}  // namespace plait
