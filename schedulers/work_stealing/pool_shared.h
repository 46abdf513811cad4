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
#include "plait/runtime/core/inbox.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/schedulers/work_stealing/idle_set.h"
#include "plait/schedulers/work_stealing/pool_monitor.h"

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
    enum class To : uint8_t { kAny, kOneWorker };
    Posting(PoolShared& shared, To to) noexcept;
    Posting(const Posting&) = delete;
    Posting& operator=(const Posting&) = delete;
    // Release: who ends the pool sees that this thread is done with it.
    ~Posting() { shared_.posts_.fetch_sub(1, kRelease); }

   private:
    PoolShared& shared_;
  };

  void PostFromOutside(WorkItem& item) noexcept;
  // After a worker has put work into its deque.
  void WakeForDeque() noexcept { Wake(idle.ClaimForOrderedWork()); }
  // What others can do of what waits for `stuck`, which is in the item that made its turns `turns`,
  // goes to where what was posted from outside is. The monitor.
  void TakeOver(PoolWorker& stuck, uint64_t turns) noexcept;
  // After work has come to be anywhere.
  void WakeForWork() noexcept { Wake(idle.ClaimForWork()); }

  // --- the workers ---

  // Moves what was posted from outside to `ready`, oldest first; how many that were.
  size_t TakePosted(WorkQueue& ready) noexcept;
  bool HasPosted() const noexcept { return !inbox_.empty(); }
  // Whether there is anything that any worker may do.
  bool HasWork() const noexcept;
  // A worker is asleep now: tells who waits for that, and lets virtual time pass if all are.
  void OnAsleep() noexcept;

  // By a virtual clock, of a worker that has run something since the last time: it is about to
  // sleep.
  void NoteRest() noexcept { rests_.fetch_add(1, kSeqCst); }
  uint64_t rests() const noexcept { return rests_.load(kSeqCst); }

  // --- the end ---

  // From now on, until EndDraining, who waits in AwaitDrained is told of workers that fall asleep.
  void BeginDraining() noexcept { draining_.fetch_add(1, kSeqCst); }
  void EndDraining() noexcept { draining_.fetch_sub(1, kRelaxed); }
  bool draining() const noexcept { return draining_.load(kSeqCst) > 0; }
  // Until no task is left, or a moment has gone.
  void AwaitTasksBriefly();
  // Until no task or visit is left and no worker has anything to do.
  void AwaitDrained();
  // The workers are to end.
  void Close() noexcept;
  bool closed() const noexcept { return closed_.load(kAcquire); }
  // Until no thread is inside of a post.
  void AwaitPosters() noexcept;

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

 private:
  void Wake(int worker) noexcept;
  bool AllAsleepWithoutWork() const noexcept;
  bool Drained() const noexcept;
  void PassVirtualTime() noexcept;

  std::mutex mutex_;  // of time's passing, of drained_, and of what is taken over
  std::condition_variable drained_;
  Atomic<int> draining_{0};  // how many want that
  Atomic<bool> closed_{false};
  Atomic<size_t> taken_{0};  // of those posted
  Atomic<uint64_t> rests_{0};

  // On a line of their own, as other threads write them.
  static constexpr int kPostersBits = 16;
  alignas(64) Inbox inbox_;
  // How many were ever posted to any worker; in the low bits, the threads that are about to.
  Atomic<uint64_t> posts_{0};
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_POOL_SHARED_H_
