#include "plait/runtime/task/thread_wait.h"

#include "plait/runtime/core/check.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {

void CheckMayBlock() {
  PLAIT_CHECK(TaskContext::Current() == nullptr && Worker::Current() == nullptr,
              "a blocking Get cannot be called inside a task or other work of an executor, which "
              "it would block: use co_await");
}

ThreadWait::ThreadWait()
    : WorkItem([](WorkItem& item) noexcept { static_cast<ThreadWait&>(item).ran_.Notify(); }) {}

}  // namespace plait::internal
