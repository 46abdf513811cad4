// Deadline: a point on the monotonic clock, in nanoseconds since an origin that only the Clock
// knows.
//
// A plain integer inside, so that timers compare and store in one instruction; absl::Duration and
// absl::Time are for the public calls. Arithmetic saturates: no duration, however large, wraps.
#ifndef PLAIT_RUNTIME_CORE_DEADLINE_H_
#define PLAIT_RUNTIME_CORE_DEADLINE_H_

#include <compare>
#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace plait {

class Deadline {
 public:
  // The past: due at once.
  constexpr Deadline() = default;

  static constexpr Deadline AtNanos(int64_t nanos) { return Deadline(nanos); }
  // Never due.
  static constexpr Deadline Infinite() { return Deadline(kInfinite); }
  // Always due.
  static constexpr Deadline Immediate() { return Deadline(kImmediate); }

  // `duration` from this point on; Infinite when that is more than the clock can count. A fraction
  // of a nanosecond is rounded up, so that a wait is never early.
  Deadline operator+(absl::Duration duration) const;

  constexpr bool is_infinite() const { return nanos_ == kInfinite; }
  constexpr int64_t nanos() const { return nanos_; }

  // What is left of the way from `now`: zero when it is due, absl::InfiniteDuration() when it never
  // is.
  absl::Duration Since(Deadline now) const;

  friend constexpr auto operator<=>(Deadline, Deadline) = default;

 private:
  static constexpr int64_t kInfinite = std::numeric_limits<int64_t>::max();
  static constexpr int64_t kImmediate = std::numeric_limits<int64_t>::min();

  constexpr explicit Deadline(int64_t nanos) : nanos_(nanos) {}

  int64_t nanos_ = kImmediate;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_DEADLINE_H_
