// When a thread that has nothing to do gives the coroutine frames that it keeps back to the
// allocator (frame_allocator.h): after kIdleUntilFramesGo without work.
//
//   const Deadline since = clock.Now();
//   sleep until SleepUntilFramesGo(clock, deadline, since);
//   if (there is nothing to do) SleptInVain(clock, since, clock.Now());
//
// A thread that keeps frames so wakes once for their sake when it falls idle, and sleeps on without
// any; one that parks and is woken thousands of times a second never does, nor one whose timers
// come at short intervals, so that their work finds its frames. By a virtual clock they stay: no
// time passes while a thread is idle.
//
// Threads: that which sleeps. Cost: a load before each sleep, where there is nothing to give back.
#ifndef PLAIT_RUNTIME_CORE_IDLE_FRAMES_H_
#define PLAIT_RUNTIME_CORE_IDLE_FRAMES_H_

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/frame_allocator.h"

namespace plait::internal {

// To give back a megabyte, and to allocate it again, takes a thousandth of a second: of a thread
// that would lose its frames between all its bursts of work, a hundredth.
inline constexpr absl::Duration kIdleUntilFramesGo = absl::Milliseconds(100);

// How long a thread that falls asleep `now` is to sleep at most; `deadline` is when it will have
// something to do.
inline Deadline SleepUntilFramesGo(Clock& clock, Deadline deadline, Deadline now) noexcept {
  if (!KeepsFrames() || clock.is_virtual()) return deadline;
  // In whole numbers, as every sleep comes by here.
  constexpr int64_t kNanos = 100'000'000;
  static_assert(absl::Nanoseconds(kNanos) == kIdleUntilFramesGo);
  return std::min(deadline, Deadline::AtNanos(now.nanos() + kNanos));
}

// It has slept since `since`, and still has nothing to do.
inline void SleptInVain(Clock& clock, Deadline since, Deadline now) noexcept {
  if (!KeepsFrames() || clock.is_virtual()) return;
  if (now >= since + kIdleUntilFramesGo) GiveBackFrames();
}

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_IDLE_FRAMES_H_
