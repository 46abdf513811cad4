// ThreadPool: an executor with a fixed number of threads and one queue, first in, first out.
//
//   plait::ThreadPool pool({.threads = 4, .name = "compute"});
//   int answer = plait::BlockOn(pool, Main());
//
// A task runs on whichever thread is free next and may go on on another after each wait; two tasks
// may run at the same time. Each thread is a Worker with timers of its own, so Sleep and Timeout
// work; there is no reactor, so operations on descriptors fail with FailedPrecondition. A sleep is
// timed by the thread where it began, and late while that one is busy; its task then goes on on
// whichever is free. Functions that block belong into Offload, whose BlockingPool every pool has.
//
// Order: items are begun in the order of posting. With one thread they run in that order. Fairness:
// work that reposts itself goes to the end of the queue, and timers that are due take turns with
// it.
//
// Threads: Schedule may be called from any thread, Close and the destructor from one thread that is
// not the pool's own. Lifetime: Close cancels the tasks that were spawned on the pool, and the
// parts of others' tasks that run on it (On, ParallelFor), waits until they have ended and the
// queue is empty, and joins the threads, parked or not. Scheduling on a closed pool is a
// programming error (CHECK); a Spawn or an On that races Close either comes before it, and its task
// is cancelled and joined, or is that error. A pool does not survive fork: in the child, work is
// refused (CHECK) and the destructor leaves the parent's state alone.
//
// Clock: with a virtual clock, time jumps to the next deadline of any of the threads when all of
// them are idle. What other threads do outside of the pool takes no time by that clock.
//
// Cost: posting and fetching an item take the lock of the queue, for a few instructions. A thread
// that runs out of work looks for more for kSpin before it parks, as to wake a parked thread takes
// tens of microseconds. Nothing is allocated per item. Frames of ended coroutines go back to the
// allocator when the thread has been idle for a tenth of a second (idle_frames.h).
#ifndef PLAIT_SCHEDULERS_THREAD_POOL_THREAD_POOL_H_
#define PLAIT_SCHEDULERS_THREAD_POOL_THREAD_POOL_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/executor_hooks.h"
#include "plait/runtime/core/gate.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/core/worker.h"
#include "plait/schedulers/blocking/blocking_pool.h"

namespace plait {

struct ThreadPoolOptions {
  // From 1 to ThreadPool::kMostThreads; by default one for each that the machine runs at once.
  int threads = HardwareThreads();
  // Of the threads, in ps and debuggers; each has its number behind it.
  std::string name = "pool";
  // Null for the machine's. Outlives the pool.
  Clock* clock = nullptr;
  // Where Offload's functions run; outlives the pool. Null for a BlockingPool of the pool's own,
  // whose threads are started when they are needed and joined when the pool is closed.
  Executor* blocking = nullptr;
  // Who is told of what happens on the pool. In debug mode, tasks that are never awaited are
  // reported; how long items take is watched by EventLoops only.
  ExecutorHooks hooks;
};

class ThreadPool final : public Executor {
 public:
  static constexpr int kMostThreads = 1024;
  // How long a thread that has run out of work looks for more before it parks.
  static constexpr absl::Duration kSpin = absl::Microseconds(20);

  // InvalidArgument, with the option's name, for options that make no sense; ResourceExhausted when
  // the system has not that many threads to give.
  static absl::StatusOr<std::unique_ptr<ThreadPool>> Create(ThreadPoolOptions options = {});
  // The same, where that is a programming error (CHECK).
  explicit ThreadPool(ThreadPoolOptions options = {});
  // Closes the pool.
  ~ThreadPool() override;

  // Any thread. Items that are scheduled by the pool's own work go through the queue too.
  void Schedule(WorkItem& item) noexcept override;
  Executor& blocking() noexcept override { return blocking_.get(); }

  // Cancels the tasks that were spawned on the pool and have not ended, and those that these spawn
  // meanwhile, and waits until they have.
  // FailedPrecondition when called on one of the pool's own threads.
  absl::Status CancelTasks();
  // See above. FailedPrecondition when called on one of the pool's own threads. Closing again does
  // nothing.
  absl::Status Close();

  int threads() const { return static_cast<int>(workers_.size()); }
  // How many of the threads have nothing to do now: they spin or are parked.
  int idle_threads() const;
  // What waits for a thread.
  size_t queued() const;
  Clock& clock() noexcept { return clock_; }

 private:
  class PoolWorker;

  struct Unstarted {};
  ThreadPool(const ThreadPoolOptions& options, Unstarted);

  static absl::Status Validate(const ThreadPoolOptions& options);
  absl::Status StartThreads(const std::string& name);
  // Why `what` cannot be done now; OK if it can.
  absl::Status Refusal(const char* what) const;
  // Whether this thread is one of the pool's.
  bool OnOwnThread() const;

  void RunWorker(PoolWorker& self);
  // The next item for `self`; null when its thread is to end.
  WorkItem* Next(PoolWorker& self);

  // With mutex_ held.
  WorkItem* Take(PoolWorker& self);
  // True when there may be something for `self`.
  bool Spin(std::unique_lock<std::mutex>& lock, PoolWorker& self);
  // True when it has slept for so long that its frames are to go (idle_frames.h).
  bool Park(std::unique_lock<std::mutex>& lock, PoolWorker& self);
  void PassVirtualTime();
  bool Drained();
  // Takes a worker out of parked_; it is to be notified.
  void Unpark(PoolWorker& worker);
  // Whom to wake for the items in the queue; null if nobody need be, or can be.
  PoolWorker* ChooseParked();

  // Lets go of the lock, and notifies `worker`, unless that is null.
  void Wake(std::unique_lock<std::mutex> lock, PoolWorker* worker);
  void PostTo(PoolWorker& worker, WorkItem& item);
  void JoinThreads();

  Clock& clock_;
  const uint64_t generation_;
  internal::OwnBlockingPool blocking_;
  std::vector<std::unique_ptr<PoolWorker>> workers_;

  // On a line of their own, as all threads write them.
  alignas(64) mutable std::mutex mutex_;
  WorkQueue queue_;
  size_t queued_ = 0;
  std::vector<PoolWorker*> parked_;  // the last was the last to park
  int waking_ = 0;                   // taken out of parked_ and not yet looking for work
  int spinning_ = 0;
  bool draining_ = false;
  bool closed_ = false;  // threads end
  std::condition_variable drained_;

  // Read without the lock by those who spin.
  internal::Atomic<bool> hint_{false};  // the queue is not empty
  internal::Gate wakes_;                // inside are threads that are about to notify a worker
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_THREAD_POOL_THREAD_POOL_H_
