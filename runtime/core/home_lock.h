// HomeLock: a spin lock of four bytes that costs no locked instruction on one thread, its home,
// which its user knows.
//
// What it is for there may be very many of, each at home on one thread that uses it again and
// again, while others come seldom. How that is done is told in biased_lock.h, which finds out by
// itself whose thread it is, and is larger:
//
//     its home                              another thread
//       home_ is mine?                        takes the bit kLocked
//       inside_ = true                        home_ = kNowhere
//       LightBarrier                          HeavyBarrier
//       home_ still mine? it is held          waits until inside_ is false: it is held
//       ...                                   ...
//       inside_ = false                       gives the bit back
//
// Once it was taken away from its home it has none ever again: that thread may still be about to
// say that it is not inside.
//
// Use: Enter, and where that gives false Lock; so what is done at home can be in line. The byte
// with the lock's bits has room for six of its user's.
//
//   if (!lock.Enter()) return AddLocked(item);     // Lock, add, Unlock
//   list.Add(item);
//   lock.Leave();
//
// For critical sections that never block, allocate, call out or take another lock; not recursive.
#ifndef PLAIT_RUNTIME_CORE_HOME_LOCK_H_
#define PLAIT_RUNTIME_CORE_HOME_LOCK_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

class HomeLock {
 public:
  // All that is in the byte, as Lock gives it and Unlock takes it back.
  using Bits = uint8_t;
  // Of these the user's own are his to change.
  static constexpr Bits kUserBits = 0xfc;

  constexpr HomeLock() = default;
  HomeLock(const HomeLock&) = delete;
  HomeLock& operator=(const HomeLock&) = delete;

  // True on its home, which then has it until it calls Leave.
  [[nodiscard]] bool Enter() noexcept {
    // Relaxed: only the thread itself makes it its own, so that what it reads here is its own write
    // or not its serial.
    const Serial home = home_.load(kRelaxed);
    if (home == kNowhere || !IsThisThread(home)) [[unlikely]]
      return false;
    // Ordered before the next load by the barriers.
    inside_.store(true, kRelaxed);
    LightBarrier();
    if (home_.load(kRelaxed) == home) [[likely]]
      return true;
    // Release, as in Leave: it is what who waits reads in place of what Leave wrote before.
    inside_.store(false, kRelease);
    return false;
  }
  // Release: what was done at home is visible to the thread that takes the lock away.
  void Leave() noexcept { inside_.store(false, kRelease); }

  // Any thread.
  Bits Lock() noexcept;
  // Release: what this holder wrote is visible to the next.
  void Unlock(Bits bits) noexcept { bits_.store(bits, kRelease); }

  // Under Lock, whose `bits` these are: this thread is its home, where it never had another and the
  // system can do it.
  void MakeHome(Bits bits) noexcept;

  // As they are now. Any thread. Acquire: what came before a bit was set is visible to who sees it.
  Bits bits() const noexcept { return bits_.load(kAcquire); }

 private:
  // A thread's, which is never 0; those that do not fit are at home nowhere. (The explorer's count
  // down from the largest number.)
  using Serial = uint16_t;
  static constexpr Serial kNowhere = 0;

  static constexpr Bits kLocked = 1;
  static constexpr Bits kTaken = 2;  // it had a home
  static_assert((kUserBits & (kLocked | kTaken)) == 0);

  static bool IsThisThread(Serial home) noexcept {
#if defined(PLAIT_EXPLORE)
    return home == static_cast<Serial>(thread_serial);
#else
    return home == thread_serial;
#endif
  }

  bool TryLock(Bits& bits) noexcept;
  void TakeAway() noexcept;

  Atomic<Serial> home_{kNowhere};  // changes under kLocked only
  Atomic<bool> inside_{false};     // its home is in, or looks whether it may be
  Atomic<Bits> bits_{0};
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_HOME_LOCK_H_
