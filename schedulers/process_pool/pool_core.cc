// What comes from elsewhere, and the calls at home.
#include "plait/schedulers/process_pool/pool_core.h"

#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/sync/strand_base.h"
#include "plait/runtime/task/task_context.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/worker_main.h"

namespace plait::internal {
namespace {

// Where a keeper of this thread is to run; null where nothing says it.
Executor* KeepersExecutor() {
  if (thread_state.local_executor != nullptr) return BaseOf(thread_state.local_executor);
  const TaskContext* const context = TaskContext::Current();
  return context != nullptr ? BaseOf(context->executor) : nullptr;
}

bool CanDrive(Worker* worker, Executor* executor) {
  return worker != nullptr && worker->reactor() != nullptr && executor != nullptr;
}

}  // namespace

absl::Status PoolCore::ClosedError() {
  return absl::FailedPreconditionError("the process pool was closed");
}

absl::StatusOr<std::unique_ptr<Zygote>> PoolCore::StartZygote(const FunctionTable& functions) {
  return Zygote::Start(ServeTable(functions), functions.fingerprint());
}

absl::StatusOr<std::shared_ptr<PoolCore>> PoolCore::Create(ProcessPoolOptions options) {
  if (!options.functions.status().ok()) return options.functions.status();
  if (options.workers < 0 || options.max_payload == 0 ||
      options.max_payload > CodecLimits().max_bytes || options.calls_per_worker < 1 ||
      options.calls_per_worker >= static_cast<int>(CallBoard::kSlots) ||
      options.zygote_grace <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "a process pool needs workers >= 0, max_payload from a byte to 4 GiB, calls_per_worker "
        "from 1 to 255 and zygote_grace > 0");
  }
  if (options.workers == 0) options.workers = HardwareThreads();
  std::shared_ptr<PoolCore> core(new PoolCore(std::move(options)));
  absl::StatusOr<std::unique_ptr<Zygote>> zygote = StartZygote(core->functions());
  if (!zygote.ok()) return std::move(zygote).status();
  core->zygote_ = *std::move(zygote);
  for (std::unique_ptr<WorkerSeat>& place : core->workers_) {
    absl::StatusOr<std::unique_ptr<WorkerSeat>> worker = core->StartWorker();
    if (absl::IsResourceExhausted(worker.status())) {
      // Of many, not all are asked for at once.
      core->zygote_->WaitForRoom();
      worker = core->StartWorker();
    }
    if (!worker.ok()) return std::move(worker).status();
    place = *std::move(worker);
  }
  return core;
}

PoolCore::PoolCore(ProcessPoolOptions options)
    : options_(std::move(options)),
      generation_(ProcessGeneration()),
      zygote_end_(*this),
      workers_(static_cast<size_t>(options_.workers)),
      records_(options_.functions.size()),
      spins_(SpinsAtFirst()) {
  visit_.core = pump_.core = close_.core = close_now_.core = this;
  restart_.core = trim_.core = stall_.core = zygote_alarm_.core = this;
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
  zygote_alarm_.run = [](WorkItem& item) noexcept {
    PoolCore& core = *static_cast<Alarm&>(static_cast<Timer&>(item)).core;
    core.zygote_alarm_set_ = false;
    if (core.releasing_.ok()) {
      core.LookAtZygote();
    } else {
      core.LookAtEndingZygote();
    }
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

  Executor* const executor = KeepersExecutor();
  absl::Status refusal;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (refusing_) {
      refusal = ClosedError();
    } else if (home_.load(kRelaxed) != nullptr) {
      return SendHomeLocked(call.arrival);
    } else if (!CanDrive(here, executor)) {
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
  Executor* const executor = KeepersExecutor();
  Item* item = nullptr;
  bool adopts = false;
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
    if (home == nullptr && CanDrive(here, executor)) {
      adopts = true;
      home_.store(here, kRelaxed);
    } else if (home == nullptr) {
      item = nullptr;
    }
  }
  if (adopts) {
    // So that its loop does not wait for the processes.
    closing_ = true;
    Adopt(*here, *executor);
  }
  if (item != nullptr) return item->run(*item);
  // Without a home there is no call, and from now on there will be neither.
  workers_.clear();
  zygote_.reset();
  killed_zygotes_.clear();
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
  ForgetUnbegun(&call);
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

}  // namespace plait::internal
