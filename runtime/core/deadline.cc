#include "plait/runtime/core/deadline.h"

namespace plait {

Deadline Deadline::operator+(absl::Duration duration) const {
  if (is_infinite() || duration == absl::InfiniteDuration()) return Infinite();
  if (duration == -absl::InfiniteDuration()) return Immediate();
  const absl::Duration whole = absl::Ceil(duration, absl::Nanoseconds(1));
  int64_t sum = 0;
  // ToInt64Nanoseconds saturates; so does the sum.
  if (__builtin_add_overflow(nanos_, absl::ToInt64Nanoseconds(whole), &sum)) {
    return whole > absl::ZeroDuration() ? Infinite() : Immediate();
  }
  return Deadline(sum);
}

absl::Duration Deadline::Since(Deadline now) const {
  if (is_infinite()) return absl::InfiniteDuration();
  if (nanos_ <= now.nanos_) return absl::ZeroDuration();
  return absl::Nanoseconds(nanos_) - absl::Nanoseconds(now.nanos_);
}

}  // namespace plait
