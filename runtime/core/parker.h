// Parker: what one thread sleeps on, and any other wakes it from.
//
//   the thread                              others
//   ----------                              ------
//   if (nothing to do)                      make something to do
//     parker.Park(deadline, clock);         parker.Wake();
//
//              Wake                       Park, which returns at once
//     awake  -------->  woken   ------------------------------------->  awake
//       |                 ^
//       | Park            | Wake, which calls the system
//       v                 |
//     asleep  ------------+
//       |
//       +--- the deadline passes ---> awake
//
// A wake-up is remembered until the next Park, which it ends at once; further ones until then are
// one. So a wake-up between the thread's last look and its Park is not lost. What is "something to
// do" the thread finds out itself: it looks again after every Park.
//
// Orderings: Wake releases and Park acquires, so that what was written before each of the Wakes
// that a Park answers is visible after it. For that also a Wake of a thread that is woken already
// must modify the word. parker_explored_test weakens each.
//
// Threads: Park is for one thread at a time, Wake for any. Lifetime: a Parker outlives the calls of
// its methods. Cost: a Wake of a thread that is awake is one locked instruction; one that sleeps is
// woken by a system call, and runs some 29 µs later.
#ifndef PLAIT_RUNTIME_CORE_PARKER_H_
#define PLAIT_RUNTIME_CORE_PARKER_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"

namespace plait::internal {

class Parker {
 public:
  constexpr Parker() = default;
  Parker(const Parker&) = delete;
  Parker& operator=(const Parker&) = delete;

  // Sleeps until there is a Wake, and then, also when it came before, true; false when it is
  // `deadline` by `clock`, never before. Only a clock whose time passes ends a sleep.
  bool Park(Deadline deadline, Clock& clock) noexcept;

  // Any thread; also a signal handler.
  void Wake() noexcept;

 private:
  static constexpr uint32_t kAwake = 0;
  static constexpr uint32_t kWoken = 1;
  static constexpr uint32_t kAsleep = ~uint32_t{0};  // one less than awake

  Atomic<uint32_t> state_{kAwake};
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_PARKER_H_
