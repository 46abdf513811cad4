// The worker processes: starting them, their ends, and what is done to those that do not end.
#include <signal.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/task/spawn.h"
#include "plait/schedulers/process_pool/pool_core.h"
#include "plait/schedulers/process_pool/worker_main.h"

namespace plait::internal {
namespace {

// Each way; what is larger than kInlineBytes is not in it.
constexpr size_t kRingBytes = size_t{128} << 10;

// Workers that die before they are ready are started again after a pause, which doubles; after
// kMostStartFailures in a row calls fail.
constexpr absl::Duration kFirstPause = absl::Milliseconds(5);
constexpr absl::Duration kLongestPause = absl::Seconds(5);

// So many workers may die right before a call; a worker that has damaged what it says may have run
// it. Of those that were killed, as they hung before it, more: they say the truth, but no call goes
// from one to the next for ever.
constexpr int kMostDeathsBefore = 3;
constexpr int kMostKillsBefore = 20;

bool MayGoToAnother(PoolCall& call, bool killed) {
  return killed ? ++call.kills_before_it <= kMostKillsBefore
                : ++call.deaths_before_it <= kMostDeathsBefore;
}

}  // namespace

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
  if (absl::Status status = RequireZygote(); !status.ok()) return status;
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
    if (zygote_ != nullptr && absl::IsUnavailable(worker.status())) {
      // It is gone. Another is as good, where the program can still have one.
      LoseZygote();
      worker = StartWorker();
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
  LookAfterZygote();
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
    SetTrim();
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
  SetAlarmAt(worker, Now() + after);
}

void PoolCore::SetAlarmAt(WorkerSeat& worker, Deadline due) noexcept {
  worker.alarm_due = due;
  // One that is about to run is set again when it does.
  if (worker.alarm_set && !home_.load(kRelaxed)->CancelTimer(worker.alarm)) return;
  worker.alarm_set = true;
  worker.alarm.deadline = due;
  home_.load(kRelaxed)->AddTimer(worker.alarm);
}

void PoolCore::CancelAlarm(WorkerSeat& worker) noexcept {
  worker.alarm_due.reset();
  if (worker.alarm_set && home_.load(kRelaxed)->CancelTimer(worker.alarm)) worker.alarm_set = false;
}

void PoolCore::Kill(WorkerSeat& worker) noexcept {
  worker.killed = true;
  worker.process().Signal(SIGKILL);
  LookAfterZygote();
}

void PoolCore::KillDamaged(WorkerSeat& worker) noexcept {
  worker.process().Signal(SIGKILL);  // its death is seen to as any other
  LookAfterZygote();
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
  const std::optional<Deadline> due = std::exchange(worker.alarm_due, std::nullopt);
  if (!due.has_value()) return SchedulePump();
  // It was set anew when it was about to run.
  if (Now() < *due) return SetAlarmAt(worker, *due);
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
      LookAfterZygote();
    }
    Dispatch();
  }
  SchedulePump();
}

void PoolCore::OnDeath(WorkerSeat& worker, const WorkerExit& exit) noexcept {
  const bool started = worker.state != WorkerSeat::State::kStarting;
  worker.TakeAnswers(*this);  // what it said before
  worker.state = WorkerSeat::State::kDead;
  const bool killed = worker.killed || exit.kind == WorkerExit::Kind::kLost;
  std::vector<PoolCall*> again;
  for (uint64_t n = worker.first(); n != worker.next(); ++n) {
    PoolCall* const call = worker.Take(n);
    if (call == nullptr) continue;
    const bool never_begun = worker.NeverBegins(n);
    if (!never_begun) OnCallsDeath(*call, worker, exit);
    if (never_begun && (n != worker.first() || MayGoToAnother(*call, killed))) {
      --call->call.attempts;
      again.push_back(call);
    } else if (call->call.attempts < call->call.options.attempts) {
      again.push_back(call);
    } else {
      const std::string why =
          absl::StrCat("calling ", functions().name(call->function), ": its worker process ",
                       worker.process().pid(), " ", exit.ToString(),
                       worker.corrupt() ? " after it had damaged the memory shared with it" : "",
                       never_begun ? " before it had begun it, as others did" : "",
                       exit.error_tail.empty() ? "" : "; its last words: ", exit.error_tail);
      End(*call, killed && never_begun ? absl::UnavailableError(why) : absl::AbortedError(why));
    }
  }
  for (auto call = again.rbegin(); call != again.rend(); ++call) queue_.PushFront(**call);
  CountUnbegun(worker, killed);
  Retire(worker);
  UpdatePids();
  // Those that were starting when their zygote was lost are one failure.
  if (!started &&
      (exit.kind != WorkerExit::Kind::kLost || !std::exchange(zygote_loss_counted_, true))) {
    OnStartFailed(absl::UnavailableError(
        absl::StrCat("a worker process ", exit.ToString(),
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

// A worker that ends without having begun a call that was taken back from it.
void PoolCore::CountUnbegun(WorkerSeat& worker, bool killed) noexcept {
  PoolCall* const call = worker.unbegun;
  if (call == nullptr) return;
  ForgetUnbegun(call);
  if (MayGoToAnother(*call, killed)) return;
  const std::string why =
      absl::StrCat("calling ", functions().name(call->function),
                   ": one worker process after another ended before it had begun it");
  // What was killed for that it has not begun says the truth. Codes as in OnDeath.
  Stop(*call, killed ? absl::UnavailableError(why) : absl::AbortedError(why));
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
  ForgetUnbegun(worker.unbegun);
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
  if (&watch == &zygote_end_) {
    watch.Stop();
    return SchedulePump();
  }
  WorkerSeat& worker = *static_cast<WorkerSeat::Watch&>(watch).worker;
  if (&watch == &worker.event) {
    // It stays readable where the worker is gone, which its end will tell.
    if (!worker.link().TakeSignals()) {
      worker.event.Stop();
      worker.let_go = true;
      LookAfterZygote();
    }
    return SchedulePump();
  }
  TakeReport(worker);
}

void PoolCore::TakeReport(WorkerSeat& worker) noexcept {
  const std::optional<WorkerExit> exit = worker.process().TakeExit();
  if (worker.state == WorkerSeat::State::kDead) return;
  if (!exit.has_value()) return UpdatePids();  // its number is known now
  OnDeath(worker, *exit);
  EndIfClosed();
}

void PoolCore::OnStopped(PoolWatch& watch) noexcept {
  static_cast<void>(watch);
  // Not here: the watch is about to return to its operation.
  SchedulePump();
}

}  // namespace plait::internal
