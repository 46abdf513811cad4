#include "plait/runtime/sync/queue_base.h"

#include "plait/runtime/core/check.h"

namespace plait::internal {

QueueBase::QueueBase(size_t capacity) : capacity_(capacity) {
  PLAIT_CHECK(capacity > 0, "a Queue needs a capacity of at least 1");
}

QueueBase::~QueueBase() {
  PLAIT_CHECK(getters_.empty() && putters_.empty() && joiners_.empty(),
              "a Queue was destroyed while a task waits on it");
}

absl::Status QueueBase::Closed() { return absl::FailedPreconditionError("the queue is closed"); }

absl::Status QueueBase::TaskDone() {
  LeavingList leaving;
  {
    BiasedLockHolder hold(lock_);
    if (unfinished_ == 0) {
      return absl::FailedPreconditionError("TaskDone was called more often than items were put");
    }
    if (--unfinished_ > 0 || joiners_.empty()) return absl::OkStatus();
    leaving.Take(joiners_);
  }
  leaving.WakeAll(lock_);
  return absl::OkStatus();
}

}  // namespace plait::internal
