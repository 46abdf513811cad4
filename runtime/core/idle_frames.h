// When a thread that has nothing to do gives the coroutine frames that it keeps back to the
// allocator (frame_allocator.h): after kIdleUntilFramesGo without work. And when the allocator is
// made to give what is free back to the system.
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
// By itself glibc's allocator keeps what a burst has left: frames that live on lie between those
// that are free, and it gives back only what nothing lies behind. So whoever falls idle, after
// threads have given the allocator kBytesUntilTrim, has it give back every page that is free
// (malloc_trim), be it of frames or not. Others may have to wait for the allocator meanwhile. Where
// that takes longer than 1 ms for each megabyte that was given, as the program has much else, it is
// done so much less often. (jemalloc and mimalloc give back pages that were free for a while, Go's
// runtime with a hundredth of its time; with other allocators than glibc's it is theirs to do.)
//
// Threads: that which sleeps. Cost: a load before each sleep, where there is nothing to give back.
#ifndef PLAIT_RUNTIME_CORE_IDLE_FRAMES_H_
#define PLAIT_RUNTIME_CORE_IDLE_FRAMES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/frame_allocator.h"

namespace plait::internal {

// To give back a megabyte, and to allocate it again, takes a thousandth of a second: of a thread
// that would lose its frames between all its bursts of work, a hundredth.
inline constexpr absl::Duration kIdleUntilFramesGo = absl::Milliseconds(100);

inline constexpr size_t kBytesUntilTrim = 8 << 20;

// GiveBackFrames, of a thread that is idle, and what is free to the system if it is worth while.
void GiveBackIdleFrames(Clock& clock) noexcept;

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
  if (now >= since + kIdleUntilFramesGo) GiveBackIdleFrames(clock);
}

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_IDLE_FRAMES_H_
