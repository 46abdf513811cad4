// BlockingPool: threads for functions that block: file operations, name lookups, libraries that
// know nothing of coroutines.
//
//   plait::BlockingPool pool({.max_threads = 8});
//   std::string text = co_await plait::RunIn(pool, [] { return ReadWholeFile("a.txt"); });
//
// Every executor has one behind Executor::blocking(), which Offload uses; make one yourself to cap
// what runs at once against one resource (a database with four connections: .max_threads = 4).
//
// Work waits in one queue, first in, first out. A thread is started when work comes and none is
// idle, up to max_threads; one that has had nothing to do for idle_timeout ends. The thread that
// was idle last is the first to be used, so that the others can end.
//
// Threads: Schedule, Post and the figures may be called from any thread; Close and the destructor
// from one thread, not the pool's own. Lifetime: Close runs what is queued, cancels and joins the
// tasks that were spawned on the pool and the parts of others' tasks that run on it (On), and joins
// its threads; so it waits for functions that block.
// Scheduling on a closed pool is a programming error (CHECK); a Schedule that races Close either
// comes before it, and its item is run, or is that error. A pool does not survive fork: in the
// child, work is refused (CHECK) and the destructor leaves the parent's state alone. Its threads
// are not Workers: tasks may run here, but Sleep and Timeout fail with FailedPrecondition. Cost: a
// post to an idle thread is a wake-up (tens of microseconds), to none a thread's start.
#ifndef PLAIT_SCHEDULERS_BLOCKING_BLOCKING_POOL_H_
#define PLAIT_SCHEDULERS_BLOCKING_BLOCKING_POOL_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/work_item.h"

namespace plait {
namespace internal {
class OwnBlockingPool;
}

struct BlockingPoolOptions {
  // The most threads at once, from 1 to BlockingPool::kMostThreads.
  int max_threads = 64;
  // How long a thread stays without work; zero ends it at once, absl::InfiniteDuration() never.
  absl::Duration idle_timeout = absl::Seconds(10);
  // Of the threads, in ps and debuggers.
  std::string name = "blocking";
};

class BlockingPool final : public Executor {
 public:
  static constexpr int kMostThreads = 4096;

  // InvalidArgument, with the option's name, for options that make no sense.
  static absl::StatusOr<std::unique_ptr<BlockingPool>> Create(BlockingPoolOptions options = {});
  // The same, where such options are a programming error (CHECK).
  explicit BlockingPool(BlockingPoolOptions options = {});
  // Closes the pool.
  ~BlockingPool() override;

  // Allocates when it has to start a thread. If the system has no thread to give, the item waits
  // for those that there are; if there are none, that is a CHECK.
  void Schedule(WorkItem& item) noexcept override;

  // A function that was posted, to be cancelled. Dropping it lets the function run.
  class Handle {
   public:
    Handle() = default;

    // Any thread. True when the function will not run, and has been destroyed; false when it runs,
    // has run or was cancelled before.
    bool Cancel();

   private:
    friend class BlockingPool;
    struct Job;
    explicit Handle(std::shared_ptr<Job> job) : job_(std::move(job)) {}
    std::shared_ptr<Job> job_;
  };

  // Runs `function` on one of the threads.
  Handle Post(absl::AnyInvocable<void() &&> function);

  // See above. FailedPrecondition when called on one of the pool's own threads. Closing again does
  // nothing.
  absl::Status Close();

  // What waits for a thread. A cancelled job counts until its turn comes.
  size_t queued() const;
  // The threads that there are, and those of them that wait for work.
  int threads() const;
  int idle_threads() const;

 private:
  struct PoolThread {
    Thread thread;
    std::condition_variable wake;
    bool woken = false;
  };
  struct State;

  friend class internal::OwnBlockingPool;

  static absl::Status Validate(const BlockingPoolOptions& options);
  // Cancels the tasks that are left, and waits until nothing is queued or runs.
  void Drain();
  // See OwnBlockingPool.
  bool TryDrain(absl::AnyInvocable<void()> wake);
  void BeginClosingLocked(std::unique_lock<std::mutex>& lock);
  bool DrainedLocked() const;
  void DrainLocked(std::unique_lock<std::mutex>& lock);
  void StartThreadLocked(State& state);
  void RunThread(PoolThread& self);
  // The next item; null when this thread is to end.
  WorkItem* Next(std::unique_lock<std::mutex>& lock, PoolThread& self);
  // False when there was none for idle_timeout.
  bool WaitForWork(std::unique_lock<std::mutex>& lock, PoolThread& self);

  const BlockingPoolOptions options_;
  const uint64_t generation_;
  std::unique_ptr<State> state_;
};

namespace internal {

// The blocking executor of an executor: one that it was given, or else a BlockingPool of its own
// that is made when it is first asked for.
class OwnBlockingPool {
 public:
  explicit OwnBlockingPool(Executor* given) : given_(given) {}
  OwnBlockingPool(const OwnBlockingPool&) = delete;
  OwnBlockingPool& operator=(const OwnBlockingPool&) = delete;

  // Any thread.
  Executor& get() noexcept;
  // What follows is of the own pool, which is made where it was not; where one was given it does
  // nothing. Waits until it has nothing to do. What ran
  // there may have spawned tasks on its executor, and these may offload functions whose results
  // cannot say that they did not run: so it takes work until its executor has no task left.
  void Drain();
  // The same for a thread that what runs there may wait for: true when it has nothing to do. If not
  // `wake` is called, on one of its threads, whenever that may have changed; the first one that was
  // given, until it is closed.
  bool TryDrain(absl::AnyInvocable<void()> wake);
  // Joins its threads. From now on it takes no work (CHECK).
  void Close();

 private:
  Executor* const given_;
  std::once_flag once_;
  std::unique_ptr<BlockingPool> own_;
};

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_SCHEDULERS_BLOCKING_BLOCKING_POOL_H_
