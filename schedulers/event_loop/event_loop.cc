#include "plait/schedulers/event_loop/event_loop.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/idle_frames.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/resume.h"
#include "plait/runtime/task/task_state.h"
#include "plait/runtime/task/visit.h"
#include "plait/runtime/trace/dump_tasks.h"

namespace plait {

using internal::Atomic;
using internal::kAcquire;
using internal::kRelaxed;
using internal::thread_state;

namespace {

// A thread that sleeps is woken in tens of microseconds, one that spins in a tenth of one. So a
// loop that was woken soon after it went to sleep spins for so long before it does so again, and
// stops when that was in vain a few times in a row: an idle loop does not spin.
constexpr absl::Duration kSpin = absl::Microseconds(40);
constexpr int kSpinsOnTrust = 3;

// A turn between two looks should take long enough to make the look cheap and not so long that I/O
// waits.
constexpr int64_t kShortTurnNs = 20'000;
constexpr int64_t kLongTurnNs = 100'000;

std::unique_ptr<Reactor> CheckedReactor(absl::StatusOr<std::unique_ptr<Reactor>> reactor) {
  PLAIT_CHECK(reactor.ok(),
              absl::StrCat("an EventLoop needs a reactor: ", reactor.status().ToString()));
  PLAIT_CHECK(*reactor != nullptr, "an EventLoop needs a reactor, not null");
  return *std::move(reactor);
}

}  // namespace

namespace {

// Remembers the task that ran last, and keeps it in being.
class LastTask final : public internal::ResumeWatcher {
 public:
  void OnResume(const internal::PromiseBase& coroutine) noexcept override {
    if (thread_state.nested > 0) return;  // it runs on behalf of another
    internal::TaskState* task = coroutine.context->task;
    task->Ref();
    task_ = internal::TaskRef<internal::TaskState>(task);
  }
  internal::TaskRef<internal::TaskState> Take() { return std::move(task_); }

 private:
  internal::TaskRef<internal::TaskState> task_;
};

}  // namespace

class EventLoop::Running {
 public:
  explicit Running(EventLoop& loop) : loop_(loop) {
    loop_.running_.store(true, kRelaxed);
    thread_state.called = nullptr;  // see ResumeFromLoop
    thread_state.worker = &loop_;
    thread_state.local_executor = &loop_;
    thread_state.list_executor = &loop_;
    thread_state.sole_executor = &loop_;
    thread_state.local_ready = &loop_.ready_;
    if (loop_.hooks().debug) thread_state.watcher = &watcher_;
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    loop_.reactor_->Flush();
    loop_.running_.store(false, kRelaxed);
    thread_state.worker = nullptr;
    thread_state.local_executor = nullptr;
    thread_state.list_executor = nullptr;
    thread_state.sole_executor = nullptr;
    thread_state.local_ready = nullptr;
    thread_state.watcher = nullptr;
    thread_state.called = outer_called_;
  }

 private:
  EventLoop& loop_;
  internal::PromiseBase* const outer_called_ = thread_state.called;
  LastTask watcher_;
};

// A posted function. Owned by itself until it has run or the loop was closed, and by its handle.
struct EventLoop::Callback : Timer, internal::TaskLink {
  Callback(EventLoop& owner, absl::AnyInvocable<void() &&> f)
      : Timer(&RunCallback), loop(&owner), function(std::move(f)) {}

  static void RunCallback(WorkItem& item) noexcept {
    auto& self = static_cast<Callback&>(static_cast<Timer&>(item));
    const std::shared_ptr<Callback> keep = self.Retire();
    if (self.function != nullptr) std::exchange(self.function, nullptr)();
  }

  // Takes it off the loop's books.
  std::shared_ptr<Callback> Retire() {
    loop->callbacks_.Remove(*this);
    loop = nullptr;
    return std::move(self);
  }

  EventLoop* loop;  // null once it has run or was dropped
  absl::AnyInvocable<void() &&> function;
  std::shared_ptr<Callback> self;
};

bool EventLoop::Handle::Cancel() {
  if (callback_ == nullptr || callback_->loop == nullptr || callback_->function == nullptr ||
      !callback_->loop->CheckThread("Handle::Cancel")) {
    return false;
  }
  callback_->function = nullptr;
  // One that is queued already stays there, without a function; a timer leaves nothing behind.
  // (An infinite delay was never armed, and is always cancelled in time.)
  if (callback_->loop->CancelTimer(*callback_)) callback_->Retire();
  return true;
}

EventLoop::EventLoop(absl::StatusOr<std::unique_ptr<Reactor>> reactor, EventLoopOptions options)
    : Executor(std::move(options.hooks)),
      reactor_(CheckedReactor(std::move(reactor))),
      clock_(options.clock != nullptr ? *options.clock : Clock::Real()),
      generation_(internal::ProcessGeneration()),
      blocking_(options.blocking),
      last_look_(clock_.Now()) {
  internal::PrepareHeavyBarrier();
  reactor_->set_executor(*this);
  stop_item_.loop = this;
  stop_item_.run = [](WorkItem& item) noexcept {
    auto& stop = static_cast<StopItem&>(item);
    stop.posted.store(false, kRelaxed);
    stop.loop->stopping_ = true;
  };
}

EventLoop::~EventLoop() {
  if (generation_ != internal::ProcessGeneration()) {
    // In a forked child the parent's operations are still in flight: nothing here is ours to end.
    const_cast<std::unique_ptr<Reactor>&>(reactor_).release();
    return;
  }
  const absl::Status closed = Close();
  PLAIT_CHECK(closed.ok(), closed.ToString());
}

absl::Status EventLoop::Refusal(const char* what) const {
  const char* why = nullptr;
  if (generation_ != internal::ProcessGeneration()) {
    why = "it belongs to the parent process; make a new one after fork";
  } else if (posts_.shut()) {
    why = "it was closed";
  } else if (running_.load(kRelaxed)) {
    why = "it is running already";
  } else if (Worker::Current() != nullptr) {
    why = "another loop is running on this thread";
  }
  if (why == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("EventLoop::", what, ": ", why));
}

void EventLoop::Schedule(WorkItem& item) noexcept {
  if (thread_state.worker == this) [[likely]] {
    ready_.Push(item);
  } else {
    PostFromOutside(item);
  }
}

void EventLoop::Post(WorkItem& item) noexcept { EventLoop::Schedule(item); }

void EventLoop::PostFromOutside(WorkItem& item) noexcept {
  // The loop, which may run the item and end before Wake returns, waits for this thread to be out.
  PLAIT_CHECK(posts_.Enter(), "work was scheduled on an EventLoop that was closed");
  PLAIT_CHECK(generation_ == internal::ProcessGeneration(),
              "work was scheduled, in a forked child, on an EventLoop of the parent process");
  if (inbox_.Push(item)) reactor_->Wake();
  posts_.Leave();
}

void EventLoop::AddTimer(Timer& timer) noexcept {
  if (!timer.deadline.is_infinite()) timers_.Add(timer);
}

bool EventLoop::CancelTimer(Timer& timer) noexcept {
  if (timer.deadline.is_infinite()) return true;
  if (!timer.armed()) return false;
  timers_.Cancel(timer);
  return true;
}

EventLoop::Handle EventLoop::Post(absl::AnyInvocable<void() &&> callback) {
  auto posted = std::make_shared<Callback>(*this, std::move(callback));
  posted->self = posted;
  callbacks_.Add(*posted);
  Schedule(*posted);
  return Handle(std::move(posted));
}

absl::StatusOr<EventLoop::Handle> EventLoop::PostAfter(absl::Duration delay,
                                                       absl::AnyInvocable<void() &&> callback) {
  if (delay < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("EventLoop::PostAfter: the delay is negative: ", absl::FormatDuration(delay)));
  }
  if (!CheckThread("PostAfter")) {
    return absl::FailedPreconditionError(
        "EventLoop::PostAfter: the loop runs on another thread: Post a callback that calls it");
  }
  PLAIT_CHECK(!posts_.shut(), "work was scheduled on an EventLoop that was closed");
  auto posted = std::make_shared<Callback>(*this, std::move(callback));
  posted->self = posted;
  posted->deadline = clock_.Now() + delay;
  callbacks_.Add(*posted);
  AddTimer(*posted);
  return Handle(std::move(posted));
}

absl::StatusOr<EventLoop::Handle> EventLoop::PostAt(absl::Time time,
                                                    absl::AnyInvocable<void() &&> callback) {
  return PostAfter(std::max(absl::ZeroDuration(), time - clock_.WallTime()), std::move(callback));
}

bool EventLoop::live() const noexcept {
  const WorkItem* ready = ready_.front();
  if (ready == &end_of_turn_) ready = ready->next;
  return ready != nullptr || !inbox_.empty() || !timers_.empty() || reactor_->in_flight() > 0 ||
         callbacks_.size() > 0 || internal::HasTasks(*this);
}

// --- running ---

bool EventLoop::CheckThread(const char* what) const {
  if (!running_.load(kRelaxed) || in_loop_thread()) return true;
  if (hooks().debug) {
    hooks().Tell({.kind = ReportKind::kWrongThread,
                  .message = absl::StrCat("EventLoop::", what,
                                          " was called on another thread than the loop's")});
  }
  return false;
}

void EventLoop::RunWatched(WorkItem& item) {
  auto& watcher = static_cast<LastTask&>(*thread_state.watcher);
  const Deadline before = clock_.Now();
  item.run(item);
  const absl::Duration took = absl::Nanoseconds(clock_.Now().nanos() - before.nanos());
  const auto task = watcher.Take();
  if (took < hooks().slow_callback) return;
  Report report{.kind = ReportKind::kSlowCallback};
  std::string who = "a callback";
  std::string where;
  if (task) {
    who = internal::Describe(*task);
    report.task_id = task->id();
    report.task_name = std::string(task->name());
    where = task->done() ? "; it has ended"
                         : absl::StrCat("; it is now at\n", internal::DumpAwaits(*task, 1));
  }
  report.message =
      absl::StrCat(who, " held its event loop for ", absl::FormatDuration(took), where);
  hooks().Tell(report);
}

bool EventLoop::RunSome(int count, const Atomic<bool>* done) {
  const bool watched = hooks().debug;
  for (int i = 0; i < count; ++i) {
    WorkItem* item = ready_.Pop();
    if (item == nullptr) return false;
    if (watched) [[unlikely]] {
      RunWatched(*item);
    } else if (item->run == &internal::ResumeTask) {
      // Mostly it is a coroutine.
      internal::ResumeFromLoop(static_cast<internal::PromiseBase&>(*item));
    } else {
      item->run(*item);
    }
    if (stopping_ || (done != nullptr && done->load(kRelaxed))) [[unlikely]]
      return false;
  }
  return true;
}

void EventLoop::RunItems(const Atomic<bool>* done) {
  // After how many items it is looked whether they keep the reactor, the timers and all others
  // waiting for too long; and how long what a wait has brought may do so.
  constexpr int kItemsBetween = 64;
  constexpr int64_t kLongestNs = 1'000'000;
  const int limit = turn_limit_;
  const int most = std::max(limit, brought_);
  int ran = std::min(limit, kItemsBetween);
  full_turn_ = false;
  if (!RunSome(ran, done)) return;
  if (ran < most) [[unlikely]] {
    Deadline now = clock_.Now();
    const Deadline since = last_look_ == Deadline::Immediate() ? now : last_look_;
    while (now.nanos() - since.nanos() <= (ran < brought_ ? kLongestNs : kLongTurnNs)) {
      const int some = std::min({most - ran, limit, kItemsBetween});
      if (!RunSome(some, done)) return;
      ran += some;
      if (ran == most) break;
      now = clock_.Now();
    }
  }
  if (brought_ > limit) {
    last_look_ = Deadline::Immediate();  // so long a turn is not the limit's doing
  } else if (ran < limit) {
    turn_limit_ = ran;
  } else {
    full_turn_ = true;
  }
}

void EventLoop::RunTurn() {
  // In the queue, as a task that is the only one there may be called by who awaits it
  // (TaskState::TakeIfNext), which would be before its turn.
  ready_.Push(end_of_turn_);
  for (WorkItem* item = ready_.Pop(); item != &end_of_turn_; item = ready_.Pop()) {
    if (hooks().debug) [[unlikely]] {
      RunWatched(*item);
    } else {
      item->run(*item);
    }
  }
}

void EventLoop::AdaptTurn(Deadline now) {
  // One that ended for lack of work says nothing of how long a full one takes.
  if (last_look_ == Deadline::Immediate()) return;
  const int64_t took = now.nanos() - last_look_.nanos();
  if (took > kLongTurnNs) {
    turn_limit_ = std::max(8, turn_limit_ / 2);
  } else if (full_turn_ && took < kShortTurnNs) {
    turn_limit_ = std::min(kMaxItemsPerTurn, turn_limit_ * 2);
  }
}

void EventLoop::FetchReady(bool wait) {
  inbox_.Drain(ready_);
  const bool waits = wait && ready_.empty();
  brought_ = 0;
  if (waits) {
    Wait();
    for (const WorkItem* item = ready_.front(); item != nullptr && brought_ < kMaxItemsPerTurn;
         item = item->next) {
      ++brought_;
    }
    last_look_ = Deadline::Immediate();
    // Most waits are of this kind: nobody asks what time it is.
    if (timers_.empty()) return;
  } else if (reactor_->expects_results()) {
    reactor_->Poll(Deadline::Immediate(), clock_, ready_);
  }
  if (timers_.empty() && !reactor_->expects_results()) {
    last_look_ = Deadline::Immediate();
    return;
  }
  const Deadline now = clock_.Now();
  timers_.Advance(now, ready_);
  if (!waits) AdaptTurn(now);
  last_look_ = now;
}

void EventLoop::Wait() {
  // No virtual time passes while blocking threads are all that is waited for: they do something.
  const Deadline deadline =
      blocking_only_ && clock_.is_virtual() ? Deadline::Infinite() : timers_.NextWake();
  if (clock_.is_virtual() && !deadline.is_infinite()) {
    // What the system has ready comes before any time passes.
    reactor_->Poll(Deadline::Immediate(), clock_, ready_);
    inbox_.Drain(ready_);
    if (ready_.empty()) clock_.AdvanceTo(deadline);
    return;
  }
  if (!SpinForPost(deadline) && inbox_.PrepareToSleep()) {
    const Deadline asleep = clock_.Now();
    const Deadline until = internal::SleepUntilFramesGo(clock_, deadline, asleep);
    reactor_->Poll(until, clock_, ready_);
    const bool by_reactor = !ready_.empty();
    inbox_.Drain(ready_);
    if (ready_.empty() && until < deadline) {
      internal::SleptInVain(clock_, asleep, clock_.Now());
    }
    // Woken by another thread, and soon: the next time it may be worth spinning.
    if (!by_reactor && !ready_.empty() && clock_.Now() < asleep + 2 * kSpin) {
      spins_ = kSpinsOnTrust;
    }
    return;
  }
  inbox_.Drain(ready_);
}

bool EventLoop::SpinForPost(Deadline deadline) {
  // Operations would not be looked at meanwhile; on one processor nobody could post; and virtual
  // time stands still.
  static const bool pays = HardwareThreads() > 1;
  if (spins_ == 0 || !pays || reactor_->expects_results() || clock_.is_virtual()) return false;
  const Deadline end = std::min(deadline, clock_.Now() + kSpin);
  do {
    for (int i = 0; i < 16; ++i) {
      if (!inbox_.empty()) {
        spins_ = kSpinsOnTrust;
        return true;
      }
      internal::SpinWait(0);
    }
  } while (clock_.Now() < end);
  --spins_;
  return false;
}

void EventLoop::Stop() noexcept {
  if (in_loop_thread()) {
    stopping_ = true;
  } else if (!stop_item_.posted.exchange(true, kAcquire)) {
    // Acquire pairs with the relaxed store in the item's run, which the queue orders before this
    // item's next use.
    PostFromOutside(stop_item_);
  }
}

void EventLoop::RunUntilEnd(const Atomic<bool>* done, bool until_idle) {
  const Running running(*this);
  last_look_ = clock_.Now();
  brought_ = 0;
  inbox_.Drain(ready_);
  for (;;) {
    RunItems(done);
    if (done != nullptr && done->load(kRelaxed)) {
      stopping_ = false;  // a stop that came with the end was for this run, not for the next
      return;
    }
    if (stopping_) {
      RunTurn();
      stopping_ = false;
      return;
    }
    if (ready_.empty() && until_idle && !live()) return;
    FetchReady(/*wait=*/true);
  }
}

absl::Status EventLoop::Run() {
  if (absl::Status refusal = Refusal("Run"); !refusal.ok()) return refusal;
  RunUntilEnd(nullptr, /*until_idle=*/true);
  return absl::OkStatus();
}

absl::Status EventLoop::RunForever() {
  if (absl::Status refusal = Refusal("RunForever"); !refusal.ok()) return refusal;
  RunUntilEnd(nullptr, /*until_idle=*/false);
  return absl::OkStatus();
}

bool EventLoop::RunUntil(const Atomic<bool>& done) noexcept {
  if (running_.load(kRelaxed) && Worker::Current() == nullptr) return false;  // on another thread
  const absl::Status refusal = Refusal("BlockOn");
  PLAIT_CHECK(refusal.ok(), refusal.ToString());
  RunUntilEnd(&done, /*until_idle=*/false);
  PLAIT_CHECK(done.load(kAcquire), "EventLoop::Stop ended the loop before the awaited task had");
  return true;
}

absl::Status EventLoop::RunOnce() {
  if (absl::Status refusal = Refusal("RunOnce"); !refusal.ok()) return refusal;
  const Running running(*this);
  FetchReady(/*wait=*/false);
  // A wake-up may bring nothing: go on until there is something to run.
  while (ready_.empty() && live()) FetchReady(/*wait=*/true);
  RunTurn();
  stopping_ = false;
  return absl::OkStatus();
}

absl::Status EventLoop::RunReady() {
  if (absl::Status refusal = Refusal("RunReady"); !refusal.ok()) return refusal;
  const Running running(*this);
  FetchReady(/*wait=*/false);
  RunTurn();
  stopping_ = false;
  return absl::OkStatus();
}

// --- ending ---

absl::Status EventLoop::CancelTasks() {
  if (absl::Status refusal = Refusal("CancelTasks"); !refusal.ok()) return refusal;
  const Running running(*this);
  while (tasks().size() > 0) {
    internal::CancelAll(tasks());
    RunTurn();
    if (tasks().size() == 0) break;
    // Also what they have started, and what waits already.
    internal::CancelAll(tasks());
    FetchReady(/*wait=*/true);
  }
  return absl::OkStatus();
}

absl::Status EventLoop::Close() {
  if (posts_.shut()) return absl::OkStatus();
  if (absl::Status refusal = Refusal("Close"); !refusal.ok()) return refusal;
  std::optional<Running> running(std::in_place, *this);
  internal::BeginClosing(*this);
  AwaitTasks();
  for (;;) {
    // What runs there may still spawn here, or wait for what it has called here; and that may still
    // use it.
    AwaitTasksAndBlocking();
    // A thread that is still inside a post may be about to wake the reactor.
    posts_.Shut();
    posts_.AwaitEmpty();
    if (!internal::HasTasks(*this)) break;
    // One that came with the last posts. What it waits for may come by a post.
    posts_.Open();
  }
  // No task's: what a Stream sends in the background, say. Their own items alone, as callbacks are
  // not to run.
  const auto end_operations = [this] {
    while (reactor_->in_flight() > 0) {
      WorkQueue ended;
      reactor_->CancelAll();
      reactor_->Poll(Deadline::Infinite(), clock_, ended);
      while (WorkItem* const item = ended.Pop()) item->run(*item);
    }
  };
  end_operations();
  // Outside of the loop, which takes nothing up any more: a Stream that goes with a callback closes
  // its descriptor itself, and leaves the reactor nothing to do.
  running.reset();
  DropCallbacks();
  running.emplace(*this);
  // What is left others wait for: functions that they have called here (RunIn), and what these
  // spawn.
  for (;;) {
    inbox_.Drain(ready_);
    AwaitTasks();
    if (ready_.empty()) {
      if (reactor_->in_flight() == 0) break;
      end_operations();
    }
    RunTurn();
  }
  blocking_.Close();
  return absl::OkStatus();
}

void EventLoop::AwaitTasks() {
  while (internal::HasTasks(*this)) {
    RunTurn();
    if (internal::HasTasks(*this)) FetchReady(/*wait=*/true);
  }
}

void EventLoop::AwaitTasksAndBlocking() {
  const auto blocking = [this] { return !blocking_.TryDrain([this] { reactor_->Wake(); }); };
  while (blocking() || internal::HasTasks(*this)) {
    RunTurn();
    blocking_only_ = !internal::HasTasks(*this);
    if (blocking() || !blocking_only_) FetchReady(/*wait=*/true);
  }
  blocking_only_ = false;
}

void EventLoop::DropCallbacks() {
  std::vector<std::shared_ptr<Callback>> dropped;
  std::vector<absl::AnyInvocable<void() &&>> functions;
  callbacks_.ForEach([&](internal::TaskLink& link) {
    auto& callback = static_cast<Callback&>(link);
    // One that is queued stays there, and has nothing to call.
    functions.push_back(std::exchange(callback.function, nullptr));
    if (!callback.armed() && !callback.deadline.is_infinite()) return;
    if (callback.armed()) timers_.Cancel(callback);
    dropped.push_back(callback.self);
  });
  for (const auto& callback : dropped) callback->Retire();
}

}  // namespace plait
