// RovingLock: a BiasedLock that can belong to one thread after another.
//
// A BiasedLock that another thread has taken is shared for good. That is right for what several
// threads use at once; what belongs to a task that now and then goes on on another thread, or to
// one side of a channel, is used by one thread for a long while and then by another. This lock is
// taken away like a BiasedLock, by a HeavyBarrier, and can be had again: by the thread that takes
// it often enough in a row. How often that is doubles each time that the owner has not used it as
// often as pays for what taking it away costs, and halves again when it has. So it costs what a
// SpinLock costs, and a few instructions, where threads take turns.
//
// The protocol is BiasedLock's, which see, with one difference: a thread that was about to enter
// when the lock was taken away says that it is inside, sees that it is not the owner any more, and
// takes that back, perhaps long after, when another thread owns it. So each has a word of its own
// to say so, a seat. There are kSeats, kept for the first threads that get so far; to others it
// never belongs.
//
// For critical sections as those of a SpinLock, but that two of them may be taken, in one order
// everywhere. Not recursive. Memory: 32 bytes.
#ifndef PLAIT_RUNTIME_CORE_ROVING_LOCK_H_
#define PLAIT_RUNTIME_CORE_ROVING_LOCK_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

class RovingLock {
 public:
  constexpr RovingLock() = default;
  RovingLock(const RovingLock&) = delete;
  RovingLock& operator=(const RovingLock&) = delete;

  // How it was taken, which Unlock must know: the owner's seat, or null for anybody else.
  using Hold = Atomic<bool>*;

  [[nodiscard]] Hold Lock() noexcept {
    const Hold seat = LockAsOwner();
    if (seat == nullptr) [[unlikely]]
      LockAsOther();
    return seat;
  }

  void Unlock(Hold hold) noexcept {
    if (hold != nullptr) [[likely]] {
      UnlockAsOwner(hold);
    } else {
      spin_.unlock();
    }
  }

  // The half of it that is worth having in line: null, and nothing was done, where the lock does
  // not belong to this thread; else it is held, until UnlockAsOwner.
  [[nodiscard, gnu::always_inline]] Hold LockAsOwner() noexcept {
    // Relaxed: only the thread itself makes it its own, so that what it reads here is its own write
    // or not its number.
    const uint64_t owner = owner_.load(kRelaxed);
    const uint64_t seat = owner - Owner(thread_serial, 0);
    if (seat >= kSeats) [[unlikely]]
      return nullptr;
    Atomic<bool>& inside = inside_[seat];
    PLAIT_DCHECK(!inside.load(kRelaxed), "a thread takes a lock that it has already");
    // Ordered before the next load by the barriers.
    inside.store(true, kRelaxed);
    LightBarrier();
    if (owner_.load(kRelaxed) == owner) [[likely]] {
      ++uses_;
      return &inside;
    }
    // Release, as in UnlockAsOwner: it is what who waits reads in place of what that wrote before.
    inside.store(false, kRelease);
    return nullptr;
  }
  // Release: what this thread wrote is visible to the one that takes the lock away from it.
  static void UnlockAsOwner(Hold seat) noexcept { seat->store(false, kRelease); }

 private:
  static constexpr uint64_t kSeats = 2;
  // No thread's: serials count up from 1. (The explorer's count down from the largest number.)
  static constexpr uint64_t kNobody = uint64_t{1} << 63;
  static constexpr uint64_t Owner(uint64_t serial, uint64_t seat) noexcept {
    return serial * kSeats + seat;
  }

#if defined(PLAIT_EXPLORE)
  // Soon, so that programs of a few steps come to what is done with an owned lock.
  static constexpr uint32_t kUses = 1;
#else
  static constexpr uint32_t kUses = 1024;
#endif
  // So many uses save what it costs to take the lock away.
  static constexpr uint32_t kWorth = 4 * kUses;
  static constexpr uint32_t kMostUses = kUses << 4;

  // Takes spin_, and sees whose the lock is to be.
  void LockAsOther() noexcept;
  // Holding spin_.
  void TakeAway() noexcept;
  void GiveToThisThread() noexcept;

  static constexpr uint8_t kNone = 0xff;

  // Changes under spin_ only; its owner looks at it without.
  Atomic<uint64_t> owner_{kNobody};
  Atomic<bool> inside_[kSeats] = {};  // who has the seat is in, or looks whether it may be
  SpinLock spin_;
  uint8_t seat_ = kNone;  // the owner's
  // The lowest bits of the serial of who has taken it last, which is a guess, while it is nobody's.
  uint32_t last_ = 0;
  uint32_t uses_ = 0;  // by that thread in a row, or by the owner
  uint32_t needed_ = kUses;
  uint32_t seats_[kSeats] = {};  // whose they are, by serial; 0: free
};

class [[nodiscard]] RovingLockHolder {
 public:
  explicit RovingLockHolder(RovingLock& lock) noexcept : lock_(lock), hold_(lock.Lock()) {}
  RovingLockHolder(const RovingLockHolder&) = delete;
  RovingLockHolder& operator=(const RovingLockHolder&) = delete;
  ~RovingLockHolder() { lock_.Unlock(hold_); }

 private:
  RovingLock& lock_;
  const RovingLock::Hold hold_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_ROVING_LOCK_H_
