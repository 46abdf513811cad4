// The process that starts workers: what it owes, what is done where it does not give it, its end.
//
// It owes the number of a worker that it was asked for, and the end of one that was to be killed or
// that has let go of its link. Whatever is owed is looked after by a timer, so that nobody waits
// for ever: a zygote that is stopped is told to go on, one that gives no sign of life is killed,
// and all its workers count as dead. No look waits.
#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/schedulers/process_pool/pool_core.h"

namespace plait::internal {
namespace {

// Between two looks. What is well is seldom looked at a second time.
constexpr absl::Duration kLook = absl::Milliseconds(50);

// Looks before a worker that has let go of its link, and goes on, is killed.
constexpr int kLooksUntilKilled = 20;

// Looks at a zygote that was killed, before it is left as it is: the system does not end it.
constexpr int kLooksAtKilled = 200;

}  // namespace

absl::Status PoolCore::RequireZygote() {
  if (zygote_ != nullptr) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Zygote>> zygote = StartZygote(functions());
  if (!zygote.ok()) {
    return absl::UnavailableError(
        absl::StrCat("the process that starts them has died, and there is no other: ",
                     zygote.status().message()));
  }
  zygote_ = *std::move(zygote);
  zygote_loss_counted_ = false;
  zygote_silent_ = 0;
  return absl::OkStatus();
}

bool PoolCore::Owes(const WorkerSeat& worker) noexcept {
  return worker.state != WorkerSeat::State::kDead &&
         (worker.process().pid() == 0 || worker.process().was_sent(SIGKILL) || worker.let_go);
}

bool PoolCore::ZygoteOwes() const noexcept {
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker != nullptr && Owes(*worker); });
}

void PoolCore::SetZygoteAlarm() noexcept {
  if (std::exchange(zygote_alarm_set_, true)) return;
  zygote_alarm_.deadline = Now() + std::min(kLook, options_.zygote_grace);
  home_.load(kRelaxed)->AddTimer(zygote_alarm_);
}

void PoolCore::LookAfterZygote() noexcept {
  if (releasing_.ok() && (ZygoteOwes() || !killed_zygotes_.empty())) SetZygoteAlarm();
}

void PoolCore::LookAtZygote() noexcept {
  // What it has said may wait to be read. Places are filled again meanwhile.
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i] != nullptr) TakeReport(*workers_[i]);
  }
  if (!releasing_.ok()) return;
  ReapKilledZygotes();
  if (!ZygoteOwes() || zygote_ == nullptr) {
    zygote_silent_ = 0;
    if (zygote_ != nullptr) zygote_->StopAsking();
    return LookAfterZygote();
  }
  zygote_->Continue();
  for (const auto& worker : workers_) {
    if (worker == nullptr || !worker->let_go || ++worker->looks != kLooksUntilKilled) continue;
    worker->process().Signal(SIGKILL);
  }
  zygote_silent_ = zygote_->Answers() ? 0 : zygote_silent_ + 1;
  // Looks are counted, and not the time: where the program itself was stopped, no time counts.
  if (zygote_silent_ * kLook >= options_.zygote_grace) GiveUpZygote();
  LookAfterZygote();
}

void PoolCore::LoseZygote() noexcept {
  zygote_->Kill();
  killed_zygotes_.push_back({.zygote = std::move(zygote_)});
  zygote_silent_ = 0;
}

void PoolCore::GiveUpZygote() noexcept {
  LoseZygote();
  WorkerExit exit;
  exit.reason = absl::StrCat("gave no sign of life for ",
                             absl::FormatDuration(options_.zygote_grace), " and was killed");
  // Not when the system tells of their ends, which it may never do. Each place is seen once: what
  // it is filled with is the next zygote's.
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i] != nullptr) OnDeath(*workers_[i], exit);
  }
  EndIfClosed();
}

void PoolCore::ReapKilledZygotes() noexcept {
  std::erase_if(killed_zygotes_, [](KilledZygote& killed) {
    if (++killed.looks > kLooksAtKilled) killed.zygote->Forget();
    return killed.zygote->Gone();
  });
}

// At the end of a pool. It comes here again until it is true.
bool PoolCore::ZygoteHasEnded() noexcept {
  if (zygote_ != nullptr && !zygote_ending_) {
    zygote_ending_ = true;
    zygote_silent_ = 0;
    zygote_->Stop();
    // Without it the looks see it.
    zygote_end_.Start(*home_.load(kRelaxed)->reactor(), zygote_->end_descriptor()).IgnoreError();
  }
  if (zygote_ != nullptr && zygote_->Gone()) zygote_ = nullptr;
  if (zygote_ == nullptr) zygote_end_.Stop();
  ReapKilledZygotes();
  if (zygote_ == nullptr && killed_zygotes_.empty()) {
    CancelZygoteAlarm();
    return !zygote_end_.in_flight() && !zygote_alarm_set_;
  }
  SetZygoteAlarm();
  return false;
}

void PoolCore::LookAtEndingZygote() noexcept {
  if (zygote_ == nullptr || !zygote_ending_) return;
  zygote_->Continue();
  if (++zygote_silent_ * kLook >= options_.zygote_grace) LoseZygote();
}

void PoolCore::CancelZygoteAlarm() noexcept {
  if (zygote_alarm_set_ && home_.load(kRelaxed)->CancelTimer(zygote_alarm_)) {
    zygote_alarm_set_ = false;
  }
}

}  // namespace plait::internal
