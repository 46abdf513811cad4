// TestClock: time that passes only when there is nothing else to do, or when a test says so.
//
//   plait::TestClock clock;
//   absl::Status status = plait::Run(ProgramOfHours(), {.clock = &clock});   // milliseconds
//
// An executor that has this clock and is idle jumps to its next deadline at once, so a program of
// hours runs in milliseconds and always in the same order. Work that other threads or processes do
// takes no time by this clock: it may jump while they are busy. Threads: any.
#ifndef PLAIT_RUNTIME_TESTING_TEST_CLOCK_H_
#define PLAIT_RUNTIME_TESTING_TEST_CLOCK_H_

#include <cstdint>

#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"

namespace plait {

class TestClock final : public Clock {
 public:
  // The calendar starts at `start`.
  explicit TestClock(absl::Time start = absl::FromUnixSeconds(1'000'000'000)) : start_(start) {}

  Deadline Now() noexcept override { return Deadline::AtNanos(now_.load(internal::kRelaxed)); }
  absl::Time WallTime() noexcept override { return start_ + elapsed() + wall_offset(); }
  bool is_virtual() const noexcept override { return true; }
  // Time does not go backwards: an earlier deadline changes nothing.
  void AdvanceTo(Deadline deadline) noexcept override;

  // Moves time on by `duration`, as if so much work had been done.
  void Advance(absl::Duration duration) noexcept { AdvanceTo(Now() + duration); }

  // Someone sets the calendar: WallTime jumps, Now does not.
  void JumpWallTime(absl::Duration by) noexcept {
    wall_offset_.fetch_add(absl::ToInt64Nanoseconds(by), internal::kRelaxed);
  }

  // Since the clock was made.
  absl::Duration elapsed() const noexcept {
    return absl::Nanoseconds(now_.load(internal::kRelaxed));
  }

 private:
  absl::Duration wall_offset() const noexcept {
    return absl::Nanoseconds(wall_offset_.load(internal::kRelaxed));
  }

  const absl::Time start_;
  internal::Atomic<int64_t> now_{0};
  internal::Atomic<int64_t> wall_offset_{0};
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_TEST_CLOCK_H_
