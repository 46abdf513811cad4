// ThreadWait: blocks a thread until a work item was run by another. Behind every Get(). Internal.
//
// On the standard library's lock and not on Abseil's, which ThreadSanitizer takes for a race where
// Abseil was not built for it.
#ifndef PLAIT_RUNTIME_TASK_THREAD_WAIT_H_
#define PLAIT_RUNTIME_TASK_THREAD_WAIT_H_

#include <condition_variable>
#include <mutex>

#include "plait/runtime/core/work_item.h"

namespace plait::internal {

// CHECKs that this thread runs no executor's work, which it would hold up.
void CheckMayBlock();

class ThreadWait : public WorkItem {
 public:
  ThreadWait();
  // Until the item was run; then nothing refers to it any more.
  void Wait();

 protected:
  // What the item does: the last thing that touches it.
  void Notify() noexcept;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ran_ = false;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_THREAD_WAIT_H_
