// EventLoop: an executor that runs everything on one thread, with a reactor and timers.
//
//   plait::EventLoop loop(plait::MakeEpollReactor());
//   int answer = plait::BlockOn(loop, Main());
//
// Turn by turn it runs what is ready, first in, first out; fetches what other threads have posted;
// and asks the reactor and the timers for more, waiting there only when nothing is ready. However
// much work reposts itself, the reactor and the timers are asked at least every kMaxItemsPerTurn
// items, and more often when items take long, for which it looks at the clock every 64; but what a
// wait has brought is run first, for up to a millisecond more, as what there is besides would only
// be queued behind it.
//
// Threads: Schedule, Post and Stop may be called from any thread, and so may BlockOn, which waits
// where another thread runs the loop. The rest is for one thread at a time, which owns the loop
// while it runs. From its own thread a post is a list append; from another it costs two locked
// instructions, and a system call only when the loop sleeps. Frames of ended coroutines go back to
// the allocator when the thread has been idle for a tenth of a second (idle_frames.h). Errors:
// running a loop that runs already, that was closed, or that belongs to a parent process gives
// FailedPrecondition; scheduling on a closed loop is a programming error (CHECK). A loop does not
// survive fork: in the child every call is refused and the destructor leaves the parent's state
// alone.
#ifndef PLAIT_SCHEDULERS_EVENT_LOOP_EVENT_LOOP_H_
#define PLAIT_SCHEDULERS_EVENT_LOOP_EVENT_LOOP_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/gate.h"
#include "plait/runtime/core/inbox.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/time/timer_queue.h"
#include "plait/schedulers/blocking/blocking_pool.h"

namespace plait {

struct EventLoopOptions {
  // Null for the machine's. Outlives the loop. With a virtual clock the loop jumps to the next
  // deadline when it is idle, also while other threads work for it (an Offload, a reactor's
  // blocking file operation): that takes no time by that clock.
  Clock* clock = nullptr;
  // Where Offload's functions and the reactor's blocking file operations run; outlives the loop.
  // Null for a BlockingPool of the loop's own, whose threads are started when they are needed and
  // joined when the loop is closed.
  Executor* blocking = nullptr;
  // Who is told of what happens on the loop; debug mode. (asyncio: the exception handler, the debug
  // switch, the task factory.)
  ExecutorHooks hooks;
};

class EventLoop final : public Executor, private Worker {
 public:
  // The most items that run between two looks at the reactor and the timers.
  static constexpr int kMaxItemsPerTurn = 1024;

  // A reactor that is null or that could not be made is a programming error (CHECK, with its
  // status): look at the status first where the system may refuse it.
  explicit EventLoop(absl::StatusOr<std::unique_ptr<Reactor>> reactor,
                     EventLoopOptions options = {});
  // Closes the loop.
  ~EventLoop() override;

  // Any thread.
  void Schedule(WorkItem& item) noexcept override;
  bool RunUntil(const internal::Atomic<bool>& done) noexcept override;
  Executor& blocking() noexcept override { return blocking_.get(); }

  // A callback that was posted, to be cancelled. Dropping it lets the callback run.
  struct Callback;
  class Handle {
   public:
    Handle() = default;

    // The loop's thread. True when the callback will not run; false when it has run or was
    // cancelled before, and on another thread while the loop runs.
    bool Cancel();

   private:
    friend class EventLoop;
    explicit Handle(std::shared_ptr<Callback> callback) : callback_(std::move(callback)) {}
    std::shared_ptr<Callback> callback_;
  };

  // Runs `callback` on the loop (asyncio: call_soon, from any thread call_soon_threadsafe).
  // Allocates; a WorkItem does not.
  Handle Post(absl::AnyInvocable<void() &&> callback);

  // Runs `item` on the loop. May be called from a signal handler, also one that interrupts the
  // loop's own thread.
  void PostFromSignalHandler(WorkItem& item) noexcept { PostFromOutside(item); }

  // Runs `callback` after `delay`, never before (asyncio: call_later). The loop's thread, or before
  // it runs: from another FailedPrecondition. InvalidArgument when `delay` is negative.
  absl::StatusOr<Handle> PostAfter(absl::Duration delay, absl::AnyInvocable<void() &&> callback);
  // The same with a point on the calendar (asyncio: call_at), which becomes a delay here and now;
  // the past is the next turn.
  absl::StatusOr<Handle> PostAt(absl::Time time, absl::AnyInvocable<void() &&> callback);

  // Runs until nothing is live: no task and no part of another's (On), no callback, no timer and no
  // operation in flight; or until Stop.
  absl::Status Run();
  // Runs until Stop.
  absl::Status RunForever();
  // Waits until something is ready, runs one turn, returns. Returns at once when nothing is live.
  absl::Status RunOnce();
  // Runs what is ready now and returns, without waiting.
  absl::Status RunReady();

  // Ends the present Run after the items that are ready now; or, if it does not run, the next Run
  // after its first turn. Any thread.
  void Stop() noexcept;

  // Cancels the tasks that are left, and the parts of others' tasks that run here (On), and runs
  // until they have ended, and until the blocking threads of its own, which may wait for what runs
  // here, have nothing to do; joins these, drops the callbacks that have not run, and refuses work;
  // what other work is queued by then is run, and operations that are no task's are cancelled.
  // FailedPrecondition when called from inside the loop. Closing again does nothing.
  absl::Status Close();

  // Cancels the tasks that were spawned on the loop and have not ended, and runs until they have.
  absl::Status CancelTasks();

  // Ready items, callbacks, timers, operations and tasks: is there anything that could make the
  // loop do something?
  bool live() const noexcept;
  bool in_loop_thread() const noexcept { return Worker::Current() == this; }
  Reactor& io() noexcept { return *reactor_; }
  Clock& clock() noexcept override { return clock_; }

 private:
  struct StopItem : WorkItem {
    EventLoop* loop = nullptr;
    internal::Atomic<bool> posted{false};
  };

  // Worker.
  void Post(WorkItem& item) noexcept override;
  void AddTimer(Timer& timer) noexcept override;
  bool CancelTimer(Timer& timer) noexcept override;
  Reactor* reactor() noexcept override { return reactor_.get(); }
  bool HasReady() noexcept override { return !ready_.empty(); }

  // Why `what` cannot be done now; OK if it can.
  absl::Status Refusal(const char* what) const;
  // Keeps Worker::Current on this loop for as long as it lives.
  class Running;

  void PostFromOutside(WorkItem& item) noexcept;
  // Runs items until Stop or, if not null, `done`; until nothing is live if `until_idle`.
  void RunUntilEnd(const internal::Atomic<bool>* done, bool until_idle);
  // Runs up to `count` items. False when that is not to go on: nothing is left, Stop was called, or
  // `done` (may be null) was set.
  bool RunSome(int count, const internal::Atomic<bool>* done);
  // Runs what is to run between two looks.
  void RunItems(const internal::Atomic<bool>* done);
  // Runs what is ready now, and none of what that makes ready.
  void RunTurn();
  // In debug mode: runs `item` and reports it if that took long.
  void RunWatched(WorkItem& item);
  // False, and in debug mode a report, where the loop runs on another thread.
  bool CheckThread(const char* what) const;
  // Fetches what has become ready; waits for it if `wait` and nothing is.
  void FetchReady(bool wait);
  void Wait();
  // Waits a moment for a post from another thread without going to sleep, where that has paid
  // lately; true when there is one.
  bool SpinForPost(Deadline deadline);
  void AdaptTurn(Deadline now);
  // Runs until no task, and no part of another's, is left.
  void AwaitTasks();
  // And until the blocking threads of its own have nothing to do.
  void AwaitTasksAndBlocking();
  void DropCallbacks();

  const std::unique_ptr<Reactor> reactor_;
  Clock& clock_;
  const uint64_t generation_;
  internal::OwnBlockingPool blocking_;

  // The loop's thread.
  WorkQueue ready_;
  TimerQueue timers_;
  internal::TaskRegistry callbacks_;  // live Handle::Callbacks
  bool stopping_ = false;             // Stop was called; cleared when a run has ended by it
  int turn_limit_ = 64;
  bool full_turn_ = false;      // the last turn ran as many items
  bool blocking_only_ = false;  // closing waits for blocking threads, and for no task
  int spins_ = 0;               // how often SpinForPost may still be in vain
  Deadline last_look_;          // Immediate where nobody needed to know
  int brought_ = 0;             // how many items the last fetch has brought by a wait
  WorkItem end_of_turn_;        // queued behind what RunTurn runs
  StopItem stop_item_;

  // Shared. On a line of their own, as other threads write them.
  alignas(64) internal::Inbox inbox_;
  internal::Gate posts_;  // from outside; shut when the loop is closed
  internal::Atomic<bool> running_{false};
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_EVENT_LOOP_EVENT_LOOP_H_
