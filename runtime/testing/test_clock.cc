#include "plait/runtime/testing/test_clock.h"

namespace plait {

void TestClock::AdvanceTo(Deadline deadline) noexcept {
  int64_t now = now_.load(internal::kRelaxed);
  while (now < deadline.nanos() &&
         !now_.compare_exchange_weak(now, deadline.nanos(), internal::kRelaxed)) {
  }
}

}  // namespace plait
