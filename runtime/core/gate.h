// Gate: counts who is inside of something that is going to end, and keeps it until they are out.
//
//     whoever uses it                          who ends it
//       if (!gate.Enter()) refuse;               gate.Shut();
//       ... touches it ...                       gate.AwaitEmpty();
//       gate.Leave();                            nobody is inside, and nobody comes any more
//
// Where what is done inside makes the end possible, as the post of an item whose run ends the
// executor, there is nothing to refuse and the gate is never shut: such a thread has entered before
// the end begins, so AwaitEmpty alone waits until it has touched for the last time what goes away.
//
// Threads: any may enter; one at a time ends it. Each that has entered, also in vain, leaves. Cost:
// a locked instruction to enter and one to leave. Memory: 4 bytes.
//
// Orderings. Enter and Shut modify one word, so one of them comes first: Enter finds the gate shut,
// or AwaitEmpty finds the thread counted. Leave releases, and `empty` acquires, what was done
// inside. Open releases, and Enter acquires, what was done while nobody was. gate_explored_test
// weakens each.
#ifndef PLAIT_RUNTIME_CORE_GATE_H_
#define PLAIT_RUNTIME_CORE_GATE_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {

class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // --- whoever uses it ---

  // Whether it is open; a Leave follows anyway.
  bool Enter() noexcept { return (word_.fetch_add(kOne, kAcquire) & kShut) == 0; }
  void Leave() noexcept { word_.fetch_sub(kOne, kRelease); }

  // --- who ends it ---

  // Relaxed: who finds it shut touches nothing.
  void Shut() noexcept { word_.fetch_or(kShut, kRelaxed); }
  // After a Shut: there is more to do before the end.
  void Open() noexcept { word_.fetch_and(~kShut, kRelease); }
  // Returns when nobody is inside. Spins, so what is done inside is short.
  void AwaitEmpty() const noexcept {
    for (int round = 0; !empty(); ++round) SpinWait(round);
  }

  // --- any thread ---

  bool empty() const noexcept { return (word_.load(kAcquire) & ~kShut) == 0; }
  // As of now: it may be shut or opened the next moment.
  bool shut() const noexcept { return (word_.load(kRelaxed) & kShut) != 0; }

 private:
  static constexpr uint32_t kShut = 1;
  static constexpr uint32_t kOne = 2;  // somebody who is inside

  Atomic<uint32_t> word_{0};
};

// Inside of a gate that is not shut while it may be entered.
class [[nodiscard]] GateVisit {
 public:
  explicit GateVisit(Gate& gate) noexcept : gate_(gate) { static_cast<void>(gate_.Enter()); }
  GateVisit(const GateVisit&) = delete;
  GateVisit& operator=(const GateVisit&) = delete;
  ~GateVisit() { gate_.Leave(); }

 private:
  Gate& gate_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_GATE_H_
