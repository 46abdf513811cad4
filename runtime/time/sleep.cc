#include "plait/runtime/time/sleep.h"

#include <limits>

#include "absl/strings/str_cat.h"

namespace plait::internal {
namespace {

constexpr AwaitKind kSleepKind{"Sleep"};
constexpr AwaitNote kSleepNote{&kSleepKind};

// Rounded up, so that no sleep is short; as large as fits for what is larger.
int64_t SaturatedNanos(absl::Duration duration) {
  if (duration == -absl::InfiniteDuration()) return std::numeric_limits<int64_t>::min();
  return (Deadline::AtNanos(0) + duration).nanos();
}

absl::Duration DurationOf(int64_t nanos) {
  if (nanos == std::numeric_limits<int64_t>::max()) return absl::InfiniteDuration();
  if (nanos == std::numeric_limits<int64_t>::min()) return -absl::InfiniteDuration();
  return absl::Nanoseconds(nanos);
}

}  // namespace

SleepAwaitable::SleepAwaitable(absl::Duration duration) noexcept
    : nanos_(SaturatedNanos(duration)) {}

SleepUntilAwaitable::SleepUntilAwaitable(absl::Time time) noexcept
    : unix_nanos_(SaturatedNanos(time - absl::UnixEpoch())) {}

bool SleepAwaiter::Suspend(PromiseBase& sleeper) noexcept {
  Worker* const home = Worker::Current();
  if (home == nullptr || (!until() && deadline.nanos() < 0)) {
    SetFailed();
    return false;
  }
  absl::Duration duration = DurationOf(deadline.nanos());
  if (until()) duration -= home->clock().WallTime() - absl::UnixEpoch();
  // Before Begin, which may have another thread go on with the coroutine if a stop came first.
  SetFailed();
  if (!Begin(sleeper, *home, kSleepNote)) return true;
  SetFailed(false);
  deadline = home->clock().Now() + duration;
  home->AddTimer(*this);
  return true;
}

void SleepAwaiter::Fired(WorkItem& item) noexcept {
  static_cast<SleepAwaiter&>(static_cast<Timer&>(item)).Happened();
}

bool SleepAwaiter::CancelSleep(HomeWait& wait) noexcept {
  auto& self = static_cast<SleepAwaiter&>(wait);
  // A timer that has fired already is on its way to Happened: then it slept its full time.
  if (!self.home()->CancelTimer(self)) return false;
  self.SetFailed();
  return true;
}

absl::Status SleepAwaiter::Failure() const {
  if (home() != nullptr) return absl::CancelledError("the sleep was cancelled");
  if (!until() && deadline.nanos() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "Sleep: the duration is negative: ", absl::FormatDuration(DurationOf(deadline.nanos()))));
  }
  return absl::FailedPreconditionError("Sleep: this executor has no timers");
}

}  // namespace plait::internal
