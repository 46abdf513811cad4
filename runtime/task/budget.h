// The budget of awaits: what keeps a task that never has to wait from keeping its thread for ever.
//
// Where what an await waits for is there already, the coroutine simply goes on, which is fast, and
// which in a loop over a queue that is never empty starves all others. So each time that a
// coroutine is resumed by its executor it has a budget of awaits that may go on at once
// (kReadyAwaits); the next one lets others have a turn, as if it had had to wait.
//
// An awaiter asks in await_ready, before it takes anything, and says no where the answer is no. In
// await_suspend it looks again, as it does for those who come between the two, and where it has
// what it wants it returns YieldIfSpent in place of false: the coroutine is queued with its result.
// One that finds out only as it begins, as an operation of the system's does, takes what there is,
// and returns SpendOrYield. A coroutine that may find all it wants without an await of its own
// awaits SpendTurn first. Cost: a decrement. Threads: the one that runs the coroutine.
#ifndef PLAIT_RUNTIME_TASK_BUDGET_H_
#define PLAIT_RUNTIME_TASK_BUDGET_H_

#include <coroutine>

#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/promise.h"

namespace plait::internal {

// False when it is the others' turn.
inline bool SpendBudget() noexcept {
#if defined(PLAIT_EXPLORE)
  // An explorer's threads are one thread, and have nobody to give a turn to.
  return true;
#else
  return --thread_state.budget >= 0;
#endif
}

// For await_suspend: whether it was called for that, perhaps.
inline bool BudgetIsSpent() noexcept {
#if defined(PLAIT_EXPLORE)
  return false;
#else
  return thread_state.budget < 0;
#endif
}

// For await_suspend, where nothing is left to wait for: what it returns. Nothing may be touched
// after true, as the coroutine may go on on another thread.
inline bool YieldIfSpent(PromiseBase& coroutine) noexcept {
  if (!BudgetIsSpent()) [[likely]]
    return false;
  coroutine.ScheduleLast();
  return true;
}

// The same, where await_ready did not ask.
inline bool SpendOrYield(PromiseBase& coroutine) noexcept {
  if (SpendBudget()) [[likely]]
    return false;
  coroutine.ScheduleLast();
  return true;
}

// co_await: goes on at once, but where it is the others' turn.
struct [[nodiscard]] SpendTurn {
  bool await_ready() const noexcept { return SpendBudget(); }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) const noexcept {
    return YieldIfSpent(waiter.promise());
  }
  void await_resume() const noexcept {}
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_BUDGET_H_
