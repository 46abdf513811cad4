// ConditionVariable: waits, inside a Mutex, until what it guards has changed. (asyncio: Condition.)
//
//   plait::MutexGuard guard = co_await mutex.Lock();
//   co_await plait::OrReturn(changed.Wait(guard, [&] { return !jobs.empty(); }));
//   Take(jobs.front());                                   // the guard holds again
//   // elsewhere, best while the mutex is held:
//   jobs.push_back(job);
//   changed.NotifyOne();
//
// Wait lets go of the mutex, waits to be notified, and takes the mutex again, behind those who wait
// for it. Whatever comes of it, the guard holds when it returns, after a cancel too (as in
// asyncio), so a cancelled Wait may have to wait for the mutex; only then does it give
// absl::CancelledError. There are no spurious wake-ups, but others may come first to what has
// changed: use the form with a predicate, which is called with the mutex held.
//
// Notifications go to those who wait at that moment, in the order of their arrival, and are lost
// when nobody does. One never goes to a wait that ends as cancelled: it wakes the next instead. A
// wait that was notified before the cancel arrived succeeds. Errors: FailedPrecondition when
// `guard` holds nothing. Threads: any. Lifetime: the variable, the mutex and the guard outlive the
// Wait (CHECK). Cost: a Wait is a Task, so one pooled frame.
#ifndef PLAIT_RUNTIME_SYNC_CONDITION_VARIABLE_H_
#define PLAIT_RUNTIME_SYNC_CONDITION_VARIABLE_H_

#include <utility>

#include "absl/status/status.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait {

class ConditionVariable {
 public:
  ConditionVariable() = default;
  ConditionVariable(const ConditionVariable&) = delete;
  ConditionVariable& operator=(const ConditionVariable&) = delete;
  ~ConditionVariable();

  // co_await: OK once notified.
  Task<absl::Status> Wait(MutexGuard& guard);

  // co_await: OK once `predicate()` holds, at once if it does already.
  template <class Predicate>
  Task<absl::Status> Wait(MutexGuard& guard, Predicate predicate);

  // Wakes the one that has waited longest.
  void NotifyOne() noexcept;
  // Wakes everyone who waits now.
  void NotifyAll() noexcept;

 private:
  class NotifiedAwaiter;

  internal::SpinLock lock_;  // guards what follows
  internal::WaiterList waiters_;
};

template <class Predicate>
Task<absl::Status> ConditionVariable::Wait(MutexGuard& guard, Predicate predicate) {
  if (!guard.ok()) co_return guard.status();
  while (!predicate()) {
    absl::Status status = co_await Wait(guard);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_CONDITION_VARIABLE_H_
