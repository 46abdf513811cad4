// How long a reactor's Poll may wait, as the system calls want it.
#ifndef PLAIT_IO_REACTOR_WAIT_TIME_H_
#define PLAIT_IO_REACTOR_WAIT_TIME_H_

#include <time.h>

#include <cstdint>

#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"

namespace plait::internal {

class WaitTime {
 public:
  // No wait at all.
  WaitTime() = default;
  // Until `deadline` by `clock`.
  WaitTime(Deadline deadline, Clock& clock) noexcept : forever_(deadline.is_infinite()) {
    if (forever_ || deadline == Deadline::Immediate()) return;
    const Deadline now = clock.Now();
    if (deadline <= now) return;
    const int64_t nanos = deadline.nanos() - now.nanos();
    time_ = {.tv_sec = nanos / 1'000'000'000, .tv_nsec = nanos % 1'000'000'000};
  }

  bool none() const noexcept { return !forever_ && time_.tv_sec == 0 && time_.tv_nsec == 0; }
  // Null: for ever.
  const timespec* get() const noexcept { return forever_ ? nullptr : &time_; }

 private:
  timespec time_{};
  bool forever_ = false;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_REACTOR_WAIT_TIME_H_
