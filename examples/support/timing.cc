#include "plait/examples/support/timing.h"

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace examples {

std::string Stamp(absl::Duration duration) {
  const int64_t micros = absl::ToInt64Microseconds(duration);
  const int64_t seconds = micros / 1'000'000;
  return absl::StrFormat("%d:%02d:%02d.%06d", seconds / 3600, seconds / 60 % 60, seconds % 60,
                         micros % 1'000'000);
}

void BlockFor(absl::Duration duration, plait::Clock& clock) {
  if (clock.is_virtual()) {
    clock.AdvanceTo(clock.Now() + duration);
  } else {
    absl::SleepFor(duration);
  }
}

}  // namespace examples
