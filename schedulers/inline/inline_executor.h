// InlineExecutor: runs work on the thread that schedules it, at once.
//
//   plait::InlineExecutor executor;
//   int answer = plait::BlockOn(executor, Main());   // no thread, no reactor, no turn to wait for
//
// For code that is written with tasks and called from where there is no executor, for tests, and
// for work so short that handing it to a thread would cost more than to do it.
//
// Re-entrancy: Schedule runs the item before it returns (the contract of Executor allows that where
// it says so; this is it). What that item schedules in turn, on the same executor, is queued and
// run by the same loop when the item has returned: so the stack stays bounded, and the order is
// first in, first out. The code that runs inside Schedule sees no task context and no Worker of the
// caller.
//
// Stack: items run on the caller's. However deep the coroutines of a task await each other, they
// use 16 KiB of it and the frames of one more; what the functions use that they call comes on top.
// So it is also for fibers, but not for those with the least stack: 64 KiB are enough, and less
// than 24 KiB that are left when it is to run something are a programming error (CHECK).
//
// Threads: any may schedule. Only one runs items at a time: while one is at it, what others
// schedule is queued for it, and their Schedule returns at once. So a task may go on on whichever
// thread wakes it, but never on two. BlockOn waits where the task waits for another thread. Sleep
// and Timeout give FailedPrecondition, as no thread is this executor's own. Offload runs its
// function right here. Lifetime: Close, and the destructor, cancel the tasks that are left, and the
// parts of others' tasks (On), and wait for them; afterwards scheduling is a programming error
// (CHECK). Cost: two trips through an uncontended lock an item.
#ifndef PLAIT_SCHEDULERS_INLINE_INLINE_EXECUTOR_H_
#define PLAIT_SCHEDULERS_INLINE_INLINE_EXECUTOR_H_

#include <condition_variable>
#include <mutex>

#include "absl/status/status.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

class InlineExecutor final : public Executor {
 public:
  InlineExecutor() = default;
  // Closes the executor.
  ~InlineExecutor() override;

  // Runs `item`, and what that makes ready, before it returns; unless items are being run already.
  void Schedule(WorkItem& item) noexcept override;

  // See above. FailedPrecondition when called from work that it runs. Closing again does nothing.
  absl::Status Close();

 private:
  void RunItems(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  WorkQueue queue_;
  const void* runner_ = nullptr;  // the thread that runs items: the address of its thread_state
  bool closing_ = false;
  bool closed_ = false;
  std::condition_variable drained_;
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_INLINE_INLINE_EXECUTOR_H_
