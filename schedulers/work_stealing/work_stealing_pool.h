// WorkStealingPool: an executor with a thread for each core, each with work, timers and a reactor
// of its own; who runs out of work takes from the others.
//
//   plait::WorkStealingPool pool({.reactor = [] { return plait::MakeEpollReactor(); }});
//   int answer = plait::BlockOn(pool, Main());
//
// For services that use several cores, and for computing: tasks need not be spread by hand. Each
// thread is a Worker: Sleep and Timeout work everywhere, and with a reactor so does I/O. A wait
// belongs to the worker where it began, and its task goes on there; what it makes ready may be run
// by any other, and so may itself where others before it take long (50 microseconds each) and
// somebody is free. A task resumes on whichever worker is free, two may run at the same time.
// Functions that block belong into Offload, whose BlockingPool every pool has.
//
// Order: none that may be relied on. What a task schedules last (a task that it spawns or wakes)
// runs next on the same worker, as its data is in the cache there; all else is first in, first out,
// by worker. Fairness: after three of such in a row others have their turn; work that yields or
// reposts itself goes behind what is ready; reactor and timers are looked at after 20 to 100
// microseconds of work or 1,024 items, posts from outside after 61 items. A tree of Forks makes way
// for all of that after some tens of milliseconds (not by a virtual clock). What computes for
// longer without forking coroutines (a plain function, a tree of ParallelInvokes) keeps what must
// run on its worker waiting: timers, and connections that are at home there. The rest of its work
// is taken by the others. So where both matter, computing yields now and then, or has a pool of its
// own.
//
// Blocked threads: a task that blocks its thread for longer than ExecutorHooks::slow_callback,
// where it should have awaited or used an Offload, is reported with its name (a kSlowCallback,
// outside of debug mode too; in debug mode also one that computes for as long), while it blocks, by
// another thread. What waits behind it is done by the others, and where all are blocked by up to
// four spare threads. Not by a virtual clock. See pool_monitor.h.
//
// Threads: Schedule may be called from any thread, Close and the destructor from one thread that is
// not the pool's own. Lifetime: Close cancels the tasks that were spawned on the pool, and the
// parts of others' tasks that run on it (On, ParallelFor), waits until they have ended and nothing
// is left to run, cancels the operations that are no task's, and joins the threads, wherever they
// wait. Scheduling on a closed pool is a programming error (CHECK); a Spawn or an On that races
// Close either comes before it, and its task is cancelled and joined, or is that error. A pool does
// not survive fork: in the child, work is refused (CHECK) and the destructor leaves the parent's
// state alone.
//
// Clock: with a virtual clock, time jumps to the next deadline of any of the workers when all of
// them are idle, and what the system has ready has been taken. What other threads do outside of the
// pool takes no time by that clock.
//
// Cost: scheduling from the pool's own threads is a store, or where something else is next a push
// to the worker's deque, and to take it again a locked instruction; from outside it is four locked
// instructions, and a wake-up where somebody sleeps and nobody looks for work. Nothing is allocated
// per item. An idle worker looks for work for some tens of microseconds, where that has paid
// lately, and then sleeps: in its reactor where it has operations in flight, and else on a futex.
// Memory of coroutines that have ended stays with their thread for the next ones, and goes back to
// the allocator when that has been idle for a tenth of a second. Its queues keep the size that
// they have grown to: 16 bytes, at most, for each item that has waited there, or was forked, at
// once.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_WORK_STEALING_POOL_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_WORK_STEALING_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/executor_hooks.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/schedulers/blocking/blocking_pool.h"
#include "plait/schedulers/work_stealing/spinner.h"  // IWYU pragma: export

namespace plait {

namespace internal {
class PoolShared;
}  // namespace internal

struct WorkStealingPoolOptions {
  // From 1 to WorkStealingPool::kMostThreads; by default one for each that the machine runs at
  // once.
  int threads = HardwareThreads();
  // Each thread stays on a processor of its own, where the system can do that; two threads share
  // one where there are more threads than processors.
  bool pin = false;
  // Of the threads, in ps and debuggers; each has its number behind it.
  std::string name = "stealing";
  // What idle threads prefer; see spinner.h.
  IdlePolicy idle = IdlePolicy::kBalanced;
  // Called once a thread, by who makes the pool, and by another thread for each that works in the
  // place of blocked ones, or to whose place something is posted. Empty: no reactors; operations on
  // descriptors then fail with FailedPrecondition.
  absl::AnyInvocable<absl::StatusOr<std::unique_ptr<Reactor>>()> reactor;
  // Null for the machine's. Outlives the pool.
  Clock* clock = nullptr;
  // Where Offload's functions and a reactor's blocking file operations run; outlives the pool. Null
  // for a BlockingPool of the pool's own, whose threads are started when they are needed and joined
  // when the pool is closed.
  Executor* blocking = nullptr;
  // Who is told of what happens on the pool.
  ExecutorHooks hooks;
};

class WorkStealingPool final : public Executor {
 public:
  static constexpr int kMostThreads = 1024;

  // InvalidArgument, with the option's name, for options that make no sense; ResourceExhausted when
  // the system has not that many threads to give; and what the reactors' factory says.
  static absl::StatusOr<std::unique_ptr<WorkStealingPool>> Create(
      WorkStealingPoolOptions options = {});
  // The same, where that is a programming error (CHECK).
  explicit WorkStealingPool(WorkStealingPoolOptions options = {});
  // Closes the pool.
  ~WorkStealingPool() override;

  // Any thread.
  void Schedule(WorkItem& item) noexcept override;
  void ScheduleLast(WorkItem& item) noexcept override;
  bool TakeIfNext(WorkItem& item) noexcept override;
  Executor& blocking() noexcept override { return blocking_.get(); }
  // Runs `item` on one of the threads. May be called from a signal handler, also one that
  // interrupts a thread of the pool.
  void PostFromSignalHandler(WorkItem& item) noexcept;

  // Cancels the tasks that were spawned on the pool and have not ended, and those that these spawn
  // meanwhile, and waits until they have.
  // FailedPrecondition when called on one of the pool's own threads.
  absl::Status CancelTasks();
  // See above. FailedPrecondition when called on one of the pool's own threads. Closing again does
  // nothing.
  absl::Status Close();

  Clock& clock() noexcept;

  // The figures: any thread; a moment later they may be others.
  int threads() const;
  // How many of the threads have nothing to do now: they look for work or sleep.
  int idle_threads() const;
  // What waits for a thread, but what only a certain one may run.
  size_t queued() const;
  // How often one thread has taken an item from another since the pool began.
  uint64_t steals() const;

 private:
  using Reactors = std::vector<std::unique_ptr<Reactor>>;

  WorkStealingPool(WorkStealingPoolOptions& options, Reactors reactors);

  static absl::Status Validate(const WorkStealingPoolOptions& options);
  static absl::StatusOr<Reactors> MakeReactors(WorkStealingPoolOptions& options);
  static Reactors CheckedReactors(WorkStealingPoolOptions& options);
  absl::Status StartThreads(const WorkStealingPoolOptions& options);
  // Why `what` cannot be done now; OK if it can.
  absl::Status Refusal(const char* what) const;
  // Whether this thread is one of the pool's.
  inline bool OnOwnThread() const;
  void JoinThreads();

  std::unique_ptr<internal::PoolShared> shared_;
  internal::OwnBlockingPool blocking_;
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_WORK_STEALING_POOL_H_
