#include "plait/runtime/time/sleep.h"

#include "absl/strings/str_cat.h"

namespace plait::internal {

absl::Status SleepAwaiter::Check() const {
  if (!until_ && duration_ < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Sleep: the duration is negative: ", absl::FormatDuration(duration_)));
  }
  if (Worker::Current() == nullptr) {
    return absl::FailedPreconditionError("Sleep: this executor has no timers");
  }
  return absl::OkStatus();
}

bool SleepAwaiter::Suspend(PromiseBase& sleeper) noexcept {
  if (!Check().ok()) {
    refused_ = true;
    return false;
  }
  Worker& home = *Worker::Current();
  const absl::Duration duration = until_ ? time_ - home.clock().WallTime() : duration_;
  if (!Begin(sleeper, home)) {
    cancelled_ = true;
    return true;
  }
  deadline = home.clock().Now() + duration;
  home.AddTimer(*this);
  return true;
}

void SleepAwaiter::Fired(WorkItem& item) noexcept {
  static_cast<SleepAwaiter&>(static_cast<Timer&>(item)).Happened();
}

bool SleepAwaiter::CancelSleep(HomeWait& wait) noexcept {
  auto& self = static_cast<SleepAwaiter&>(wait);
  // A timer that has fired already is on its way to Happened: then it slept its full time.
  if (!self.home().CancelTimer(self)) return false;
  self.cancelled_ = true;
  return true;
}

absl::Status SleepAwaiter::await_resume() noexcept {
  if (refused_) [[unlikely]] return Check();
  if (cancelled_) return absl::CancelledError("the sleep was cancelled");
  return absl::OkStatus();
}

}  // namespace plait::internal
