// PoolMonitor: looks after workers that are stuck in an item: one that computes for long, and one
// that is blocked in a function that waits. Internal to the pool.
//
// The rest of a pool goes by itself; what is stuck it would not notice. A worker's slot is its own
// while it works, nobody is woken for what is the only work of a worker that is about to do it, and
// when all workers are blocked, nobody is left. So a thread of its own looks at the workers every
// kTick while any is awake, and sleeps when they have slept for a while. A worker that is in the
// same item as at the last look is stuck, and
//   - what is in its slot and its deque goes to the pool's inbox, where also those look who have
//     enough to do;
//   - is asked to yield, which a tree of Forks does between two of them (fork_stack.h): it goes on
//     when the worker has seen to its timers, its completions and what else waits there;
//   - if the system says, at two looks in a row, that its thread waits there, and that it has run
//     for less than half of the time between them, it is blocked. While all workers are blocked and
//     there is work, a spare one works in their place (up to kSpares, one after the other). It
//     gives back what it has when one of them returns;
//   - after ExecutorHooks::slow_callback it is reported, once, with the task's name: one that was
//     blocked for so long always (kSlowCallback, which elsewhere is debug mode's; one that blocks
//     again and again, and runs in between, is not), one that computes in debug mode. One that
//     waits for what it has forked (ParallelInvoke) is not blocked. The task is the innermost: one
//     that was begun eagerly inside of another, while it runs there. (What is only awaited or
//     forked is a part of the task that does so, and has no name of its own.)
// What only the stuck worker may run waits until it is back: its timers, its completions (and the
// coroutines that those let go on, where they were ready already), operations on descriptors that
// are at home there, and what cancels any of these. Its reactor is its thread's own, which nobody
// can poll in its place. So does, of one that is blocked, what its Forks have not begun: that has
// no item which could be moved. By a virtual clock, which knows no long, there is neither monitor
// nor spare.
//
// A spare is a worker like any other, with a reactor of its own, whose thread begins when it is
// needed first and sleeps when it is not. It is also begun when something is posted to it: a
// descriptor may have been given a home there.
//
// Threads: one of its own; NoteAwake is for workers, the rest for who makes and ends the pool.
// Cost: two plain stores of the worker for each item (how many it has begun, and which), and a load
// when it wakes up; for the machine some microseconds a look, and 10 for each worker that is stuck.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_POOL_MONITOR_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_POOL_MONITOR_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/parker.h"
#include "plait/schedulers/work_stealing/worker_sleep.h"

namespace plait::internal {

class PoolShared;
class PoolWorker;
class TaskState;

class PoolMonitor {
 public:
  static constexpr int kSpares = 4;
  static constexpr absl::Duration kTick = absl::Milliseconds(10);
  // It sleeps when all workers have been asleep for so many looks: a pool with a little to do now
  // and then does not wake it each time.
  static constexpr int kLooksBeforeSleep = 10;

  explicit PoolMonitor(PoolShared& shared);
  PoolMonitor(const PoolMonitor&) = delete;
  PoolMonitor& operator=(const PoolMonitor&) = delete;

  absl::Status StartThread(const std::string& name);
  // Before the workers end. Does nothing where it was never started.
  void End() noexcept;

  // A worker is awake now, having said so (WorkerSleep::End).
  void NoteAwake() noexcept {
    if (asleep_.on()) [[unlikely]]
      parker_.Wake();
  }

  // How many spare workers are to work now. Relaxed, as those that are concerned are woken, or
  // begun, when it has changed.
  int spares() const noexcept { return spares_.load(kRelaxed); }

 private:
  // What is known of a worker.
  struct Watched {
    uint64_t turns = 0;
    bool idle = true;
    Deadline since;  // it was first seen in this item
    // Looks in a row that found its thread waiting in it, each but the first having mostly waited
    // since the one before; and when that began.
    int waits = 0;
    Deadline waits_since;
    // Of the look before, where that found it waiting.
    Deadline looked_at;
    absl::Duration ran;
    bool reported = false;

    // One look may have met a thread that waits for a moment only.
    bool blocked() const noexcept { return waits >= 2; }
  };

  void Run() noexcept;
  bool AllAsleep() const noexcept;
  // Until a worker is awake, or the end.
  void Sleep() noexcept;
  // Until the next look, or the end.
  void AwaitTick() noexcept;
  void Look() noexcept;
  void LookAt(PoolWorker& worker, Watched& watched, Deadline now) noexcept;
  static void LookWhetherItWaits(const PoolWorker& worker, Watched& watched, Deadline now) noexcept;
  void Report(const PoolWorker& worker, const Watched& watched, Deadline now) const;
  // `task`: null where it is a callback.
  void Tell(const TaskState* task, bool blocked, absl::Duration since) const;
  bool AllBlocked(size_t first, size_t end) const noexcept;
  void AdaptSpares() noexcept;
  void SetSpares(int count) noexcept;

  PoolShared& shared_;
  std::string name_;
  Thread thread_;
  std::vector<Watched> watched_;
  Parker parker_;
  SleepWatch asleep_;
  Atomic<bool> ending_{false};  // relaxed: its parker is woken afterwards
  Atomic<int> spares_{0};
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_POOL_MONITOR_H_
