#include "plait/schedulers/process_pool/pool_core.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task_context.h"
#include "plait/schedulers/process_pool/worker_main.h"

namespace plait::internal {
namespace {

// Each way; what is larger than kInlineBytes is not in it.
constexpr size_t kRingBytes = size_t{128} << 10;

// So long the pump looks for answers before it sleeps: about what a wake-up through the system
// costs. It gives up looking after a few times in vain, until an answer has come so soon again.
constexpr absl::Duration kSpin = absl::Microseconds(50);
constexpr absl::Duration kSoon = absl::Microseconds(150);
constexpr int kSpinsOnTrust = 3;
// Looks between two turns of the loop.
constexpr int kLooksPerPump = 16;

// Workers that die before they are ready are started again after a pause, which doubles; after so
// many in a row calls fail.
constexpr absl::Duration kFirstPause = absl::Milliseconds(5);
constexpr absl::Duration kLongestPause = absl::Seconds(5);
constexpr int kMostStartFailures = 5;

// A worker that has answered nothing for so long has the calls taken back that it has not begun:
// what it runs takes long, or it hangs. It is given one at a time then, and more again as it
// answers.
constexpr absl::Duration kStall = absl::Milliseconds(2);

// Memory of arguments that nobody uses goes back to the system after about so long.
constexpr absl::Duration kTrimAfter = absl::Seconds(1);

absl::Status ClosedError() { return absl::FailedPreconditionError("the process pool was closed"); }

int SpinsAtFirst() {
  static const int spins = HardwareThreads() > 1 ? kSpinsOnTrust : 0;
  return spins;
}

absl::Status LoopClosed() {
  return absl::UnavailableError("the event loop that drove the process pool was closed");
}

absl::StatusOr<std::unique_ptr<Zygote>> StartZygote(const FunctionTable& functions) {
  return Zygote::Start(ServeTable(functions), functions.fingerprint());
}

constexpr NamedNote kKeeperNote("the end of a process pool's loop");

}  // namespace

// Waits until the home was given up; begins that when the keeper is cancelled, or at once. The
// keeper may run on any thread of home's executor: everything is done at home.
class PoolCore::KeeperWait : public HomeWait {
 public:
  KeeperWait(PoolCore& core, Tenure& tenure, bool at_once) noexcept
      : HomeWait(&OnStop<&Cancelled>), core_(core), tenure_(tenure), at_once_(at_once) {
    begin_.self = this;
    begin_.run = [](::plait::WorkItem& item) noexcept {
      static_cast<BeginItem&>(item).self->BeginAtHome();
    };
  }

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  void await_suspend(std::coroutine_handle<P> waiter) noexcept {
    waiter_ = &waiter.promise();
    tenure_.home.Post(begin_);
  }
  void await_resume() const noexcept {}

 private:
  struct BeginItem : ::plait::WorkItem {
    KeeperWait* self = nullptr;
  };

  void BeginAtHome() noexcept {
    if (tenure_.ended) return waiter_->Schedule();
    tenure_.keeper = this;
    if (at_once_) {
      BeginUncancellable(*waiter_, tenure_.home, kKeeperNote);
      core_.BeginRelease(LoopClosed());
    } else if (!Begin(*waiter_, tenure_.home, kKeeperNote)) {
      tenure_.keeper = nullptr;  // cancelled before it had begun
    }
  }
  static bool Cancelled(HomeWait& wait) noexcept {
    static_cast<KeeperWait&>(wait).core_.BeginRelease(LoopClosed());
    return false;
  }

  PoolCore& core_;
  Tenure& tenure_;
  const bool at_once_;
  PromiseBase* waiter_ = nullptr;
  BeginItem begin_;
};

Task<void> PoolCore::Keep(std::shared_ptr<PoolCore> core, std::shared_ptr<Tenure> tenure) {
  co_await KeeperWait(*core, *tenure, /*at_once=*/false);
  // A keeper that was cancelled before it had begun to wait.
  co_await KeeperWait(*core, *tenure, /*at_once=*/true);
}

absl::StatusOr<std::shared_ptr<PoolCore>> PoolCore::Create(ProcessPoolOptions options) {
  if (!options.functions.status().ok()) return options.functions.status();
  if (options.workers < 0 || options.max_payload == 0 || options.calls_per_worker < 1 ||
      options.calls_per_worker >= static_cast<int>(CallBoard::kSlots)) {
    return absl::InvalidArgumentError(
        "a process pool needs workers >= 0, max_payload > 0 and calls_per_worker from 1 to 255");
  }
  if (options.workers == 0) options.workers = HardwareThreads();
  std::shared_ptr<PoolCore> core(new PoolCore(std::move(options)));
  absl::StatusOr<std::unique_ptr<Zygote>> zygote = StartZygote(core->functions());
  if (!zygote.ok()) return std::move(zygote).status();
  core->zygote_ = *std::move(zygote);
  for (std::unique_ptr<WorkerSeat>& place : core->workers_) {
    absl::StatusOr<std::unique_ptr<WorkerSeat>> worker = core->StartWorker();
    if (!worker.ok()) return std::move(worker).status();
    place = *std::move(worker);
  }
  return core;
}

PoolCore::PoolCore(ProcessPoolOptions options)
    : options_(std::move(options)),
      generation_(ProcessGeneration()),
      workers_(static_cast<size_t>(options_.workers)),
      records_(options_.functions.size()),
      spins_(SpinsAtFirst()) {
  visit_.core = pump_.core = close_.core = close_now_.core = this;
  restart_.core = trim_.core = stall_.core = this;
  visit_.run = [](WorkItem& item) noexcept {
    PoolCore& core = *static_cast<Item&>(item).core;
    WorkQueue arrived;
    {
      const std::lock_guard<std::mutex> hold(core.mutex_);
      arrived.Append(core.arrivals_);
      core.visit_posted_ = false;
    }
    while (WorkItem* arrival = arrived.Pop()) arrival->run(*arrival);
    core.FinishRelease();
  };
  pump_.run = [](WorkItem& item) noexcept { static_cast<Item&>(item).core->Pump(); };
  close_.run = [](WorkItem& item) noexcept {
    PoolCore& core = *static_cast<Item&>(item).core;
    core.closing_ = true;
    if (core.calls_ == 0 && core.releasing_.ok()) core.EndWorkers();
  };
  close_now_.run = [](WorkItem& item) noexcept {
    PoolCore& core = *static_cast<Item&>(item).core;
    core.closing_ = true;
    core.BeginRelease(absl::CancelledError("the process pool was closed"));
  };
  restart_.run = [](WorkItem& item) noexcept {
    PoolCore& core = *static_cast<Alarm&>(static_cast<Timer&>(item)).core;
    core.restart_set_ = false;
    if (core.releasing_.ok()) core.StartWorkers();
    core.FinishRelease();
  };
  stall_.run = [](WorkItem& item) noexcept {
    PoolCore& core = *static_cast<Alarm&>(static_cast<Timer&>(item)).core;
    core.stall_set_ = false;
    if (core.releasing_.ok()) core.LookForStalls();
    core.FinishRelease();
  };
  trim_.run = [](WorkItem& item) noexcept {
    PoolCore& core = *static_cast<Alarm&>(static_cast<Timer&>(item)).core;
    core.trim_set_ = false;
    core.Trim();
    core.FinishRelease();
  };
}

PoolCore::~PoolCore() {
  PLAIT_CHECK(calls_ == 0, "a process pool was dropped with calls in it");
  workers_.clear();
  retired_.clear();
}

// --- from elsewhere ---

void PoolCore::SendHomeLocked(WorkItem& item) noexcept {
  arrivals_.Push(item);
  if (std::exchange(visit_posted_, true)) return;
  home_.load(kRelaxed)->Post(visit_);
}

void PoolCore::Start(RemoteCall& remote) noexcept {
  if (forked()) {
    remote.status = absl::FailedPreconditionError(
        "calling another process: the process pool belongs to the process that this was forked "
        "from");
    return remote.run(remote);
  }
  PoolCall& call = PoolCall::Make(*this, remote);
  call.arrival.run = [](WorkItem& item) noexcept {
    PoolCall& arrived = *static_cast<PoolCall::Item&>(item).self;
    arrived.core.Accept(arrived);
  };
  call.cancel.run = [](WorkItem& item) noexcept {
    PoolCall& cancelled = *static_cast<PoolCall::Item&>(item).self;
    PoolCore& core = cancelled.core;
    {
      const std::lock_guard<std::mutex> hold(core.mutex_);
      cancelled.cancel_arrived = true;
      if (cancelled.refused) return core.home_.load(kRelaxed)->Post(cancelled.call);
      // It is seen when the call arrives. If it is refused instead, it may be gone after this.
      if (cancelled.place == PoolCall::Place::kTravelling) return;
    }
    if (cancelled.place == PoolCall::Place::kEnded) return core.RunIfFree(cancelled);
    core.Stop(cancelled, absl::CancelledError("the call was cancelled"));
  };
  call.alarm.run = [](WorkItem& item) noexcept {
    PoolCall& late = *static_cast<PoolCall::Alarm&>(static_cast<Timer&>(item)).self;
    late.core.OnAlarm(late);
  };
  // Release: whoever cancels sees the PoolCall.
  remote.executor_state.fetch_or(PoolCall::kStarted, kAcqRel);
  Worker* const here = Worker::Current();
  if (here != nullptr && home_.load(kRelaxed) == here) return Accept(call);

  // Where the keeper is to run.
  const TaskContext* const context = TaskContext::Current();
  Executor* executor = thread_state.local_executor;
  if (executor == nullptr && context != nullptr) executor = context->executor;
  absl::Status refusal;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (refusing_) {
      refusal = ClosedError();
    } else if (home_.load(kRelaxed) != nullptr) {
      return SendHomeLocked(call.arrival);
    } else if (here == nullptr || here->reactor() == nullptr || executor == nullptr) {
      refusal = absl::FailedPreconditionError(
          "calling another process: the first call of a process pool comes from a thread with a "
          "reactor, an EventLoop's for example, which then drives the pool");
    } else {
      home_.store(here, kRelaxed);
    }
  }
  if (!refusal.ok()) return Refuse(remote, std::move(refusal));
  Adopt(*here, *executor);
  Accept(call);
}

void PoolCore::Refuse(RemoteCall& remote, absl::Status status) noexcept {
  PoolCall& call = PoolCall::Of(remote);
  remote.status = std::move(status);
  bool travels = false;
  {
    // So that a cancel sees it ended, or is seen. Its place is home's.
    const std::lock_guard<std::mutex> hold(mutex_);
    remote.executor_state.fetch_or(PoolCall::kEnded, kAcqRel);
    call.refused = true;
    travels = call.cancel_travels && !call.cancel_arrived;
  }
  if (!travels) remote.run(remote);
}

void PoolCore::Cancel(RemoteCall& remote) noexcept {
  if (forked()) return;
  const uint32_t state = remote.executor_state.fetch_or(PoolCall::kCancelWanted, kAcqRel);
  if ((state & PoolCall::kStarted) == 0 || (state & PoolCall::kEnded) != 0) return;
  PoolCall& call = PoolCall::Of(remote);
  Worker* const here = Worker::Current();
  if (here != nullptr && home_.load(kRelaxed) == here) {
    return Stop(call, absl::CancelledError("the call was cancelled"));
  }
  const std::lock_guard<std::mutex> hold(mutex_);
  // Without a home it is about to be accepted, or refused, on the thread that starts it.
  if ((remote.executor_state.load(kAcquire) & PoolCall::kEnded) != 0 ||
      home_.load(kRelaxed) == nullptr) {
    return;
  }
  call.cancel_travels = true;
  SendHomeLocked(call.cancel);
}

void PoolCore::Close(bool at_once) noexcept {
  // Its workers, and the memory shared with them, are the parent's; and the lock may be held.
  if (forked()) return;
  Worker* const here = Worker::Current();
  Item* item = nullptr;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    const bool first = !std::exchange(refusing_, true);
    Worker* const home = home_.load(kRelaxed);
    if (at_once && !std::exchange(close_now_sent_, true)) {
      item = &close_now_;
    } else if (first) {
      item = &close_;
    } else {
      return;
    }
    if (home != nullptr && home != here) return SendHomeLocked(*item);
    if (home == nullptr && !first) return;
    if (home == nullptr) item = nullptr;
  }
  if (item != nullptr) return item->run(*item);
  // Without a home there is no call, and from now on there will be neither.
  workers_.clear();
  zygote_.reset();
  closed_event_.Set();
}

bool PoolCore::forked() const noexcept { return generation_ != ProcessGeneration(); }

std::vector<int> PoolCore::worker_pids() const {
  if (forked()) return {};
  const std::lock_guard<std::mutex> hold(mutex_);
  return pids_;
}

// --- at home: calls ---

bool PoolCore::CancelTravels(PoolCall& call) const noexcept {
  if ((call.call.executor_state.load(kAcquire) & PoolCall::kCancelWanted) == 0) return false;
  const std::lock_guard<std::mutex> hold(mutex_);
  return call.cancel_travels && !call.cancel_arrived;
}

absl::Status PoolCore::Admit(PoolCall& call) {
  if (closing_) return ClosedError();
  if (!releasing_.ok()) return releasing_;
  if ((call.call.executor_state.load(kAcquire) & PoolCall::kCancelWanted) != 0) {
    return absl::CancelledError("cancelled before it was called");
  }
  if (call.call.function_index.has_value()) {
    call.function = static_cast<uint32_t>(*call.call.function_index);
  } else {
    const absl::StatusOr<size_t> index = functions().IndexOf(call.call.function);
    if (!index.ok()) return index.status();
    call.function = static_cast<uint32_t>(*index);
  }
  if (absl::Status status = Quarantine(call); !status.ok()) return status;
  if (start_failures_ >= kMostStartFailures && !AnyAlive()) return start_failure_;
  return absl::OkStatus();
}

absl::Status PoolCore::Quarantine(const PoolCall& call) const {
  const Record& record = records_[call.function];
  if (options_.quarantine_after > 0 && record.deaths >= options_.quarantine_after &&
      Now() < record.quarantined_until) {
    return absl::UnavailableError(
        absl::StrCat("calling ", functions().name(call.function),
                     ": it is in quarantine, as it has ended its process ", record.deaths,
                     " times; the last time: ", record.last_words));
  }
  return absl::OkStatus();
}

void PoolCore::Accept(PoolCall& call) noexcept {
  ++calls_;
  if (absl::Status status = Admit(call); !status.ok()) return End(call, std::move(status));
  if (call.call.options.timeout != absl::InfiniteDuration()) {
    call.alarm.deadline = Now() + call.call.options.timeout;
    call.alarm_set = true;
    home_.load(kRelaxed)->AddTimer(call.alarm);
  }
  queue_.PushBack(call);
  Dispatch();
  SchedulePump();
}

void PoolCore::Stop(PoolCall& call, absl::Status status) noexcept {
  switch (call.place) {
    case PoolCall::Place::kTravelling:  // it is seen when it arrives
    case PoolCall::Place::kEnded:
      return;
    case PoolCall::Place::kQueued:
      queue_.Remove(call);
      break;
    case PoolCall::Place::kGiven: {
      WorkerSeat& worker = *call.worker;
      const uint64_t number = call.number;
      // One that has not begun a call that nothing stands before may hang (SIGSTOP): if not, it
      // answers at once.
      if (!worker.GiveUp(call) || number == worker.first()) GiveUpOn(worker, number);
      break;
    }
  }
  End(call, std::move(status));
}

void PoolCore::End(PoolCall& call, absl::Status status) noexcept {
  call.place = PoolCall::Place::kEnded;
  call.worker = nullptr;
  call.call.status = std::move(status);
  if (call.alarm_set && home_.load(kRelaxed)->CancelTimer(call.alarm)) call.alarm_set = false;
  call.call.executor_state.fetch_or(PoolCall::kEnded, kAcqRel);
  RunIfFree(call);
}

void PoolCore::RunIfFree(PoolCall& call) noexcept {
  if (call.alarm_set || CancelTravels(call)) return;
  --calls_;
  home_.load(kRelaxed)->Post(call.call);
  if (calls_ > 0) return;
  if (!releasing_.ok()) {
    SchedulePump();  // which finishes that
  } else if (closing_) {
    EndWorkers();
  }
}

void PoolCore::OnAlarm(PoolCall& call) noexcept {
  call.alarm_set = false;
  if (call.place == PoolCall::Place::kEnded) return RunIfFree(call);
  Stop(call, absl::DeadlineExceededError(
                 absl::StrCat("calling ", functions().name(call.function), ": no result after ",
                              absl::FormatDuration(call.call.options.timeout))));
}

void PoolCore::FailQueue(const absl::Status& status) noexcept {
  while (PoolCall* call = queue_.front()) {
    queue_.Remove(*call);
    End(*call, status);
  }
}

// --- at home: giving and taking ---

void PoolCore::SchedulePump() noexcept {
  if (std::exchange(pumping_, true)) return;
  home_.load(kRelaxed)->Post(pump_);
}

void PoolCore::Pump() noexcept {
  pumping_ = false;
  SweepRetired();
  if (!releasing_.ok()) return FinishRelease();
  if (std::exchange(sleeping_, false)) {
    for (const auto& worker : workers_) {
      if (worker != nullptr) worker->link().WakeUp();
    }
    if (Now().Since(asleep_since_) < kSoon) spins_ = SpinsAtFirst();
    spin_until_ = Now() + kSpin;
  }
  bool progress = TakeAnswers();
  for (int look = 1; look < kLooksPerPump && !progress; ++look) {
    SpinWait(0);
    progress = TakeAnswers();
  }
  Dispatch();
  if (!releasing_.ok()) return FinishRelease();
  if (!progress) Rebalance();
  bool waits = false;
  for (const auto& worker : workers_) {
    waits |= worker != nullptr && !worker->corrupt() &&
             (worker->outstanding() > 0 || worker->state == WorkerSeat::State::kStarting);
  }
  if (!waits) return;  // the next call schedules it
  if (progress) {
    spin_until_ = Deadline();  // when there is nothing next time
    return SchedulePump();
  }
  if (spins_ > 0) {
    const Deadline now = Now();
    if (spin_until_ == Deadline()) spin_until_ = now + kSpin;
    if (now < spin_until_) return SchedulePump();
    --spins_;
  }
  if (!Sleep()) SchedulePump();
}

bool PoolCore::Sleep() noexcept {
  bool quiet = true;
  for (const auto& worker : workers_) {
    // Of a damaged one only its end is waited for.
    if (worker == nullptr || worker->corrupt()) continue;
    if (!worker->link().PrepareToSleep()) quiet = false;
  }
  sleeping_ = true;
  asleep_since_ = Now();
  return quiet;
}

bool PoolCore::TakeAnswers() noexcept {
  bool any = false;
  for (const auto& worker : workers_) {
    if (worker == nullptr || worker->state == WorkerSeat::State::kDead) continue;
    if (worker->outstanding() == 0 && worker->state != WorkerSeat::State::kStarting) continue;
    if (worker->corrupt()) continue;
    const bool took = worker->TakeAnswers(*this);
    any |= took;
    if (worker->corrupt()) {
      worker->process().Signal(SIGKILL);  // its death is seen to as any other
      continue;
    }
    if (!took) continue;
    // One that was sent a signal dies of it, if only at its next call: it gets none.
    if (worker->state == WorkerSeat::State::kStopping && !worker->killed &&
        worker->first() > worker->stopping_number) {
      // It has stopped by itself.
      worker->state = WorkerSeat::State::kReady;
      CancelAlarm(*worker);
      if (closing_ && calls_ == 0) EndWorkers();
    }
    worker->ahead = std::min(worker->ahead * 2, static_cast<size_t>(options_.calls_per_worker));
    LeaveIfDone(*worker);
  }
  return any;
}

WorkerSeat* PoolCore::PickWorker() noexcept {
  WorkerSeat* best = nullptr;
  for (const auto& worker : workers_) {
    if (worker == nullptr || worker->state != WorkerSeat::State::kReady || worker->full ||
        worker->corrupt() || worker->live() >= worker->ahead ||
        (options_.max_tasks_per_worker > 0 && worker->given() >= options_.max_tasks_per_worker)) {
      continue;
    }
    if (best == nullptr || worker->live() < best->live()) best = worker.get();
    if (best->live() == 0) break;
  }
  return best;
}

void PoolCore::Dispatch() noexcept {
  bool any_full = false;
  while (PoolCall* call = queue_.front()) {
    WorkerSeat* const worker = PickWorker();
    if (worker == nullptr) break;
    // It may have begun while the call waited.
    absl::Status status = Quarantine(*call);
    if (!status.ok()) {
      queue_.Remove(*call);
      End(*call, std::move(status));
      continue;
    }
    switch (worker->Give(*call, status)) {
      case WorkerSeat::Given::kGiven:
        queue_.Remove(*call);
        if (!stall_set_) SetStallAlarm();
        break;
      case WorkerSeat::Given::kNoRoom:
        worker->full = any_full = true;
        continue;
      case WorkerSeat::Given::kFailed:
        queue_.Remove(*call);
        End(*call, std::move(status));
        continue;
    }
  }
  if (!any_full) return;
  for (const auto& worker : workers_) {
    if (worker != nullptr) worker->full = false;
  }
}

void PoolCore::SetStallAlarm() noexcept {
  stall_set_ = true;
  for (const auto& worker : workers_) {
    if (worker != nullptr) worker->stall_mark = worker->first();
  }
  stall_.deadline = Now() + kStall;
  home_.load(kRelaxed)->AddTimer(stall_);
}

void PoolCore::LookForStalls() noexcept {
  TakeAnswers();
  bool any = false;
  for (const auto& place : workers_) {
    WorkerSeat* const worker = place.get();
    if (worker == nullptr || worker->state != WorkerSeat::State::kReady) continue;
    // One that has begun all that it was given holds nobody up: no timer runs for a long call.
    if (worker->next() <= worker->begun() + 1) continue;
    if (worker->first() != worker->stall_mark) {
      any = true;
      continue;
    }
    worker->ahead = 1;
    RecallAfter(*worker, worker->begun(), CallBoard::kSlots);
    if (worker->begun() >= worker->first()) continue;
    // It has not even begun the first. Until it answers it gets no other, and if it never does
    // (SIGSTOP), it is replaced.
    worker->state = WorkerSeat::State::kStopping;
    worker->stopping_number = worker->next() - 1;
    worker->stop_step = 1;
    SetAlarm(*worker, options_.terminate_grace);
  }
  Dispatch();
  if (any && !stall_set_) SetStallAlarm();
  SchedulePump();
}

void PoolCore::Rebalance() noexcept {
  if (!queue_.empty()) return;
  const auto idle = std::count_if(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker != nullptr && worker->state == WorkerSeat::State::kReady &&
           worker->outstanding() == 0;
  });
  if (idle == 0) return;
  WorkerSeat* most = nullptr;
  for (const auto& worker : workers_) {
    if (worker == nullptr || worker->state != WorkerSeat::State::kReady) continue;
    if (most == nullptr || worker->live() > most->live()) most = worker.get();
  }
  if (most == nullptr || most->live() < 2) return;
  RecallAfter(*most, most->begun(), (most->live() + 1) / 2);
  Dispatch();
}

void PoolCore::RecallAfter(WorkerSeat& worker, uint64_t number, size_t most) noexcept {
  for (uint64_t n = worker.next() - 1; n > number && n >= worker.first() && most > 0; --n) {
    PoolCall* const call = worker.call(n);
    if (call == nullptr || !worker.Recall(*call)) continue;
    --call->call.attempts;
    queue_.PushFront(*call);
    --most;
  }
}

void PoolCore::Trim() noexcept {
  bool again = false;
  for (const auto& worker : workers_) {
    if (worker == nullptr || !worker->arguments().trimmable()) continue;
    if (worker->outstanding() == 0) {
      worker->arguments().Trim();
    } else {
      again = true;
    }
  }
  if (!again || trim_set_ || !releasing_.ok()) return;
  trim_set_ = true;
  trim_.deadline = Now() + kTrimAfter;
  home_.load(kRelaxed)->AddTimer(trim_);
}

// --- at home: workers ---

void PoolCore::Adopt(Worker& home, Executor& executor) noexcept {
  tenure_ = std::make_shared<Tenure>(home);
  releasing_ = absl::OkStatus();
  for (const auto& place : workers_) {
    WorkerSeat* const worker = place.get();
    if (worker == nullptr) continue;
    if (absl::Status status = WatchWorker(*worker); !status.ok()) {
      Retire(*worker);
      OnStartFailed(std::move(status));
    }
  }
  Spawn(Keep(shared_from_this(), tenure_), {.name = "process pool", .executor = &executor});
  StartWorkers();
  SchedulePump();
}

absl::StatusOr<std::unique_ptr<WorkerSeat>> PoolCore::StartWorker() {
  absl::StatusOr<std::shared_ptr<LinkMemory>> link = LinkMemory::Create(kRingBytes);
  if (!link.ok()) return std::move(link).status();
  absl::StatusOr<std::shared_ptr<PayloadMemory>> payload =
      PayloadMemory::Create(options_.max_payload);
  if (!payload.ok()) return std::move(payload).status();
  absl::StatusOr<std::unique_ptr<WorkerProcess>> process =
      WorkerProcess::Start(*zygote_, options_.worker, WorkerDescriptors(**link, **payload));
  if (!process.ok()) return std::move(process).status();
  (*link)->CloseWorkerEvent();
  auto worker =
      std::make_unique<WorkerSeat>(*std::move(link), *std::move(payload), *std::move(process),
                                   static_cast<PoolWatch::Owner&>(*this));
  worker->alarm.core = this;
  worker->alarm.run = [](WorkItem& item) noexcept {
    auto& alarm = static_cast<WorkerSeat::Alarm&>(static_cast<Timer&>(item));
    alarm.core->OnWorkerAlarm(*alarm.self);
  };
  return worker;
}

absl::Status PoolCore::WatchWorker(WorkerSeat& worker) {
  Reactor& reactor = *home_.load(kRelaxed)->reactor();
  absl::Status status = worker.event.Start(reactor, worker.event_descriptor());
  if (status.ok()) status = worker.end.Start(reactor, worker.process().end_descriptor());
  if (status.ok() && worker.state == WorkerSeat::State::kStarting) {
    SetAlarm(worker, options_.start_grace);
  }
  return status;
}

void PoolCore::StartWorkers() noexcept {
  for (std::unique_ptr<WorkerSeat>& place : workers_) {
    if (place != nullptr || restart_set_ || (closing_ && calls_ == 0)) continue;
    absl::StatusOr<std::unique_ptr<WorkerSeat>> worker = StartWorker();
    if (absl::IsUnavailable(worker.status())) {
      // The zygote is gone. A new one is as good, where the program can still have one.
      absl::StatusOr<std::unique_ptr<Zygote>> zygote = StartZygote(functions());
      if (zygote.ok()) {
        zygote_ = *std::move(zygote);
        worker = StartWorker();
      }
    }
    absl::Status status = worker.status();
    if (status.ok()) {
      replaced_.fetch_add(1, kRelaxed);
      place = *std::move(worker);
      status = WatchWorker(*place);
      if (!status.ok()) Retire(*place);
    }
    if (!status.ok()) OnStartFailed(std::move(status));
  }
  SchedulePump();  // which waits for them
}

void PoolCore::OnStartFailed(absl::Status status) noexcept {
  ++start_failures_;
  start_failure_ =
      absl::UnavailableError(absl::StrCat("worker processes do not start: ", status.message()));
  if (start_failures_ >= kMostStartFailures && !AnyAlive()) FailQueue(start_failure_);
  if (restart_set_ || !releasing_.ok()) return;
  absl::Duration pause = kFirstPause;
  for (int i = 1; i < start_failures_ && pause < kLongestPause; ++i) pause *= 2;
  restart_set_ = true;
  restart_.deadline = Now() + std::min(pause, kLongestPause);
  home_.load(kRelaxed)->AddTimer(restart_);
}

bool PoolCore::AnyAlive() const noexcept {
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker != nullptr; });
}

void PoolCore::OnReady(WorkerSeat& worker) noexcept {
  if (worker.killed) {
    worker.state = WorkerSeat::State::kStopping;  // too late
    return;
  }
  worker.state = WorkerSeat::State::kReady;
  CancelAlarm(worker);
  start_failures_ = 0;
  if (closing_ && calls_ == 0) EndWorkers();
}

void PoolCore::UpdatePids() noexcept {
  const std::lock_guard<std::mutex> hold(mutex_);
  pids_.clear();
  for (const auto& worker : workers_) {
    if (worker != nullptr && worker->process().pid() != 0) {
      pids_.push_back(worker->process().pid());
    }
  }
}

void PoolCore::OnAnswer(WorkerSeat& worker, PoolCall& call, absl::Status status) noexcept {
  records_[call.function].deaths = 0;
  if (!trim_set_ && worker.arguments().trimmable() && releasing_.ok()) {
    trim_set_ = true;
    trim_.deadline = Now() + kTrimAfter;
    home_.load(kRelaxed)->AddTimer(trim_);
  }
  End(call, std::move(status));
}

void PoolCore::OnReturned(WorkerSeat& worker, PoolCall& call) noexcept {
  static_cast<void>(worker);
  --call.call.attempts;
  queue_.PushFront(call);
}

void PoolCore::LeaveIfDone(WorkerSeat& worker) noexcept {
  if (options_.max_tasks_per_worker == 0 || worker.given() < options_.max_tasks_per_worker ||
      worker.outstanding() > 0 || worker.state != WorkerSeat::State::kReady) {
    return;
  }
  if (!worker.SayGoodbye()) return;
  worker.state = WorkerSeat::State::kLeaving;
  SetAlarm(worker, options_.terminate_grace);
}

void PoolCore::SetAlarm(WorkerSeat& worker, absl::Duration after) noexcept {
  if (worker.alarm_set) {
    if (!home_.load(kRelaxed)->CancelTimer(worker.alarm)) return;  // it is about to run
  }
  worker.alarm_set = true;
  worker.alarm.deadline = Now() + after;
  home_.load(kRelaxed)->AddTimer(worker.alarm);
}

void PoolCore::CancelAlarm(WorkerSeat& worker) noexcept {
  if (worker.alarm_set && home_.load(kRelaxed)->CancelTimer(worker.alarm)) worker.alarm_set = false;
}

void PoolCore::Kill(WorkerSeat& worker) noexcept {
  worker.killed = true;
  worker.process().Signal(SIGKILL);
}

void PoolCore::GiveUpOn(WorkerSeat& worker, uint64_t number) noexcept {
  if (worker.state == WorkerSeat::State::kStopping) {
    worker.stopping_number = std::max(worker.stopping_number, number);
  }
  if (worker.state != WorkerSeat::State::kReady) return;
  worker.state = WorkerSeat::State::kStopping;
  worker.stopping_number = number;
  worker.stop_step = 0;
  SetAlarm(worker, options_.cancel_grace);
  // What waits behind it need not wait any longer.
  RecallAfter(worker, number, CallBoard::kSlots);
  SchedulePump();
}

void PoolCore::OnWorkerAlarm(WorkerSeat& worker) noexcept {
  worker.alarm_set = false;
  if (worker.state == WorkerSeat::State::kLeaving) {
    Kill(worker);
  } else if (worker.state == WorkerSeat::State::kStarting && releasing_.ok()) {
    // What it has said may wait to be read.
    TakeAnswers();
    if (worker.state == WorkerSeat::State::kStarting) Kill(worker);
    Dispatch();
  } else if (worker.state == WorkerSeat::State::kStopping && releasing_.ok()) {
    // It may have stopped in the meantime.
    TakeAnswers();
    if (worker.state == WorkerSeat::State::kStopping) {
      worker.killed = true;
      worker.process().Signal(worker.stop_step++ == 0 ? SIGTERM : SIGKILL);
      if (worker.stop_step == 1) SetAlarm(worker, options_.terminate_grace);
    }
    Dispatch();
  }
  SchedulePump();
}

void PoolCore::OnDeath(WorkerSeat& worker, const WorkerExit& exit) noexcept {
  const bool started = worker.state != WorkerSeat::State::kStarting;
  worker.TakeAnswers(*this);  // what it said before
  const uint64_t begun = worker.begun();
  worker.state = WorkerSeat::State::kDead;
  std::vector<PoolCall*> again;
  for (uint64_t n = worker.first(); n != worker.next(); ++n) {
    PoolCall* const call = worker.Take(n);
    if (call == nullptr) continue;
    if (n > begun) {
      --call->call.attempts;
      again.push_back(call);
    } else if (call->call.attempts < call->call.options.attempts) {
      OnCallsDeath(*call, worker, exit);
      again.push_back(call);
    } else {
      OnCallsDeath(*call, worker, exit);
      End(*call, absl::AbortedError(absl::StrCat(
                     "calling ", functions().name(call->function), ": its worker process ",
                     worker.process().pid(), " ", exit.ToString(),
                     worker.corrupt() ? " after it had damaged the memory shared with it" : "",
                     exit.error_tail.empty() ? "" : "; its last words: ", exit.error_tail)));
    }
  }
  for (auto call = again.rbegin(); call != again.rend(); ++call) queue_.PushFront(**call);
  Retire(worker);
  UpdatePids();
  if (!started) {
    OnStartFailed(absl::UnavailableError(absl::StrCat(
        "a worker process ", exit.ToString(), exit.reason.empty() ? "" : ": ", exit.reason,
        worker.killed ? absl::StrCat(" as it was not ready after ",
                                     absl::FormatDuration(options_.start_grace))
                      : "",
        exit.error_tail.empty() ? "" : "; its last words: ", exit.error_tail)));
  } else {
    StartWorkers();
  }
  Dispatch();
  SchedulePump();
}

void PoolCore::OnCallsDeath(PoolCall& call, WorkerSeat& worker, const WorkerExit& exit) noexcept {
  if (worker.killed || exit.kind == WorkerExit::Kind::kLost) return;
  Record& record = records_[call.function];
  ++record.deaths;
  record.quarantined_until = Now() + options_.quarantine;
  record.last_words = absl::StrCat("its process ", exit.ToString());
}

void PoolCore::Retire(WorkerSeat& worker) noexcept {
  worker.state = WorkerSeat::State::kDead;
  CancelAlarm(worker);
  worker.event.Stop();
  worker.end.Stop();
  const auto place = std::find_if(workers_.begin(), workers_.end(),
                                  [&worker](const auto& other) { return other.get() == &worker; });
  retired_.push_back(std::move(*place));
}

void PoolCore::SweepRetired() noexcept {
  std::erase_if(retired_, [](const auto& worker) {
    return !worker->event.in_flight() && !worker->end.in_flight() && !worker->alarm_set;
  });
}

void PoolCore::OnReadable(PoolWatch& watch) noexcept {
  WorkerSeat& worker = *static_cast<WorkerSeat::Watch&>(watch).worker;
  if (&watch == &worker.event) {
    // It stays readable where the worker is gone, which its end will tell.
    if (!worker.link().TakeSignals()) worker.event.Stop();
    return SchedulePump();
  }
  const std::optional<WorkerExit> exit = worker.process().TakeExit();
  if (worker.state == WorkerSeat::State::kDead) return;
  if (!exit.has_value()) return UpdatePids();  // its number is known now
  OnDeath(worker, *exit);
  if (closing_ && calls_ == 0 && !AnyAlive()) BeginRelease(ClosedError());
}

void PoolCore::OnStopped(PoolWatch& watch) noexcept {
  static_cast<void>(watch);
  // Not here: the watch is about to return to its operation.
  SchedulePump();
}

// --- at home: the end of it ---

// After a Close that waits: all calls have ended.
void PoolCore::EndWorkers() noexcept {
  bool any = false;
  for (const auto& worker : workers_) {
    if (worker == nullptr) continue;
    any = true;
    if (worker->state == WorkerSeat::State::kReady) {
      // Where there is no room to say so, it is killed when it has not left.
      static_cast<void>(worker->SayGoodbye());
      worker->state = WorkerSeat::State::kLeaving;
      SetAlarm(*worker, options_.terminate_grace);
    } else if (worker->state == WorkerSeat::State::kStarting && !worker->killed) {
      Kill(*worker);  // it may take long to be ready, or for ever
    }
  }
  if (!any) BeginRelease(ClosedError());
}

void PoolCore::BeginRelease(absl::Status why) noexcept {
  if (!releasing_.ok()) return;
  releasing_ = std::move(why);
  FailQueue(releasing_);
  Worker& home = *home_.load(kRelaxed);
  if (restart_set_ && home.CancelTimer(restart_)) restart_set_ = false;
  if (trim_set_ && home.CancelTimer(trim_)) trim_set_ = false;
  if (stall_set_ && home.CancelTimer(stall_)) stall_set_ = false;
  for (size_t i = 0; i < workers_.size(); ++i) {
    WorkerSeat* const worker = workers_[i].get();
    if (worker == nullptr) continue;
    bool runs = worker->killed || (worker->state != WorkerSeat::State::kReady &&
                                   worker->state != WorkerSeat::State::kStarting);
    for (uint64_t n = worker->first(); n != worker->next(); ++n) {
      PoolCall* const call = worker->call(n);
      if (call == nullptr) continue;
      runs |= !worker->GiveUp(*call);
      End(*call, releasing_);
    }
    if (runs || closing_) {
      Kill(*worker);
      Retire(*worker);
    } else {
      CancelAlarm(*worker);
      worker->event.Stop();
      worker->end.Stop();
    }
  }
  UpdatePids();
  SchedulePump();
}

void PoolCore::FinishRelease() noexcept {
  if (releasing_.ok() || pumping_ || calls_ > 0 || restart_set_ || trim_set_ || stall_set_) {
    return;
  }
  SweepRetired();
  if (!retired_.empty()) return;
  for (const auto& worker : workers_) {
    if (worker != nullptr &&
        (worker->event.in_flight() || worker->end.in_flight() || worker->alarm_set)) {
      return;
    }
  }
  std::shared_ptr<Tenure> tenure;
  bool closing = false;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (visit_posted_) return;  // which comes here again
    tenure = std::move(tenure_);
    closing = closing_;
    home_.store(nullptr, kRelaxed);
  }
  // From here on another thread may be the home, and all is its; but not of a pool that closes.
  if (closing) {
    workers_.clear();
    zygote_.reset();
    closed_event_.Set();
  }
  tenure->ended = true;
  // Last: the keeper may be all that keeps this.
  if (tenure->keeper != nullptr) tenure->keeper->Happened();
}

}  // namespace plait::internal
