// PoolForks: the ForkStack of a worker of a pool. Internal to the pool.
//
// What is forked stays private until another worker asks (runtime/core/fork_stack.h). Then the
// oldest goes
//   - to the worker's deque, where it is work like any other, if it is a coroutine's;
//   - to `calls` if it is a plain function's (runtime/parallel/invoke.h). Its joiner is on this
//     worker's stack and waits in RunOne: it takes back its own from the end where it was put, and
//     those of others from the other end, and never meets a task there.
//
// Who asks? A worker that looks for work and finds none asks all others, also those that are idle:
// they may be busy when it sleeps, and are asked already then. What they fork first is published
// and wakes it. What was published may be taken back by who forked it, before anybody comes for it:
// so a worker asks again when it is known to sleep; and who takes what others may have asked for
// asks in their place. fork_ask_explored_test has all of it.
//
// Threads: the worker's, but where noted. Lifetime: the pool's, as others look at it.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_POOL_FORKS_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_POOL_FORKS_H_

#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/work_item.h"
#include "plait/schedulers/work_stealing/deque.h"

namespace plait::internal {

class PoolWorker;

class PoolForks final : public ForkStack {
 public:
  explicit PoolForks(PoolWorker& worker) noexcept : worker_(worker) {}

  bool RunOne(WorkItem::RunFunction only) noexcept override;

  // Any thread.
  const WorkStealingDeque& calls() const noexcept { return calls_; }
  // Any thread. The oldest call, or null.
  WorkItem* StealCall() noexcept;

 private:
  void Publish(ForkJob& job) noexcept override;
  void OnYield(WorkItem& rest) noexcept override;

  PoolWorker& worker_;
  WorkStealingDeque calls_{16};
  // Calls that run on top of joins that wait. Who helps so deep already takes back its own only, so
  // that the stack has a bound.
  int helps_ = 0;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_POOL_FORKS_H_
