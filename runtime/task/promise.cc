#include "plait/runtime/task/promise.h"

#include <utility>

namespace plait::internal {

void ResumeTask(WorkItem& item) noexcept {
  ThreadState& thread = thread_state;
  // A limit that an earlier call left is never used: transfers happen inside of here only.
  thread.stack_limit = static_cast<const char*>(__builtin_frame_address(0)) - kStackBudget;
  auto* promise = static_cast<PromiseBase*>(&item);
  for (;;) {
    thread.context = promise->context;
    promise->handle().resume();
    WorkItem* const bounced = thread.bounced;
    if (bounced == nullptr) [[likely]]
      break;
    thread.bounced = nullptr;
    promise = static_cast<PromiseBase*>(bounced);
  }
  thread.context = nullptr;
}

void ProxyPromise::RunProxy(WorkItem& item) noexcept {
  auto& proxy = static_cast<ProxyPromise&>(item);
  WorkItem& next = proxy.resolve(proxy);
  next.run(next);
}

}  // namespace plait::internal
