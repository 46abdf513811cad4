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
    : WorkItem([](WorkItem& item) noexcept { static_cast<ThreadWait&>(item).Notify(); }) {}

void ThreadWait::Notify() noexcept {
  // Under the lock, so that this is still there.
  const std::lock_guard<std::mutex> hold(mutex_);
  ran_ = true;
  wake_.notify_one();
}

void ThreadWait::Wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [this] { return ran_; });
}

}  // namespace plait::internal
