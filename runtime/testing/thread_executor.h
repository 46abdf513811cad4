// ThreadExecutor: an executor with one thread of its own and no reactor, for tests: what blocking
// work is injected into.
#ifndef PLAIT_RUNTIME_TESTING_THREAD_EXECUTOR_H_
#define PLAIT_RUNTIME_TESTING_THREAD_EXECUTOR_H_

#include <vector>

#include "absl/synchronization/mutex.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(int threads = 1);
  // Runs what is queued, then ends the threads.
  ~ThreadExecutor() override;

  void Schedule(WorkItem& item) noexcept override;

  // Nothing is run between Pause and Resume; what was begun goes on.
  void Pause();
  void Resume();
  // Waits until all that was scheduled has been run and has returned, which may be after its result
  // was there. Not while it is paused.
  void Settle();

 private:
  void RunItems();
  bool Idle() const { return running_ == 0 && items_.empty(); }
  bool HasWork() const { return ending_ || (!paused_ && !items_.empty()); }

  absl::Mutex mutex_;
  WorkQueue items_;
  int running_ = 0;
  bool paused_ = false;
  bool ending_ = false;
  std::vector<Thread> threads_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_THREAD_EXECUTOR_H_
