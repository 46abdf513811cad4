#include "plait/runtime/task/blocking_get.h"

#include "absl/synchronization/notification.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {

void CheckMayBlock() {
  PLAIT_CHECK(TaskContext::Current() == nullptr && Worker::Current() == nullptr,
              "a blocking Get cannot be called inside a task or other work of an executor, which "
              "it would block: use co_await");
}

void BlockUntilDone(TaskState& state) {
  struct Done : WorkItem {
    absl::Notification notification;
  } done;
  done.run = [](WorkItem& item) noexcept { static_cast<Done&>(item).notification.Notify(); };
  if (state.AddWaiter(done)) done.notification.WaitForNotification();
}

void CallerExecutor::Schedule(WorkItem& item) noexcept {
  const std::lock_guard<std::mutex> hold(mutex_);
  queue_.Push(item);
  wake_.notify_one();  // under the lock, so that this is still there
}

bool CallerExecutor::RunUntil(const Atomic<bool>& done) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  // Only what it runs sets `done`.
  while (!done.load(kRelaxed)) {
    wake_.wait(lock, [this] { return !queue_.empty(); });
    WorkItem* const item = queue_.Pop();
    lock.unlock();
    item->run(*item);
    lock.lock();
  }
  return true;
}

}  // namespace plait::internal
