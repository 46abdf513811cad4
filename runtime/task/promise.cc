#include "plait/runtime/task/promise.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/task/coroutine_name.h"
#include "plait/runtime/task/resume.h"

namespace plait::internal {

constinit WorkItem kNothing(+[](WorkItem&) noexcept {});

void ResumeTask(WorkItem& item) noexcept {
  ThreadState& thread = thread_state;
  PromiseBase* const outer_called = std::exchange(thread.called, nullptr);
  ResumeFromLoop(static_cast<PromiseBase&>(item));
  thread.called = outer_called;
}

void ResumeBounced(ThreadState& thread) noexcept {
  while (WorkItem* const bounced = std::exchange(thread.bounced, nullptr)) {
    auto& promise = static_cast<PromiseBase&>(*bounced);
    // What called it has put back what was shown before.
    if (thread.shown_task != nullptr) thread.shown_task->store(promise.context->task, kRelaxed);
    thread.context = promise.context;
    promise.next = nullptr;
    promise.handle().resume();
  }
}

void ResumeNested(WorkItem& item) noexcept {
  ThreadState& thread = thread_state;
  const ThreadState outer = thread;
  const ForkFloor floor(thread.forks);
  thread.bounced = nullptr;
  ++thread.nested;
  item.run(item);
  --thread.nested;
  thread.stack_limit = outer.stack_limit;
  thread.bounced = outer.bounced;
  thread.context = outer.context;
  thread.budget = outer.budget;  // what was started has had its own
}

void DropUnstarted(PromiseBase& coroutine) noexcept {
  if (const TaskContext* context = TaskContext::Current()) {
    const ExecutorHooks& hooks = context->executor->hooks();
    if (hooks.debug) {
      hooks.Tell({.kind = ReportKind::kTaskNeverAwaited,
                  .message = absl::StrCat("the task ", CoroutineName(coroutine.handle()),
                                          " was never awaited and has not run")});
    }
  }
  coroutine.handle().destroy();
}

void ResultCheck::Run(WorkItem& item) noexcept {
  WorkItem& next = ResolveFor(static_cast<PromiseBase&>(item));
  next.run(next);
  thread_state.context = nullptr;
}

void ProxyPromise::RunProxy(WorkItem& item) noexcept {
  auto& proxy = static_cast<ProxyPromise&>(item);
  WorkItem& next = proxy.resolve(proxy);
  next.run(next);
  thread_state.context = nullptr;
}

}  // namespace plait::internal
