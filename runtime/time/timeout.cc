#include "plait/runtime/time/timeout.h"

#include "absl/strings/str_cat.h"
#include "plait/runtime/time/deadline_error.h"

namespace plait::internal {

absl::Status DeadlineScope::Open(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Timeout: the duration is negative: ", absl::FormatDuration(duration)));
  }
  if (duration == absl::InfiniteDuration()) return absl::OkStatus();
  Worker* home = Worker::Current();
  if (home == nullptr) {
    return absl::FailedPreconditionError("Timeout: this executor has no timers");
  }
  deadline = home->clock().Now() + duration;
  if (deadline.is_infinite()) return absl::OkStatus();
  home_ = home;
  home->AddTimer(*this);
  return absl::OkStatus();
}

void DeadlineScope::Expire(WorkItem& item) noexcept {
  auto& self = static_cast<DeadlineScope&>(static_cast<Timer&>(item));
  self.fired_ = true;
  if (self.waiter_ != nullptr) {
    // What it bounded has ended already, before the timer's turn came: the deadline did not come
    // first.
    self.waiter_->Schedule();
    return;
  }
  self.expired_ = true;
  self.stop().RequestStop();
}

bool DeadlineScope::CloseAtHome() noexcept { return home_->CancelTimer(*this) || fired_; }

bool DeadlineScope::StartClose(PromiseBase& waiter) noexcept {
  if (Worker::Current() == home_) {
    if (CloseAtHome()) return false;
    waiter_ = &waiter;
    return true;
  }
  close_.self = this;
  close_.run = [](WorkItem& item) noexcept {
    DeadlineScope& self = *static_cast<CloseItem&>(item).self;
    PromiseBase* promise = self.close_.waiter;
    if (self.CloseAtHome()) {
      promise->Schedule();
    } else {
      self.waiter_ = promise;
    }
  };
  close_.waiter = &waiter;
  home_->Post(close_);
  return true;
}

absl::Status TimeoutError(const DeadlineScope& scope, absl::Duration duration,
                          const absl::Status& cancelled) {
  return DeadlineError(scope.outer().stop_requested(),
                       absl::StrCat("timed out after ", absl::FormatDuration(duration)), cancelled);
}

}  // namespace plait::internal
