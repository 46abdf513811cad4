// What explored tests put below a worker: a clock that stands still, and a reactor to sleep in.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_SLEEPY_REACTOR_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_SLEEPY_REACTOR_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {

class StoppedClock final : public Clock {
 public:
  Deadline Now() noexcept override { return Deadline::AtNanos(0); }
  absl::Time WallTime() noexcept override { return absl::UnixEpoch(); }
};

// Has something in flight until that is cancelled, of which nothing is ever heard. Wake-ups are
// remembered. Threads: as a Reactor.
class SleepyReactor final : public Reactor {
 public:
  absl::string_view name() const override { return "sleepy"; }
  void Submit(IoOperation&) noexcept override {}
  void Cancel(IoOperation&) noexcept override {}
  void CancelAll() noexcept override { in_flight_ = 0; }
  void Poll(Deadline deadline, Clock&, WorkQueue&) noexcept override {
    if (deadline == Deadline::Infinite() && in_flight_ > 0) woken_.Wait();
  }
  void Wake() noexcept override { woken_.Set(); }
  size_t in_flight() const noexcept override { return in_flight_; }

 private:
  size_t in_flight_ = 1;
  explorer::Event woken_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_SLEEPY_REACTOR_H_
