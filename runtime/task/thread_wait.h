// ThreadWait: blocks a thread until a work item was run by another. Behind every Get(). Internal.
#ifndef PLAIT_RUNTIME_TASK_THREAD_WAIT_H_
#define PLAIT_RUNTIME_TASK_THREAD_WAIT_H_

#include "absl/synchronization/notification.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {

// CHECKs that this thread runs no executor's work, which it would hold up.
void CheckMayBlock();

class ThreadWait : public WorkItem {
 public:
  ThreadWait();
  // Until the item was run; then nothing refers to it any more.
  void Wait() { ran_.WaitForNotification(); }

 private:
  absl::Notification ran_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_THREAD_WAIT_H_
