// HeavyBarrier: a barrier for all threads of the process at once. Part of the environment seam.
//
// Two threads that each write one word and then read the other's must not both miss what the other
// wrote: that takes a full barrier between write and read in both, 5 ns each. Where one of them
// does so all the time and the other once in a while, the latter can pay for both:
//
//     often                       seldom
//       write a                     write b
//       LightBarrier();             HeavyBarrier();
//       read b                      read a
//
// One of the reads sees the other's write: the kernel interrupts each thread of the process that
// runs, so that it has a full barrier somewhere, which is before its write of a, and then it reads
// b as it is now; or after, and then a is visible here. LightBarrier is for the compiler alone.
//
// Threads: any. Cost: a system call, of 0.2 µs when no other thread runs and 2 to 10 when some do;
// nothing in the other threads but the interrupt. Systems: Linux, where membarrier(2) is allowed.
// A program that forbids itself that call later on, once it has been used here, ends with a CHECK.
#ifndef PLAIT_RUNTIME_CORE_HEAVY_BARRIER_H_
#define PLAIT_RUNTIME_CORE_HEAVY_BARRIER_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"

namespace plait::internal {

// Whether this system has it. Found out, by a system call or two, when first asked.
bool HeavyBarrierWorks() noexcept;

// Called before threads are started, it spares the program that the first to ask waits for all of
// them, for milliseconds, and maybe under a lock. Only the first call does anything.
void PrepareHeavyBarrier() noexcept;

#if defined(PLAIT_EXPLORE)
using explored::HeavyBarrier;
using explored::LightBarrier;
#else
// Only where it works.
void HeavyBarrier() noexcept;

// How many this thread has had: what tests count.
uint64_t HeavyBarriersHere() noexcept;

// The accesses before and after stay in their order in the program that the processor gets.
[[gnu::always_inline]] inline void LightBarrier() noexcept { asm volatile("" ::: "memory"); }
#endif

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_HEAVY_BARRIER_H_
