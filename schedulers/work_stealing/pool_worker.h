// PoolWorker: one thread of a WorkStealingPool. Internal to the pool.
//
// Where its work is, and who may have it:
//
//   slot     what was scheduled last by what runs here: runs next, while its data is in the cache,
//            and so that two tasks that wait for each other stay together. Up to kSlotRuns times in
//            a row; then what is scheduled goes to the deque, so that such a pair does not starve
//            others. Others take it only when it has been left lying (a worker that is stuck).
//   deque    what the slot was full for, what gives others a turn, what was posted to the pool:
//            first in, first out. Others steal from the same end, where it is oldest.
//   lane     its newest end, after a while in which the worker itself has taken all that was there:
//            for as long as nobody else has nothing to do, the same without locked instructions
//            (work_lane.h).
//   ready    what must run on this very thread: timers that are due, operations that have
//            completed, what was posted to this worker. Takes turns with the deque. A coroutine
//            that waited for one goes on in it, at once: its next operation is mostly here, too.
//            But where several are ready, items take long and somebody is idle, it is queued in the
//            deque. What else these make ready goes to the slot and the deque.
//   inbox    posts to this worker from other threads, on their way to `ready`.
//   forks    what was forked and nobody else knows of, and calls that were forked and published
//            (pool_forks.h). Others ask for the former and steal the latter.
//
// First in, first out at its own end too (and not newest first, as fork-join wants it): tasks are
// treated as they come, none waits for ever. What wants it the other way round has it, without
// atomics, in the thread's ForkStack.
//
// Between two looks at its reactor and timers it runs up to kMostItems items, fewer where they take
// long. Threads: the worker's own, but where noted.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_POOL_WORKER_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_POOL_WORKER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/inbox.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/task_state.h"
#include "plait/runtime/time/timer_queue.h"
#include "plait/schedulers/work_stealing/deque.h"
#include "plait/schedulers/work_stealing/pool_forks.h"
#include "plait/schedulers/work_stealing/pool_shared.h"
#include "plait/schedulers/work_stealing/spinner.h"
#include "plait/schedulers/work_stealing/work_lane.h"
#include "plait/schedulers/work_stealing/work_slot.h"
#include "plait/schedulers/work_stealing/worker_sleep.h"

namespace plait::internal {

class PoolWorker final : public Worker {
 public:
  static constexpr int kSlotRuns = 3;
  static constexpr int kMostItems = 1024;
  // What was posted to the pool from outside is looked at after so many items, also where there is
  // enough to do. (A prime, so that it does not beat with what programs do.)
  static constexpr int kItemsPerPostedLook = 61;
  // The most that is stolen at once from a deque.
  static constexpr int64_t kMostStolen = 32;
  // The lane is opened when so many items were taken from the deque. What it costs when others come
  // for what is in it, and each that parks, is then less than what they have paid.
  static constexpr int kTakesBeforeLane = 1024;
  // The most of what is ready that runs in a row where it has waited for a tree of Forks.
  static constexpr int kReadyAfterYield = 128;
  // What takes longer is long. To go on elsewhere costs a wake-up there, and the way back for the
  // next operation here, some 30 µs together.
  static constexpr absl::Duration kLongItem = absl::Microseconds(50);
  // So many of what is ready are done at once then: they have buffers.
  static constexpr int kReadyAtOnce = 8;

  // Whether this thread is a worker of that pool, whoever's items it runs now.
  static bool RunsThisThread(const PoolShared& shared) noexcept;

  // `reactor` may be null. `seed` is not 0.
  PoolWorker(PoolShared& shared, int number, uint64_t seed, IdlePolicy idle_policy,
             std::unique_ptr<Reactor> reactor);
  ~PoolWorker() override;

  // Worker.
  void Post(WorkItem& item) noexcept override;
  void AddTimer(Timer& timer) noexcept override;
  bool CancelTimer(Timer& timer) noexcept override;
  Clock& clock() noexcept override { return shared_.clock; }
  // Null for a spare that has not begun, also where it will have one.
  Reactor* reactor() noexcept override { return sleep_.reactor(); }
  bool HasReady() noexcept override { return HasLocalWork(); }

  // The pool's constructor and end. `pinned`: to a processor of its own, where the system can.
  absl::Status StartThread(const std::string& name, bool pinned);
  void JoinThread();
  // What that thread does until the pool is closed. (Public for tests, whose threads are others.)
  void Run() noexcept;
  // The monitor, for a spare that has not begun: makes its reactor and its thread. False where that
  // cannot be had.
  bool StartSpare(const std::string& name) noexcept;
  // Whether it has a thread. Who begins it.
  bool begun() const noexcept { return thread_.joinable(); }

  // Work that any worker may do. The slot's, while it is open.
  void Schedule(WorkItem& item) noexcept {
    if (!slot_open_ || !slot_.PutIfEmpty(item)) ScheduleBehind(item);
  }
  // See Executor.
  bool TakeIfNext(const WorkItem& item) noexcept {
    return slot_.Take(item, [this] { turns_.store(turns_.load(kRelaxed) + 1, kRelaxed); });
  }
  void ScheduleLast(WorkItem& item) noexcept {
    // What will be the only work here is run here next, soon: nobody is woken for it. (But where
    // something else goes on below, which has begun it, or what it has forked comes first.)
    const bool lone = lane_.empty() && deque_.empty() && ready_.empty() && slot_.empty() &&
                      thread_state.nested == 0 && thread_state.continuations == nullptr &&
                      forks_.empty();
    if (!lane_.open()) return QueueInDeque(item, lone);
    if (!lane_.Push(item, lone) || (!lone && shared_.idle.SomebodyIsIdle())) [[unlikely]]
      ShowLane();
  }

  // For its PoolForks: what others have asked for.
  void PushForked(WorkItem& job) noexcept {
    CloseLane();
    deque_.Push(job);
  }
  void WakeForForked() noexcept { shared_.WakeForDeque(); }
  // Whether more of the pool's workers have nothing to do than what waits here, `calls` with it.
  bool MoreAreIdleThan(int64_t calls) const noexcept {
    return shared_.idle.parked() + shared_.idle.searching() > deque_.size() + calls;
  }
  // A call that another worker has published. Where there is none, those who fork are asked for
  // more.
  WorkItem* StealCall() noexcept;
  // The monitor: it has been in one item for long.
  void AskToYield() noexcept { forks_.AskToYield(); }
  // For its PoolForks: the item that it is in has made way. What goes on with it is behind what
  // there is; its reactor and its timers come first.
  void Yield(WorkItem& rest) noexcept;
  // It has taken what others may have asked for, who sleep: asks again in their place.
  void AskForOthers() noexcept;

  // --- any thread ---

  void Wake() noexcept { sleep_.Wake(); }
  // Also when it is a spare that has not begun, unless something was posted to it.
  bool asleep() const noexcept { return sleep_.asleep(); }
  bool in_reactor() const noexcept { return sleep_.in_reactor(); }
  // It has nothing to do: it looks for work, or sleeps. A figure, from which nothing follows.
  bool idle() const noexcept { return idle_.load(kRelaxed); }
  // How many items it has begun.
  uint64_t turns() const noexcept { return turns_.load(kRelaxed); }
  // How many it has taken from other workers.
  uint64_t steals() const noexcept { return steals_.load(kRelaxed); }
  // Whether there is something that others may take at once.
  bool HasItems() const noexcept {
    return deque_.HasItems() || forks_.calls().HasItems() || lane_.HasItems();
  }
  // See WorkLane.
  bool RevealLane() const noexcept { return lane_.Reveal(); }
  size_t queued() const noexcept {
    return static_cast<size_t>(deque_.size() + forks_.calls().size()) + lane_.size() +
           (slot_.empty() ? 0 : 1) + (inbox_.has_items() ? 1 : 0);
  }
  bool has_work() const noexcept { return queued() > 0; }

  // What it is known by to ActivityOf.
  int64_t thread_number() const noexcept { return thread_number_.load(kRelaxed); }
  // Whether what it has resumed or begun last belongs to `task`, which is alive.
  bool runs(const TaskState& task) const noexcept {
    const void* const resumed = resumed_.load(kRelaxed);
    return resumed == &task || resumed == static_cast<const WorkItem*>(&task);
  }
  // A plain function waits, in the item that it is in, for what it has forked. The worker; and any
  // thread.
  void NoteWaitForForked() noexcept { waited_in_turn_.store(turns(), kRelaxed); }
  // It has found some to run meanwhile, which may block.
  void NoteForkedFound() noexcept { waited_in_turn_.store(~uint64_t{0}, kRelaxed); }
  bool waits_for_forked() const noexcept { return waited_in_turn_.load(kRelaxed) == turns(); }
  // The monitor: some of what others can do as well, from its slot, its deque or its lane; none if
  // there is none.
  void TakeForOthers(WorkQueue& taken) noexcept;

  // While it is asleep, and time is virtual: its first deadline, and the pool's rests when it asked
  // its reactor last.
  Deadline wake_at() const noexcept { return Deadline::AtNanos(wake_at_.load(kRelaxed)); }
  uint64_t asked_reactor_at() const noexcept { return asked_reactor_at_.load(kRelaxed); }

 private:
  class Running;
  class ResumeNotes final : public ResumeWatcher {
   public:
    explicit ResumeNotes(PoolWorker& worker) noexcept : worker_(worker) {}
    void OnResume(const PromiseBase& coroutine) noexcept override {
      worker_.NoteResumed(coroutine);
    }

   private:
    PoolWorker& worker_;
  };

  // pool_worker.cc: its queues.
  // Next's, of the slot; and where that is empty.
  WorkItem* NextOfSlot() noexcept;
  inline WorkItem* NextOfQueues() noexcept;
  // NextOfQueues, where it is time to look at what was posted; where something is in the deque; and
  // where something in the lane is to be.
  WorkItem* NextOfPosted() noexcept;
  WorkItem* NextOfDeque() noexcept;
  WorkItem* NextOfShown() noexcept;
  // One of what is ready; or null.
  WorkItem* NextOfReady() noexcept {
    WorkItem* const item = ready_.Pop();
    if (ready_.empty()) return item;
    return shared_.idle.SomebodyIsIdle() ? NextOfSeveral(*item) : item;
  }
  // `item`, behind which more is ready, while somebody is idle; or what it has made ready.
  WorkItem* NextOfSeveral(WorkItem& item) noexcept;
  // Runs `first` and some of what is ready behind it. What waited for them goes to the deque, but
  // for one.
  WorkItem* ShareReady(WorkItem& first) noexcept;
  // One item from the deque, the oldest; or null.
  WorkItem* TakeOldest() noexcept;
  // Schedule, where the slot is taken, or not open.
  void ScheduleBehind(WorkItem& item) noexcept;
  // Behind all that waits in deque and lane.
  void Queue(WorkItem& item) noexcept {
    if (lane_.open()) {
      if (!lane_.Push(item, /*lone=*/false)) [[unlikely]]
        CloseLane();
    } else {
      deque_.Push(item);
    }
  }
  // Behind all that waits, where the lane is not open; and who has nothing to do is woken for it.
  void QueueInDeque(WorkItem& item, bool lone) noexcept;
  // After Queue.
  void WakeForQueue() noexcept {
    if (!lane_.open()) return shared_.WakeForDeque();
    if (shared_.idle.SomebodyIsIdle()) [[unlikely]]
      ShowLane();
  }
  void OpenLane() noexcept;
  // What is in it goes to the deque.
  void CloseLane() noexcept;
  // And who has nothing to do is woken for it.
  void ShowLane() noexcept;
  bool HasLocalWork() const noexcept;
  // Of a spare that is not needed any more: what others can do.
  void GiveBack() noexcept;
  // Posts to the pool: the first is to be run next, the rest goes to the deque. Null: none.
  WorkItem* TakePosted() noexcept;
  // One item to be run next; where there are more, half of them go to the deque.
  WorkItem* StealFrom(PoolWorker& victim) noexcept;
  // The same from what it keeps to itself.
  WorkItem* StealFromLane(PoolWorker& victim) noexcept;
  WorkItem* Steal() noexcept;
  // All others for what they have forked, or will fork.
  void AskOthers() noexcept;
  // What others' slots hold, and a lone item in a lane, since they were seen in NoteTurns.
  WorkItem* StealSlots() noexcept;
  void NoteTurns() noexcept;
  uint64_t Random() noexcept;

  // Whether it is to do others' work: a spare is while the pool's threads are blocked.
  bool helps() const noexcept {
    return number_ < shared_.threads || number_ < shared_.threads + shared_.monitor.spares();
  }

  // pool_worker_run.cc: its thread.
  inline WorkItem* Next() noexcept;
  inline void RunItem(WorkItem& item) noexcept;
  void NoteResumed(const PromiseBase& coroutine) noexcept {
    resumed_.store(coroutine.context->task, kRelaxed);
  }
  // False when there was nothing left.
  bool RunItems() noexcept;
  // What is ready, up to a limit.
  void RunReady() noexcept;
  // When the pool is closed: what is in flight here and no task's, as what a Stream sends in the
  // background.
  void EndOperations() noexcept;
  // Asks inbox, reactor and timers what has become ready, without waiting.
  void Look() noexcept;
  void AdaptTurn(Deadline now) noexcept;
  // Until there is something to do here; false when the thread is to end.
  bool FindWork() noexcept;
  // True when there is something to do.
  bool Search() noexcept;
  bool TryTake() noexcept;
  bool Spin() noexcept;
  void Park() noexcept;
  // True when it has slept.
  bool Sleep(Deadline now) noexcept;

  PoolShared& shared_;
  const int number_;
  std::unique_ptr<Reactor> reactor_;  // made before the thread
  Thread thread_;

  WorkQueue ready_;
  TimerQueue timers_;
  bool slot_open_ = true;
  bool ready_turn_ = false;
  int slot_runs_ = 0;
  int items_to_posted_look_ = kItemsPerPostedLook;
  int takes_before_lane_ = kTakesBeforeLane;
  int turn_limit_ = 64;
  // Items, with the one that runs.
  static constexpr int kLast = 1;
  int left_in_turn_ = kLast;
  bool ready_first_ = false;  // what Yield was for comes before the rest of a turn
  bool full_turn_ = false;
  Deadline last_look_;
  // When NextOfSeveral has looked at the clock in this turn, and after how many turns; or infinite.
  Deadline noted_at_;
  uint64_t noted_after_ = 0;
  WorkItem* found_ = nullptr;  // by FindWork, to be run next
  uint64_t rested_after_ = 0;  // so many turns, when it was noted last
  uint64_t random_;
  std::vector<uint64_t> noted_turns_;
  Spinner spinner_;

  // Read by others.
  WorkSlot slot_;
  Atomic<uint64_t> turns_{0};
  Atomic<uint64_t> steals_{0};
  Atomic<bool> idle_;
  Atomic<int64_t> thread_number_{0};
  // To compare with, not to look at: the task whose coroutine it has resumed last, or the item that
  // was no coroutine (a task's start is the task), or, for as long as it runs inside of that, one
  // that was begun eagerly (ThreadState::shown_task).
  Atomic<const void*> resumed_{nullptr};
  Atomic<uint64_t> waited_in_turn_{~uint64_t{0}};
  Atomic<int64_t> wake_at_;
  Atomic<uint64_t> asked_reactor_at_{0};
  WorkStealingDeque deque_;
  WorkLane lane_;
  PoolForks forks_{*this};
  ResumeNotes resume_notes_{*this};

  // Written by others.
  alignas(64) Inbox inbox_;
  WorkerSleep sleep_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_POOL_WORKER_H_
