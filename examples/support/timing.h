// The articles' stopwatch, `0:00:02.005169`, and their time.sleep.
//
// Both go by a plait::Clock, so that tests can hand in one that jumps.
#ifndef PLAIT_EXAMPLES_SUPPORT_TIMING_H_
#define PLAIT_EXAMPLES_SUPPORT_TIMING_H_

#include <string>

#include "absl/time/time.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"

namespace examples {

// As Python prints a timedelta: hours, minutes, seconds and microseconds.
std::string Stamp(absl::Duration duration);

// Starts to run when it is made. Threads: any.
class Stopwatch {
 public:
  explicit Stopwatch(plait::Clock& clock = plait::Clock::Real())
      : clock_(clock), start_(clock.Now()) {}

  absl::Duration elapsed() const { return clock_.Now().Since(start_); }

 private:
  plait::Clock& clock_;
  const plait::Deadline start_;
};

// Blocks the thread, and with it everything else that the thread could do: what a coroutine never
// does.
void BlockFor(absl::Duration duration, plait::Clock& clock);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_TIMING_H_
