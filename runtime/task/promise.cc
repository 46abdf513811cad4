#include "plait/runtime/task/promise.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/task/coroutine_name.h"

namespace plait::internal {

constinit WorkItem kNothing(+[](WorkItem&) noexcept {});

void ResumeTask(WorkItem& item) noexcept {
  ThreadState& thread = thread_state;
  PromiseBase* const outer_called = std::exchange(thread.called, nullptr);
  // A limit that an earlier call left is never used: transfers happen inside of here only.
  thread.stack_limit = static_cast<const char*>(__builtin_frame_address(0)) - kStackBudget;
  auto* promise = static_cast<PromiseBase*>(&item);
  thread.budget = kReadyAwaits;
  if (thread.watcher != nullptr) [[unlikely]]
    thread.watcher->OnResume(*promise);
  for (;;) {
    thread.context = promise->context;
    promise->next = nullptr;
    promise->handle().resume();
    WorkItem* const bounced = thread.bounced;
    if (bounced == nullptr) [[likely]]
      break;
    thread.bounced = nullptr;
    promise = static_cast<PromiseBase*>(bounced);
    // What called it has put back what was shown before.
    if (thread.shown_task != nullptr) thread.shown_task->store(promise->context->task, kRelaxed);
  }
  thread.context = nullptr;
  // What it forked and did not come to, as it waits for something.
  if (thread.forks != nullptr && !thread.forks->empty()) [[unlikely]]
    thread.forks->Drain();
  thread.called = outer_called;
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
