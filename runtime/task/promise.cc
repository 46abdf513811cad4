#include "plait/runtime/task/promise.h"

#include <utility>

namespace plait::internal {

void ResumeTask(WorkItem& item) noexcept {
  ThreadState& thread = thread_state;
  const char* const outer_limit = thread.stack_limit;
  const TaskContext* const outer_context = thread.context;
  thread.stack_limit = static_cast<const char*>(__builtin_frame_address(0)) - kStackBudget;
  WorkItem* next = &item;
  do {
    auto& promise = static_cast<PromiseBase&>(*next);
    thread.bounced = nullptr;
    thread.context = promise.context;
    promise.handle().resume();
    next = thread.bounced;
  } while (next != nullptr);
  thread.bounced = nullptr;
  thread.stack_limit = outer_limit;
  thread.context = outer_context;
}

void ProxyPromise::RunProxy(WorkItem& item) noexcept {
  auto& proxy = static_cast<ProxyPromise&>(item);
  WorkItem& next = proxy.resolve(proxy);
  next.run(next);
}

}  // namespace plait::internal
