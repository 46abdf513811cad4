// A worker's thread; its queues are in pool_worker.cc.
#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/idle_frames.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/resume.h"
#include "plait/schedulers/work_stealing/pool_worker.h"

namespace plait::internal {

namespace {

// Not a part of thread_state, which an InlineExecutor hides from what it runs.
constinit thread_local const PoolShared* this_threads_pool = nullptr;

}  // namespace

bool PoolWorker::RunsThisThread(const PoolShared& shared) noexcept {
  return this_threads_pool == &shared;
}

class PoolWorker::Running {
 public:
  explicit Running(PoolWorker& worker) {
    worker.thread_number_.store(ThreadNumber(), kRelaxed);
    thread_state.worker = &worker;
    this_threads_pool = &worker.shared_;
    thread_state.local_executor = &worker.shared_.executor;
    // But for spares.
    if (worker.shared_.threads == 1 && worker.number_ == 0) {
      thread_state.sole_executor = &worker.shared_.executor;
    }
    thread_state.forks = &worker.forks_;
    thread_state.shown_task = &worker.resumed_;
    KeepFramesApart(worker.shared_.threads > 1);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    thread_state.worker = nullptr;
    this_threads_pool = nullptr;
    thread_state.local_executor = nullptr;
    thread_state.sole_executor = nullptr;
    thread_state.forks = nullptr;
    thread_state.shown_task = nullptr;
    KeepFramesApart(false);
  }
};

void PoolWorker::Run() noexcept {
  const Running running(*this);
  sleep_.End();  // a spare's
  shared_.monitor.NoteAwake();
  idle_.store(false, kRelaxed);
  last_look_ = clock().Now();
  for (;;) {
    RunItems();
    Look();
    if (!helps()) [[unlikely]]
      GiveBack();
    if (HasLocalWork()) continue;
    if (!FindWork()) return EndOperations();
    if (WorkItem* const item = std::exchange(found_, nullptr)) {
      left_in_turn_ = turn_limit_;
      RunItem(*item);
      if (left_in_turn_ == kLast) Look();
    }
  }
}

inline WorkItem* PoolWorker::Next() noexcept {
  if (!slot_.empty()) return NextOfSlot();
  slot_runs_ = 0;
  slot_open_ = true;
  if (--items_to_posted_look_ <= 0) [[unlikely]]
    return NextOfPosted();
  return NextOfQueues();
}

WorkItem* PoolWorker::NextOfSlot() noexcept {
  WorkItem* const item = slot_.Take();
  if (item == nullptr) return Next();  // stolen
  if (++slot_runs_ == kSlotRuns) slot_open_ = false;
  return item;
}

WorkItem* PoolWorker::NextOfPosted() noexcept {
  items_to_posted_look_ = kItemsPerPostedLook;
  WorkItem* const item = TakePosted();
  return item != nullptr ? item : NextOfQueues();
}

inline WorkItem* PoolWorker::NextOfQueues() noexcept {
  ready_turn_ = !ready_turn_;
  if (ready_turn_) {
    if (WorkItem* const item = NextOfReady()) return item;
  }
  if (!deque_.empty()) return NextOfDeque();
  // Who looks for work is to find it where it can be stolen.
  if (lane_.size() > 1 && shared_.idle.SomebodySearches()) [[unlikely]]
    return NextOfShown();
  if (WorkItem* const item = lane_.Pop()) return item;
  return NextOfReady();
}

WorkItem* PoolWorker::NextOfSeveral(WorkItem& item) noexcept {
  const Deadline now = clock().Now();
  const Deadline noted_at = std::exchange(noted_at_, now);
  const uint64_t items = turns() - std::exchange(noted_after_, turns());
  // Together: which of them it was that took long is not known.
  const bool long_ones = !noted_at.is_infinite() && items > 0 &&
                         now.Since(noted_at) >= kLongItem * static_cast<int64_t>(items);
  return long_ones ? ShareReady(item) : &item;
}

WorkItem* PoolWorker::ShareReady(WorkItem& first) noexcept {
  if (first.run == &ResumeTask) return &first;  // it was posted here, to go on here
  WorkItem* next = nullptr;
  // What these schedule is not to lie in the slot while that goes on.
  const bool slot_was_open = std::exchange(slot_open_, false);
  WorkItem* event = &first;
  for (int left = kReadyAtOnce;;) {
    WorkQueue waited;
    thread_state.continuations = &waited;
    RunItem(*event);
    thread_state.continuations = nullptr;
    if (next == nullptr) next = waited.Pop();
    if (!waited.empty()) {
      while (WorkItem* const item = waited.Pop()) Queue(*item);
      WakeForQueue();
    }
    if (--left == 0 || ready_.empty() || ready_.front()->run == &ResumeTask) break;
    event = ready_.Pop();
  }
  slot_open_ = slot_was_open;
  noted_after_ = turns();  // these were short, whatever takes long
  // One that has gone on in place may have queued what it took for the only work here.
  if (next != nullptr && (!deque_.empty() || !lane_.empty())) WakeForQueue();
  return next != nullptr ? next : ready_.Pop();
}

inline void PoolWorker::RunItem(WorkItem& item) noexcept {
  turns_.store(turns_.load(kRelaxed) + 1, kRelaxed);
  // Mostly it is a coroutine.
  if (item.run == &ResumeTask) {
    auto& coroutine = static_cast<PromiseBase&>(item);
    NoteResumed(coroutine);
    ResumeFromLoop(coroutine);
  } else {
    resumed_.store(&item, kRelaxed);
    // A timer or a completion resumes a coroutine right here.
    thread_state.watcher = &resume_notes_;
    item.run(item);
    thread_state.watcher = nullptr;
  }
}

bool PoolWorker::RunItems() noexcept {
  full_turn_ = false;
  noted_at_ = Deadline::Infinite();
  left_in_turn_ = turn_limit_;
  if (ready_first_) [[unlikely]]
    RunReady();
  for (; left_in_turn_ > 0; --left_in_turn_) {
    WorkItem* const item = Next();
    if (item == nullptr) return false;
    RunItem(*item);
  }
  full_turn_ = true;
  return true;
}

void PoolWorker::RunReady() noexcept {
  ready_first_ = false;
  // One that has made way in turn leaves the turn one item of the queues: they are not to starve
  // either.
  for (int left = kReadyAfterYield; left > 0 && !ready_first_; --left) {
    WorkItem* const item = NextOfReady();
    if (item == nullptr) return;
    RunItem(*item);
  }
}

void PoolWorker::EndOperations() noexcept {
  while (reactor_ != nullptr && reactor_->in_flight() > 0) {
    reactor_->CancelAll();
    reactor_->Poll(Deadline::Infinite(), clock(), ready_);
    while (RunItems()) {
    }
  }
}

void PoolWorker::Look() noexcept {
  inbox_.Drain(ready_);
  const bool expects = reactor_ != nullptr && reactor_->expects_results();
  if (expects) reactor_->Poll(Deadline::Immediate(), clock(), ready_);
  if (timers_.empty() && !expects) return;
  const Deadline now = clock().Now();
  timers_.Advance(now, ready_);
  AdaptTurn(now);
}

void PoolWorker::AdaptTurn(Deadline now) noexcept {
  // As in an EventLoop: a turn between two looks should take long enough to make the look cheap and
  // not so long that I/O waits. One that ended for lack of work says nothing of how long a full one
  // takes.
  constexpr int64_t kShortNs = 20'000;
  constexpr int64_t kLongNs = 100'000;
  const int64_t took = now.nanos() - last_look_.nanos();
  if (took > kLongNs) {
    const auto share = static_cast<int>(turn_limit_ * kLongNs / took);
    turn_limit_ = std::max(8, std::min(turn_limit_ / 2, share));
  } else if (full_turn_ && took < kShortNs) {
    turn_limit_ = std::min(kMostItems, turn_limit_ * 2);
  }
  last_look_ = now;
}

// --- without work ---

bool PoolWorker::FindWork() noexcept {
  CloseLane();
  idle_.store(true, kRelaxed);
  while (!Search()) {
    if (shared_.closed()) return false;
    Park();
    if (HasLocalWork()) break;
  }
  idle_.store(false, kRelaxed);
  // Who was the last to look may have been trusted with more than it found.
  if (shared_.idle.EndSearch(number_) && shared_.HasWork()) shared_.WakeForWork();
  if (found_ != nullptr) AskForOthers();
  return true;
}

bool PoolWorker::TryTake() noexcept {
  if (!shared_.HasWork()) {
    AskOthers();
    return false;
  }
  // Before it takes anything, so that what waits and who is idle are never none together while
  // there is something to do.
  idle_.store(false, kRelaxed);
  found_ = TakePosted();
  if (found_ == nullptr) found_ = Steal();
  if (found_ != nullptr) return true;
  idle_.store(true, kRelaxed);
  return false;
}

bool PoolWorker::Search() noexcept {
  if (!helps()) {
    // Claimed as it ceased to be needed: others must see what it was claimed for.
    if (shared_.idle.searches(number_)) {
      static_cast<void>(shared_.idle.EndSearch(number_));
      shared_.WakeForWork();
    }
    return false;
  }
  if (TryTake()) return true;
  // Spares do not count here.
  const bool enough = 2 * shared_.idle.searching() >= shared_.threads;
  if (enough && !shared_.idle.searches(number_)) return false;
  return shared_.idle.BeginSearch(number_) && Spin();
}

bool PoolWorker::Spin() noexcept {
  if (shared_.draining()) return false;  // the end would be held up
  NoteTurns();
  const bool expects = reactor_ != nullptr && reactor_->expects_results();
  // To one at the reactor: a system call costs more than a look at all that others have.
  constexpr int kLooksPerPoll = 8;
  int looks = 0;
  const auto look = [&]() noexcept {
    if (inbox_.has_items()) {
      inbox_.Drain(ready_);
      return Spinner::Found::kWork;
    }
    if (expects && ++looks % kLooksPerPoll == 0) {
      reactor_->Poll(Deadline::Immediate(), clock(), ready_);
      if (!ready_.empty()) return Spinner::Found::kResult;
    }
    return TryTake() ? Spinner::Found::kWork : Spinner::Found::kNothing;
  };
  const bool trusted = spinner_.trusts();
  if (spinner_.Spin(timers_.NextWake(), look)) {
    last_look_ = clock().Now();  // the time that was spun is no turn's
    return true;
  }
  if (!trusted) return false;
  // What has lain in somebody's slot for as long is left lying.
  idle_.store(false, kRelaxed);
  found_ = StealSlots();
  if (found_ != nullptr) return true;
  idle_.store(true, kRelaxed);
  return false;
}

void PoolWorker::Park() noexcept {
  const Deadline before = clock().Now();
  bool slept = false;
  bool by_work = true;
  bool by_result = false;
  if (inbox_.PrepareToSleep()) {
    const bool helping = helps();  // and to be woken for work
    if (helping) {
      shared_.idle.PreparePark(number_);
      AskOthers();  // what was given before may be gone, and nobody has seen that this one sleeps
    }
    const bool seen = helping && shared_.HasWorkForOneThatParks();
    if (!seen) slept = Sleep(before);  // not where it was woken meanwhile, as it is for the end
    by_work = inbox_.has_items();
    by_result = !ready_.empty();
    // Where it was claimed, it searches; either way it looks now. For what it has seen nobody was
    // woken, perhaps, as it still searched: so it does again, and then wakes others for the rest.
    if (helping && !shared_.idle.CancelPark(number_)) {
      by_work = true;
    } else if (seen) {
      shared_.idle.BeginSearch(number_);
    }
  }
  inbox_.Drain(ready_);
  last_look_ = clock().Now();
  timers_.Advance(last_look_, ready_);
  if (slept) {
    using Found = Spinner::Found;
    spinner_.Slept(last_look_.Since(before), by_work     ? Found::kWork
                                             : by_result ? Found::kResult
                                                         : Found::kNothing);
  }
  if (slept && !by_work && !HasLocalWork()) SleptInVain(clock(), before, last_look_);
}

bool PoolWorker::Sleep(Deadline now) noexcept {
  const Deadline deadline = timers_.NextWake();
  const bool in_reactor = reactor_ != nullptr && reactor_->expects_results();
  if (clock().is_virtual()) {
    wake_at_.store(deadline.nanos(), kRelaxed);
    // See PoolShared::PassVirtualTime.
    if (std::exchange(rested_after_, turns()) != turns()) shared_.rests.Note();
    if (in_reactor) {
      const uint64_t rests = shared_.rests.count();
      reactor_->Poll(Deadline::Immediate(), clock(), ready_);
      if (!ready_.empty()) return false;
      asked_reactor_at_.store(rests, kRelaxed);
    }
  }
  if (!sleep_.Begin(in_reactor)) return false;
  shared_.OnAsleep();
  const Deadline until = SleepUntilFramesGo(clock(), deadline, now);
  sleep_.Block(clock().is_virtual() ? Deadline::Infinite() : until, clock(), ready_);
  sleep_.End();
  shared_.monitor.NoteAwake();
  return true;
}

}  // namespace plait::internal
