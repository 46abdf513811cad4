#include "plait/runtime/task/join_handle.h"

#include <new>

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

JoinAwaiterBase::Done::Done(PromiseBase& promise) noexcept
    : WorkItem(+[](WorkItem& item) noexcept { static_cast<Done&>(item).waiter.Schedule(); }),
      waiter(promise) {}

[[gnu::always_inline]] inline bool TaskState::TakeIfNext(const PromiseBase& awaiter) noexcept {
  Executor* const executor = awaiter.context->executor;
  ThreadState& thread = thread_state;
  // Cancelled ones may not have to run; what stands in for a coroutine (Select) has others to wait
  // for besides; and now and then it is the others' turn.
  if (context_.executor != executor || awaiter.run == &ProxyPromise::RunProxy ||
      thread.budget < kReadyAwaitsOfCall || stop_.stop_requested_here()) {
    return false;
  }
  if (executor == thread.list_executor) {
    // In debug mode each item's time is told. (A Strand's turn is one item, whatever runs in it.)
    if (executor->hooks().debug || !thread.local_ready->PopOnly(*this)) return false;
  } else if (!executor->TakeIfNext(*this)) {
    return false;
  }
  thread.budget -= kReadyAwaitsOfCall;
  return true;
}

[[gnu::always_inline]] inline void TaskState::FinishForSole() noexcept {
  const TaskObserver::Ending ending = NoteEnding();
  // First, as the others who may have come to know of it found it there. The executor is not gone
  // by this: the awaiter is a part of a task of its own.
  const Owner owned_by = owner();
  context_.executor->tasks().Remove(*this, owned_by == kOwnExecutor);
  // Acquire: what those who found it, and gave up their references, have left. Two: the task's own,
  // and the handle of who awaits it.
  if (references_.load(kAcquire) == (2 * kReference | owned_by) && waiters_.load(kRelaxed) == 0)
      [[likely]] {
    waiters_.store(DoneWith(ending), kRelaxed);
    references_.store(kReference | owned_by, kRelaxed);
    return;
  }
  MarkDone(ending);
  Unref();
}

[[gnu::always_inline]] inline bool TaskState::RunCalled(PromiseBase& coroutine,
                                                        PromiseBase& awaiter, CalledJoin& join,
                                                        bool sole) noexcept {
  run = &RunDone;
  ThreadState& thread = thread_state;
  // A thread that blocks in it is to be known by it.
  Atomic<const void*>* const shown = thread.shown_task;
  const void* const outer = shown != nullptr ? shown->load(kRelaxed) : nullptr;
  if (shown != nullptr) shown->store(this, kRelaxed);
  if (thread.watcher != nullptr) [[unlikely]]
    thread.watcher->OnResume(coroutine);
  thread.context = &context_;
  if (join.outer != nullptr) [[likely]]
    thread.joins = &join;
  const bool ended = Call(coroutine);
  thread.joins = join.below;
  if (ended) [[likely]] {
    // What it could have seen of a stop for as long as it ran counts for how it ended.
    if (join.outer != nullptr && join.outer->stop_requested()) [[unlikely]]
      stop_.RequestStop();
    if (sole && owner() != kGroup) {
      FinishForSole();
    } else {
      Finish();
    }
    thread.context = awaiter.context;
    if (thread.watcher != nullptr) [[unlikely]]
      thread.watcher->OnResume(awaiter);
  }
  if (shown != nullptr) shown->store(outer, kRelaxed);
  return ended;
}

bool JoinAwaiterBase::Suspend(PromiseBase& waiter, void* const& coroutine) noexcept {
  const TaskContext& context = *waiter.context;
  PLAIT_CHECK(context.task != &state_, "a task cannot await itself: it would never end");
  kind = &kJoinKind;
  SetAwaitNote(waiter, *this);
  StopState* const stop = context.stop;
  // Then it may end without running.
  if (stop != nullptr && stop->stop_requested_here()) [[unlikely]]
    state_.Cancel();
  if (!state_.TakeIfNext(waiter)) return Wait(waiter, /*called=*/false);
  CalledJoin join{
      .inner = state_.context().stop, .outer = stop, .link = &link_, .below = thread_state.joins};
  const bool ended = state_.RunCalled(*static_cast<PromiseBase*>(coroutine), waiter, join, sole_);
  if (join.link == nullptr) [[unlikely]]
    NoteRegistered(waiter);
  if (!ended) [[unlikely]]
    return Wait(waiter, /*called=*/true);
  waiter.next = nullptr;
  return false;
}

bool JoinAwaiterBase::Wait(PromiseBase& waiter, bool called) noexcept {
  if (StopState* const stop = waiter.context->stop; stop != nullptr && !registered_) {
    NoteRegistered(waiter);
    auto* const link = ::new (static_cast<void*>(&link_)) StopLink(*state_.context().stop);
    if (!stop->Register(*link)) state_.Cancel();
  }
  auto* const done = ::new (static_cast<void*>(&done_)) Done(waiter);
  // From here on the task's end may resume, and free, the waiter on another thread.
  if (state_.AddWaiter(*done)) return true;
  if (called) {
    // It went on on another thread and has ended; but this one may have to return (see Call).
    waiter.Schedule();
    return true;
  }
  waiter.next = nullptr;
  return YieldIfSpent(waiter);
}

void JoinAwaiterBase::NoteRegistered(PromiseBase& waiter) noexcept {
  registered_ = true;
  ::new (static_cast<void*>(&done_)) Done(waiter);
}

void JoinAwaiterBase::Unregister() noexcept { done_.waiter.context->stop->Unregister(link_); }

}  // namespace internal
}  // namespace plait
