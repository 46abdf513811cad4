// Sleep, SleepUntil and Yield.
//
//   absl::Status status = co_await plait::Sleep(absl::Milliseconds(20));
//   co_await plait::Yield();
//
// Sleep waits by the monotonic clock, to the nanosecond where the system can, never less than
// asked; a change of the calendar does not touch it. Zero comes back on the next turn,
// absl::InfiniteDuration() only by a cancel. SleepUntil takes a point on the calendar and turns it
// into a duration when it is awaited; the past comes back on the next turn. Results: OK;
// absl::CancelledError, promptly, when the task is cancelled; InvalidArgument for a negative
// duration (what Abseil makes of NaN included, where that is negative); FailedPrecondition on an
// executor without timers. Equal deadlines of one worker wake in the order in which they began to
// wait. Cost: no allocation; see timer_queue.h.
#ifndef PLAIT_RUNTIME_TIME_SLEEP_H_
#define PLAIT_RUNTIME_TIME_SLEEP_H_

#include <coroutine>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/home_wait.h"
#include "plait/runtime/task/or_returnable.h"
#include "plait/runtime/task/promise.h"

namespace plait {
namespace internal {

class [[nodiscard]] SleepAwaiter : private HomeWait, private Timer {
 public:
  // `nanos` is a duration, or with `until` nanoseconds since the Unix epoch; saturated.
  SleepAwaiter(int64_t nanos, bool until) noexcept
      : HomeWait(&OnStop<&CancelSleep>), Timer(&Fired) {
    deadline = Deadline::AtNanos(nanos);  // until it is known what it counts from
    flag_a_ = until;
  }

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> sleeper) noexcept {
    return Suspend(sleeper.promise());
  }
  absl::Status await_resume() const noexcept { return flag_b_ ? Failure() : absl::OkStatus(); }

 private:
  bool until() const noexcept { return flag_a_; }
  void SetFailed(bool failed = true) noexcept { flag_b_ = failed; }

  bool Suspend(PromiseBase& sleeper) noexcept;
  absl::Status Failure() const;
  static bool CancelSleep(HomeWait& wait) noexcept;
  static void Fired(WorkItem& item) noexcept;
};

class [[nodiscard]] SleepAwaitable : public OrReturnable<SleepAwaitable> {
 public:
  explicit SleepAwaitable(absl::Duration duration) noexcept;
  SleepAwaiter operator co_await() const noexcept { return SleepAwaiter(nanos_, false); }

 private:
  int64_t nanos_;
};

class [[nodiscard]] SleepUntilAwaitable : public OrReturnable<SleepUntilAwaitable> {
 public:
  explicit SleepUntilAwaitable(absl::Time time) noexcept;
  SleepAwaiter operator co_await() const noexcept { return SleepAwaiter(unix_nanos_, true); }

 private:
  int64_t unix_nanos_;
};

struct [[nodiscard]] YieldAwaiter {
  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  void await_suspend(std::coroutine_handle<P> yielding) const noexcept {
    yielding.promise().ScheduleLast();
  }
  void await_resume() const noexcept {}
};

}  // namespace internal

inline internal::SleepAwaitable Sleep(absl::Duration duration) {
  return internal::SleepAwaitable(duration);
}

inline internal::SleepUntilAwaitable SleepUntil(absl::Time time) {
  return internal::SleepUntilAwaitable(time);
}

// Lets everything else that is ready on the executor run once. Gives nothing; a cancelled task
// yields like any other.
inline internal::YieldAwaiter Yield() { return {}; }

}  // namespace plait

#endif  // PLAIT_RUNTIME_TIME_SLEEP_H_
