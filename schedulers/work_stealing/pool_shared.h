// PoolShared: what the workers of a WorkStealingPool have in common: who they are, what was posted
// from outside, who is idle, and how the pool comes to an end. Internal to the pool.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_POOL_SHARED_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_POOL_SHARED_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/schedulers/work_stealing/idle_set.h"
#include "plait/schedulers/work_stealing/pool_monitor.h"
#include "plait/schedulers/work_stealing/pool_posts.h"
#include "plait/schedulers/work_stealing/worker_sleep.h"

namespace plait::internal {

class PoolWorker;

class PoolShared {
 public:
  // `threads`: of the workers, those that are no spares.
  PoolShared(Executor& executor, Clock& clock, int threads);
  PoolShared(const PoolShared&) = delete;
  PoolShared& operator=(const PoolShared&) = delete;
  ~PoolShared();

  // How many workers there are beside the pool's threads.
  int spares() const noexcept { return clock.is_virtual() ? 0 : PoolMonitor::kSpares; }

  // --- posting; any thread ---

  // A thread is inside of a post from outside for as long as one of these lives, so that the pool,
  // which may run the item and end meanwhile, waits for the thread to be out. CHECKs that the pool
  // is open, and is this process's.
  class Posting {
   public:
    using To = PoolPosts::To;
    Posting(PoolShared& shared, To to) noexcept;
    Posting(const Posting&) = delete;
    Posting& operator=(const Posting&) = delete;
    ~Posting() { shared_.posts_.End(); }

   private:
    PoolShared& shared_;
  };

  void PostFromOutside(WorkItem& item) noexcept;
  // After a worker has put work into its deque.
  void WakeForDeque() noexcept {
    const int worker = idle.ClaimForOrderedWork();
    if (worker != IdleSet::kNobody) [[unlikely]]
      Wake(worker);
  }
  // What others can do of what waits for `stuck`, which is in the item that made its turns `turns`,
  // goes to where what was posted from outside is. The monitor.
  void TakeOver(PoolWorker& stuck, uint64_t turns) noexcept;
  // After work has come to be anywhere.
  void WakeForWork() noexcept { Wake(idle.ClaimForWork()); }

  // --- the workers ---

  // Moves what was posted from outside to `ready`, oldest first.
  void TakePosted(WorkQueue& ready) noexcept { posts_.Take(ready); }
  bool HasPosted() const noexcept { return !posts_.empty(); }
  // Whether there is anything that any worker may do.
  bool HasWork() const noexcept;
  // The same for a worker that has just said that it parks: misses nothing of which nobody will
  // tell it.
  bool HasWorkForOneThatParks() const noexcept;
  // A worker is asleep now: tells who waits for that, and lets virtual time pass if all are.
  void OnAsleep() noexcept;

  // --- the end ---

  // From now on, until EndDraining, who waits in AwaitDrained is told of workers that fall asleep.
  void BeginDraining() noexcept { draining_.Begin(); }
  void EndDraining() noexcept { draining_.End(); }
  bool draining() const noexcept { return draining_.on(); }
  // Until no task is left, or a moment has gone.
  void AwaitTasksBriefly();
  // Until no task or visit is left and no worker has anything to do.
  void AwaitDrained();
  // The workers are to end.
  void Close() noexcept;
  // Relaxed: a worker sees it when Close has woken it.
  bool closed() const noexcept { return closed_.load(kRelaxed); }
  // Until no thread is inside of a post.
  void AwaitPosters() const noexcept { posts_.AwaitPosters(); }

  // --- any thread; a moment later it may not be so ---

  // What waits for a worker.
  size_t queued() const noexcept;
  // How many items were begun.
  uint64_t turns() const noexcept;

  Executor& executor;
  Clock& clock;
  const uint64_t generation;
  const int threads;
  WorkerGroup group;
  IdleSet idle;
  // How workers get their reactors; empty: they have none.
  absl::AnyInvocable<absl::StatusOr<std::unique_ptr<Reactor>>()> make_reactor;
  // Behind the pool's threads come the spares (pool_monitor.h).
  std::vector<std::unique_ptr<PoolWorker>> workers;
  PoolMonitor monitor{*this};
  // By a virtual clock.
  RestCount rests;

 private:
  void Wake(int worker) noexcept;
  bool AllAsleepWithoutWork() const noexcept;
  bool Drained() const noexcept;
  void PassVirtualTime() noexcept;

  std::mutex mutex_;  // of time's passing, of drained_, and of what is taken over
  std::condition_variable drained_;
  SleepWatch draining_;  // who wants that
  Atomic<bool> closed_{false};
  PoolPosts posts_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_POOL_SHARED_H_
