#include "plait/runtime/task/join_handle.h"

#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/describe_exception.h"
#include "plait/runtime/task/task_group.h"

namespace plait {

TaskHandle CurrentTask() {
  const TaskContext* context = TaskContext::Current();
  if (context == nullptr || context->task == nullptr) return TaskHandle();
  context->task->Ref();
  return TaskHandle(internal::TaskRef<internal::TaskState>(context->task));
}

absl::Status TaskHandle::error() const {
  if (!done()) return absl::FailedPreconditionError("the task has not ended yet");
  state().MarkRetrieved();
  const std::exception_ptr thrown = state().exception();
  if (thrown == nullptr) return state().error();
  return absl::InternalError(internal::DescribeException(thrown));
}

std::exception_ptr TaskHandle::exception() const {
  if (!done()) return nullptr;
  state().MarkRetrieved();
  return state().exception();
}

DoneCallbackHandle TaskHandle::AddCallback(internal::DoneCallback* callback) {
  DoneCallbackHandle handle(callback);
  if (!state().AddWaiter(*callback)) callback->run(*callback);
  return handle;
}

namespace {

void AppendWithChildren(std::vector<TaskHandle>& all,
                        std::vector<internal::TaskRef<internal::TaskState>> tasks) {
  for (auto& task : tasks) {
    std::vector<internal::TaskRef<internal::TaskState>> children = internal::ChildrenOf(*task);
    if (!task->done()) all.emplace_back(std::move(task));
    AppendWithChildren(all, std::move(children));
  }
}

}  // namespace

std::vector<TaskHandle> AllTasks(Executor& executor) {
  std::vector<TaskHandle> all;
  AppendWithChildren(all, internal::TasksIn(executor.tasks()));
  return all;
}

std::vector<TaskHandle> AllTasks() {
  const TaskContext* context = TaskContext::Current();
  return context == nullptr ? std::vector<TaskHandle>() : AllTasks(*context->executor);
}

namespace internal {
namespace {

void VisitJoin(const AwaitNote& note, AwaitVisitor& visitor) {
  visitor.OnTask(JoinAwaiterBase::Awaited(note));
}
constexpr AwaitKind kJoinKind{"a task", &VisitJoin, /*names_task=*/true};

}  // namespace

const TaskState& JoinAwaiterBase::Awaited(const AwaitNote& note) noexcept {
  return *static_cast<const Note&>(note).state;
}

bool JoinAwaiterBase::Suspend(PromiseBase& waiter) noexcept {
  PLAIT_CHECK(waiter.context->task != &state_, "a task cannot await itself: it would never end");
  waiter_ = &waiter;
  note_.kind = &kJoinKind;
  note_.state = &state_;
  SetAwaitNote(waiter, note_);
  stop_.self = this;
  stop_.run = [](WorkItem& item) noexcept { static_cast<Stop&>(item).self->state_.Cancel(); };
  StopState* const stop = waiter.context->stop;
  // Then it may end without running.
  if (stop != nullptr && stop->stop_requested_here()) [[unlikely]]
    state_.Cancel();
  StopNode* link = stop == nullptr ? nullptr : &stop_;
  const bool called = state_.TakeIfNext(waiter);
  if (called && RunCalled(waiter, link)) {
    waiter.next = nullptr;
    if (link == &stop_) waiter_ = nullptr;
    return false;
  }
  if (link != nullptr && !stop->Register(*link)) state_.Cancel();
  done_.self = this;
  done_.run = [](WorkItem& item) noexcept { static_cast<Done&>(item).self->waiter_->Schedule(); };
  // From here on the task's end may resume, and free, the waiter on another thread.
  if (state_.AddWaiter(done_)) return true;
  if (called) {
    // It went on on another thread and has ended; but this one may have to return (see Call).
    waiter.Schedule();
    return true;
  }
  waiter.next = nullptr;
  return YieldIfSpent(waiter);
}

bool JoinAwaiterBase::RunCalled(PromiseBase& waiter, StopNode*& link) noexcept {
  if (link == nullptr) return state_.RunCalled(waiter, sole_);
  ThreadState& thread = thread_state;
  CalledJoin join{.inner = *state_.context().stop,
                  .outer = *waiter.context->stop,
                  .link = link,
                  .below = thread.joins};
  thread.joins = &join;
  const bool ended = state_.RunCalled(waiter, sole_);
  thread.joins = join.below;
  link = join.link;
  return ended;
}

void JoinAwaiterBase::Resume() noexcept {
  if (waiter_ == nullptr) return;
  if (StopState* stop = waiter_->context->stop) stop->Unregister(stop_);
}

}  // namespace internal
}  // namespace plait
