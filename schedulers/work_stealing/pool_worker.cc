// A worker's queues; its thread is in pool_worker_run.cc.
#include "plait/schedulers/work_stealing/pool_worker.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

PoolWorker::PoolWorker(PoolShared& shared, int number, uint64_t seed, IdlePolicy idle_policy,
                       std::unique_ptr<Reactor> reactor)
    : Worker(&shared.group),
      shared_(shared),
      number_(number),
      reactor_(std::move(reactor)),
      random_(seed),
      spinner_(idle_policy, shared.clock),
      idle_(number >= shared.threads),
      wake_at_(Deadline::Infinite().nanos()),
      sleep_(reactor_.get(), /*begins_asleep=*/number >= shared.threads) {
  if (reactor_ != nullptr) reactor_->set_executor(shared_.executor);
  // What is posted to a spare without a thread wakes it, as any that sleeps.
  if (number >= shared.threads) static_cast<void>(inbox_.PrepareToSleep());
}

PoolWorker::~PoolWorker() = default;

absl::Status PoolWorker::StartThread(const std::string& name, bool pinned) {
  noted_turns_.resize(shared_.workers.size());  // not on the thread, which then allocates nothing
  absl::StatusOr<Thread> thread = TryStartThread(absl::StrCat(name, " ", number_), [this, pinned] {
    if (pinned) PinThread(number_);  // or not: it is for speed only
    Run();
  });
  if (!thread.ok()) return thread.status();
  thread_ = *std::move(thread);
  return absl::OkStatus();
}

bool PoolWorker::StartSpare(const std::string& name) noexcept {
  if (shared_.make_reactor != nullptr && reactor_ == nullptr) {
    absl::StatusOr<std::unique_ptr<Reactor>> reactor = shared_.make_reactor();
    if (!reactor.ok()) return false;
    reactor_ = *std::move(reactor);
    reactor_->set_executor(shared_.executor);
    sleep_.set_reactor(reactor_.get());
  }
  return StartThread(name, /*pinned=*/false).ok();
}

void PoolWorker::TakeForOthers(WorkQueue& taken) noexcept {
  if (WorkItem* const item = slot_.Steal()) return taken.Push(*item);
  if (WorkItem* const item = TakeOldest()) return taken.Push(*item);
  if (!lane_.empty()) lane_.TakeHalf(taken);
}

void PoolWorker::JoinThread() {
  if (thread_.joinable()) thread_.join();
}

// --- as a Worker ---

void PoolWorker::Post(WorkItem& item) noexcept {
  if (thread_state.worker == this) {
    ready_.Push(item);
    return;
  }
  const PoolShared::Posting posting(shared_, PoolShared::Posting::To::kOneWorker);
  if (!inbox_.Push(item)) return;
  Wake();
  // A spare that has no thread does not tell of itself.
  if (number_ >= shared_.threads) shared_.monitor.NoteAwake();
}

void PoolWorker::AddTimer(Timer& timer) noexcept {
  if (!timer.deadline.is_infinite()) timers_.Add(timer);
}

bool PoolWorker::CancelTimer(Timer& timer) noexcept {
  if (timer.deadline.is_infinite()) return true;
  if (!timer.armed()) return false;
  timers_.Cancel(timer);
  return true;
}

// --- its own work ---

void PoolWorker::ScheduleBehind(WorkItem& item) noexcept {
  // Where the slot is not open, what runs here may go on for long.
  WorkItem* const last = slot_open_ ? slot_.Put(item) : &item;
  if (last == nullptr) return;
  Queue(*last);
  WakeForQueue();
}

void PoolWorker::Yield(WorkItem& rest) noexcept {
  // The monitor has moved there what waited here.
  WorkQueue posted;
  if (shared_.HasPosted()) shared_.TakePosted(posted);
  while (WorkItem* const item = posted.Pop()) Queue(*item);
  Queue(rest);
  WakeForQueue();  // also for `rest` alone: what is ready here comes first
  left_in_turn_ = kLast;
  ready_first_ = true;
}

WorkItem* PoolWorker::TakeOldest() noexcept {
  while (!deque_.empty()) {
    const WorkStealingDeque::Stolen oldest = deque_.Steal();
    if (oldest.item != nullptr) return oldest.item;
  }
  return nullptr;
}

WorkItem* PoolWorker::NextOfDeque() noexcept {
  if (WorkItem* const item = TakeOldest()) {
    if (--takes_before_lane_ <= 0) [[unlikely]]
      OpenLane();
    return item;
  }
  if (WorkItem* const item = lane_.Pop()) return item;
  return NextOfReady();
}

WorkItem* PoolWorker::NextOfShown() noexcept {
  ShowLane();
  return NextOfDeque();
}

void PoolWorker::QueueInDeque(WorkItem& item, bool lone) noexcept {
  deque_.Push(item);
  if (!lone) shared_.WakeForDeque();
}

void PoolWorker::ShowLane() noexcept {
  CloseLane();
  shared_.WakeForDeque();
}

void PoolWorker::OpenLane() noexcept {
  takes_before_lane_ = kTakesBeforeLane;
  // Where much waits it would be closed at once.
  if (lane_.open() || deque_.size() > static_cast<int64_t>(WorkLane::kMostItems / 2)) return;
  if (HeavyBarrierWorks()) lane_.Open();
}

void PoolWorker::CloseLane() noexcept {
  if (!lane_.open()) return;
  takes_before_lane_ = kTakesBeforeLane;
  while (WorkItem* const item = lane_.Pop()) deque_.Push(*item);
  lane_.Close();
}

void PoolWorker::GiveBack() noexcept {
  CloseLane();
  if (WorkItem* const item = slot_.Take()) shared_.PostFromOutside(*item);
  while (WorkItem* const item = TakeOldest()) shared_.PostFromOutside(*item);
}

bool PoolWorker::HasLocalWork() const noexcept {
  return !ready_.empty() || !deque_.empty() || !lane_.empty() || !slot_.empty();
}

// --- others' work ---

WorkItem* PoolWorker::TakePosted() noexcept {
  if (!shared_.HasPosted()) return nullptr;
  WorkQueue posted;
  shared_.TakePosted(posted);
  WorkItem* const first = posted.Pop();
  if (posted.empty()) return first;
  while (WorkItem* const item = posted.Pop()) Queue(*item);
  // On their way they were nowhere that others look: who has parked meanwhile has missed them.
  WakeForQueue();
  return first;
}

WorkItem* PoolWorker::StealFrom(PoolWorker& victim) noexcept {
  WorkStealingDeque::Stolen stolen;
  do {
    stolen = victim.deque_.Steal();
  } while (stolen.outcome == WorkStealingDeque::Stolen::kLost);
  if (stolen.item == nullptr) return StealFromLane(victim);
  // Half of the rest comes along: where many small items wait, each look for more would cost more
  // than the items. What is forked is not affected: of it only the oldest is ever in a deque.
  uint64_t count = 1;
  for (int64_t left = std::min(victim.deque_.size() / 2, kMostStolen - 1); left > 0; --left) {
    const WorkStealingDeque::Stolen more = victim.deque_.Steal();
    if (more.item == nullptr) break;
    Queue(*more.item);
    ++count;
  }
  // As in TakePosted.
  if (count > 1) WakeForQueue();
  steals_.store(steals_.load(kRelaxed) + count, kRelaxed);
  return stolen.item;
}

WorkItem* PoolWorker::StealFromLane(PoolWorker& victim) noexcept {
  if (!victim.lane_.HasItems()) return nullptr;
  WorkQueue taken;
  victim.lane_.TakeHalf(taken);
  WorkItem* const first = taken.Pop();
  if (first == nullptr) return nullptr;
  uint64_t count = 1;
  for (; WorkItem* const item = taken.Pop(); ++count) Queue(*item);
  // As in TakePosted.
  if (count > 1) WakeForQueue();
  steals_.store(steals_.load(kRelaxed) + count, kRelaxed);
  return first;
}

WorkItem* PoolWorker::Steal() noexcept {
  const size_t workers = shared_.workers.size();
  const size_t first = Random() % workers;
  for (size_t i = 0; i < workers; ++i) {
    PoolWorker& victim = *shared_.workers[(first + i) % workers];
    if (&victim == this || !victim.HasItems()) continue;
    if (WorkItem* const item = StealFrom(victim)) return item;
  }
  return StealCall();
}

WorkItem* PoolWorker::StealCall() noexcept {
  const size_t workers = shared_.workers.size();
  const size_t first = Random() % workers;
  for (size_t i = 0; i < workers; ++i) {
    PoolWorker& victim = *shared_.workers[(first + i) % workers];
    if (&victim == this) continue;
    if (WorkItem* const call = victim.forks_.StealCall()) {
      steals_.store(steals_.load(kRelaxed) + 1, kRelaxed);
      return call;
    }
  }
  AskOthers();
  return nullptr;
}

void PoolWorker::AskForOthers() noexcept {
  if (shared_.idle.SomebodyIsIdle()) AskOthers();
}

void PoolWorker::AskOthers() noexcept {
  for (const auto& worker : shared_.workers) {
    if (worker.get() != this) worker->forks_.Ask();
  }
}

void PoolWorker::NoteTurns() noexcept {
  for (size_t i = 0; i < noted_turns_.size(); ++i) {
    const PoolWorker& worker = *shared_.workers[i];
    const bool empty = worker.slot_.empty() && worker.lane_.empty();
    noted_turns_[i] = empty ? ~uint64_t{0} : worker.turns();
  }
}

WorkItem* PoolWorker::StealSlots() noexcept {
  for (size_t i = 0; i < noted_turns_.size(); ++i) {
    PoolWorker& victim = *shared_.workers[i];
    if (&victim == this || victim.turns() != noted_turns_[i]) continue;
    WorkQueue taken;
    if (WorkItem* const item = victim.slot_.Steal()) {
      taken.Push(*item);
    } else if (victim.lane_.size() == 1) {
      victim.lane_.TakeHalf(taken);
    }
    WorkItem* const item = taken.Pop();
    if (item == nullptr) continue;
    steals_.store(steals_.load(kRelaxed) + 1, kRelaxed);
    return item;
  }
  return nullptr;
}

uint64_t PoolWorker::Random() noexcept {
  // xorshift64 (G. Marsaglia, 2003): that victims differ is all that matters.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

}  // namespace plait::internal
