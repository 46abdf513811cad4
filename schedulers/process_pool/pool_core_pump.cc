// Giving calls to the workers and taking their answers.
#include <algorithm>
#include <utility>

#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/schedulers/process_pool/pool_core.h"

namespace plait::internal {
namespace {

// So long the pump looks for answers before it sleeps: about what a wake-up through the system
// costs. It gives up looking after a few times in vain, until an answer has come so soon again.
constexpr absl::Duration kSpin = absl::Microseconds(50);
constexpr absl::Duration kSoon = absl::Microseconds(150);
constexpr int kSpinsOnTrust = 3;
// Looks between two turns of the loop.
constexpr int kLooksPerPump = 16;

// A worker that has answered nothing for so long has the calls taken back that it has not begun:
// what it runs takes long, or it hangs. It is given one at a time then, and more again as it
// answers.
constexpr absl::Duration kStall = absl::Milliseconds(2);
// One that had not even begun, and then was only slow (its niceness, a machine that does much
// else), gets twice as long, up to half a second: or each call would be taken back before it
// begins.
constexpr int kMostPatience = 256;

// Memory of arguments that nobody uses goes back to the system after about so long.
constexpr absl::Duration kTrimAfter = absl::Seconds(1);

}  // namespace

int PoolCore::SpinsAtFirst() {
  static const int spins = HardwareThreads() > 1 ? kSpinsOnTrust : 0;
  return spins;
}

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
      KillDamaged(*worker);
      continue;
    }
    if (!took) continue;
    // One that was sent a signal dies of it, if only at its next call: it gets none.
    if (worker->state == WorkerSeat::State::kStopping && !worker->killed &&
        worker->first() > worker->stopping_number) {
      // It has stopped by itself.
      worker->state = WorkerSeat::State::kReady;
      if (worker->stop_step == 1) worker->patience = std::min(2 * worker->patience, kMostPatience);
      ForgetUnbegun(worker->unbegun);
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
    if (worker == nullptr || !worker->usable() || worker->full || worker->live() >= worker->ahead ||
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
        if (worker->outstanding() == 1) worker->stall_mark = 0;  // it has had no time yet
        if (!stall_set_) SetStallAlarm();
        break;
      case WorkerSeat::Given::kNoRoom:
        worker->full = any_full = true;
        continue;
      case WorkerSeat::Given::kFailed:
        queue_.Remove(*call);
        End(*call, std::move(status));
        continue;
      case WorkerSeat::Given::kCorrupt:
        KillDamaged(*worker);
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
      worker->stall_looks = 0;
      any = true;
      continue;
    }
    if (worker->begun() < worker->first() && ++worker->stall_looks < worker->patience) {
      any = true;
      continue;
    }
    worker->ahead = 1;
    PoolCall* const first = worker->call(worker->first());
    RecallAfter(*worker, worker->begun(), CallBoard::kSlots);
    if (worker->begun() >= worker->first()) continue;
    worker->stall_looks = 0;
    if (first != nullptr) {
      ForgetUnbegun(first);
      first->unbegun_at = worker;
      worker->unbegun = first;
    }
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
    return worker != nullptr && worker->usable() && worker->outstanding() == 0;
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

void PoolCore::ForgetUnbegun(PoolCall* call) noexcept {
  if (call == nullptr || call->unbegun_at == nullptr) return;
  std::exchange(call->unbegun_at, nullptr)->unbegun = nullptr;
}

void PoolCore::SetTrim() noexcept {
  trim_set_ = true;
  trim_.deadline = Now() + kTrimAfter;
  home_.load(kRelaxed)->AddTimer(trim_);
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
  SetTrim();
}

}  // namespace plait::internal
