#include "plait/runtime/testing/thread_executor.h"

namespace plait {

ThreadExecutor::ThreadExecutor(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.push_back(StartThread("test blocking", [this] { RunItems(); }));
  }
}

ThreadExecutor::~ThreadExecutor() {
  {
    absl::MutexLock hold(&mutex_);
    ending_ = true;
  }
  for (Thread& thread : threads_) thread.join();
}

void ThreadExecutor::Schedule(WorkItem& item) noexcept {
  absl::MutexLock hold(&mutex_);
  items_.Push(item);
}

void ThreadExecutor::Pause() {
  absl::MutexLock hold(&mutex_);
  paused_ = true;
}

void ThreadExecutor::Resume() {
  absl::MutexLock hold(&mutex_);
  paused_ = false;
}

void ThreadExecutor::Settle() {
  absl::MutexLock hold(&mutex_, absl::Condition(this, &ThreadExecutor::Idle));
}

void ThreadExecutor::RunItems() {
  for (;;) {
    WorkItem* item = nullptr;
    {
      absl::MutexLock hold(&mutex_, absl::Condition(this, &ThreadExecutor::HasWork));
      item = items_.Pop();
      if (item == nullptr) return;
      ++running_;
    }
    item->run(*item);
    absl::MutexLock hold(&mutex_);
    --running_;
  }
}

}  // namespace plait
