#include "plait/runtime/task/blocking_get.h"

namespace plait::internal {

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
