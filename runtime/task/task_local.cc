#include "plait/runtime/task/task_local.h"

namespace plait {

TaskLocals TaskLocals::Current() noexcept {
  const TaskContext* context = TaskContext::Current();
  return context == nullptr ? TaskLocals() : TaskLocals(context->locals());
}

namespace internal {

void UnrefLocals(const TaskLocalNode* node) noexcept {
  // A loop, so that a long chain does not use up the stack. Acquire and release: whoever deletes
  // sees what the other readers did.
  while (node != nullptr && node->references.fetch_sub(1, kAcqRel) == 1) {
    const TaskLocalNode* outer = node->outer;
    delete node;
    node = outer;
  }
}

}  // namespace internal
}  // namespace plait
