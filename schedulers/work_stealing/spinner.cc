#include "plait/schedulers/work_stealing/spinner.h"

#include <algorithm>

#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {
namespace {

struct Habits {
  absl::Duration spin;
  absl::Duration soon;
  int trust;
};

Habits HabitsOf(IdlePolicy policy) {
  switch (policy) {
    case IdlePolicy::kLatency:
      return {.spin = absl::Microseconds(50), .soon = absl::Microseconds(200), .trust = 16};
    case IdlePolicy::kBalanced:
      return {.spin = absl::Microseconds(40), .soon = absl::Microseconds(80), .trust = 3};
    case IdlePolicy::kFrugal:
      break;
  }
  return {};
}

}  // namespace

Spinner::Spinner(IdlePolicy policy, Clock& clock, int processors)
    : clock_(clock),
      spin_(HabitsOf(policy).spin),
      soon_(HabitsOf(policy).soon),
      pays_(policy == IdlePolicy::kLatency ? Found::kResult : Found::kWork),
      full_trust_(processors > 1 && !clock.is_virtual() ? HabitsOf(policy).trust : 0),
      trust_(0) {}

bool Spinner::Spin(Deadline deadline, absl::FunctionRef<Found()> look) {
  if (trust_ == 0) return false;
  const Deadline end = std::min(deadline, clock_.Now() + spin_);
  do {
    for (int i = 0; i < 16; ++i) {
      const Found found = look();
      if (found >= pays_) {
        trust_ = full_trust_;
        return true;
      }
      if (found != Found::kNothing) {
        --trust_;
        return true;
      }
      SpinWait(0);
    }
  } while (clock_.Now() < end);
  --trust_;
  return false;
}

void Spinner::Slept(absl::Duration asleep, Found by) noexcept {
  if (by >= pays_ && asleep <= soon_) trust_ = full_trust_;
}

}  // namespace plait::internal
