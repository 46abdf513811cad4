// Spinner: whether a worker that has found nothing spins for a moment before it parks.
//
//   if (spinner.Spin(deadline, [&] { return FindWork(); })) run it;
//   else { park; spinner.Slept(asleep, by_what); }
//
// A parked thread is woken in some 29 µs on a virtual machine, one that spins in 0.1 µs. Spinning
// costs a core while it lasts, so it must have paid lately. What pays: work came while it spun, or
// so soon after the thread had parked that a spin would have met it. What does not: to spin to the
// end for nothing, which is forgiven a few times in a row (`trust`). Without a sleep that work
// ended soon, that never comes back: a pool without work parks and does nothing at all, and one
// whose work comes in every now and then sleeps between.
//
//   policy      spins for   in vain, in a row   trusts again after a sleep of   busy for nothing
//   kLatency    50 µs       16 times            at most 200 µs                  < 800 µs
//   kBalanced   40 µs        3 times            at most  80 µs                  < 120 µs
//   kFrugal      0                                                              never
//
// What ends a sleep, and what a look finds, is another thread's work, or a result of the worker's
// own reactor. Results pay by kLatency alone: by kBalanced a service with one busy connection would
// keep a core awake for it.
//
// The last column is the most that a worker spins after the last work that came soon. Nobody spins
// where there is one processor, as then nobody could post meanwhile, nor by a virtual clock, which
// stands still meanwhile.
//
// Threads: the worker's own. Cost: a look at the clock (29 ns) every 16 looks for work.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_SPINNER_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_SPINNER_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"

namespace plait {

// What an idle worker of a pool prefers.
enum class IdlePolicy : uint8_t {
  kLatency,   // answer within microseconds, work and I/O, for some CPU time while both are sparse
  kBalanced,  // spin only where it has just paid, by work from another thread
  kFrugal,    // park at once: least CPU time, each wake-up costs its tens of microseconds
};

namespace internal {

class Spinner {
 public:
  enum class Found : uint8_t { kNothing, kResult, kWork };

  // `clock` outlives it. `processors`: of the machine.
  Spinner(IdlePolicy policy, Clock& clock, int processors = HardwareThreads());
  Spinner(const Spinner&) = delete;
  Spinner& operator=(const Spinner&) = delete;

  // Calls `look` until it has found something, and then gives true; or false when it was in vain:
  // it is `deadline`, the time is over, or there is no trust.
  bool Spin(Deadline deadline, absl::FunctionRef<Found()> look);

  // After it has parked: for how long, and what ended that; kNothing: its timers, or nothing.
  void Slept(absl::Duration asleep, Found by) noexcept;

  // Whether the next Spin spins.
  bool trusts() const noexcept { return trust_ > 0; }

 private:
  Clock& clock_;
  const absl::Duration spin_;
  const absl::Duration soon_;
  const Found pays_;      // and what is above it
  const int full_trust_;  // 0: never spins
  int trust_;             // how often it may still spin in vain
};

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_SPINNER_H_
