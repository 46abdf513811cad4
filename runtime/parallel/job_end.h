// JobEnd: one thread runs a job, another waits for its end, on the stack that the job lives on.
// Internal.
//
//   running --Reach--> reached
//   running --Attach--> waiter --Reach, which then runs the waiter--> reached
//
// The waiter is a work item of the waiting thread. Once it is attached the wait ends when it was
// run, and not before, as until then the other thread may be about to run it; where Attach says no,
// the end was reached already, and the other thread has nothing more to do here. Reach is the last
// that the job's thread does with the job: nothing of it may be touched after that, but for the
// waiter.
//
// Orderings. What the job has done is released by Reach, and acquired by `reached`, by an Attach
// that fails, and by whatever the waiter does. What the waiter is made of is released by Attach and
// acquired by Reach. job_end_explored_test weakens each.
#ifndef PLAIT_RUNTIME_PARALLEL_JOB_END_H_
#define PLAIT_RUNTIME_PARALLEL_JOB_END_H_

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {

class JobEnd {
 public:
  JobEnd() = default;
  JobEnd(const JobEnd&) = delete;
  JobEnd& operator=(const JobEnd&) = delete;

  // The thread that waits.
  bool reached() const noexcept { return waiter_.load(kAcquire) == &reached_; }

  // The thread that waits, once. False: the end was reached, and `waiter` will not be run.
  [[nodiscard]] bool Attach(WorkItem& waiter) noexcept {
    WorkItem* none = nullptr;
    return waiter_.compare_exchange_strong(none, &waiter, kRelease, kAcquire);
  }

  // The thread that ran the job, once.
  void Reach() noexcept {
    WorkItem* const waiter = waiter_.exchange(&reached_, kAcqRel);
    if (waiter != nullptr) waiter->run(*waiter);
  }

 private:
  static constinit inline WorkItem reached_;  // only its address counts

  Atomic<WorkItem*> waiter_{nullptr};
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_PARALLEL_JOB_END_H_
