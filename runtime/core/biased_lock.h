// BiasedLock: a SpinLock that costs no locked instruction where one thread alone uses it.
//
// Most locks of most programs are only ever taken by one thread, which pays 5 ns each time for the
// possibility of another. This one counts. When one thread has taken it a thousand times in a row
// it belongs to that thread, which then takes it by plain loads and stores; the first other thread
// that comes takes it away again for good, by a HeavyBarrier, whose cost the thousand have saved.
//
//     nobody's --kUses times the same thread--> that thread's --another thread--> shared
//        \-----------kMaxChanges times another thread-----------------------------^
//
// Who comes seldom may have it forget that (ForgetThis): then the thread whose it was can earn it
// again.
//
// It is spin_ that is held, but by its owner, while it belongs to a thread:
//
//     its owner                              another thread
//       owner_ is mine?                        takes spin_
//       inside_ = true                         owner_ = kNobody
//       LightBarrier                           HeavyBarrier
//       owner_ still mine? it is held          waits until inside_ is false: it is held
//       ...                                    ...
//       inside_ = false                        gives spin_ back
//
// Either the owner sees at its second look that it is not the owner any more, leaves, and waits for
// spin_ as everybody does; or the other thread sees inside_, and waits. So one of them at a time is
// in. Who else comes meanwhile waits for spin_, too.
//
// For critical sections that never block, allocate, call out or take another lock, as SpinLock;
// like that one it is not recursive. Memory: 16 bytes.
#ifndef PLAIT_RUNTIME_CORE_BIASED_LOCK_H_
#define PLAIT_RUNTIME_CORE_BIASED_LOCK_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

class BiasedLock {
 public:
  constexpr BiasedLock() = default;
  BiasedLock(const BiasedLock&) = delete;
  BiasedLock& operator=(const BiasedLock&) = delete;

  // How it was taken, which Unlock must know.
  enum class Hold : bool { kSpin, kOwner };

  [[nodiscard]] Hold Lock() noexcept {
    if (LockAsOwner()) return Hold::kOwner;
    spin_.lock();
    if (!shared_) Learn();
    return Hold::kSpin;
  }

  // Lock only where that is this thread's, which costs next to nothing: false elsewhere. To be
  // unlocked as what the owner holds.
  [[nodiscard]] bool LockAsOwner() noexcept {
    // Relaxed: only the thread itself makes it its own, so that what it reads here is its own write
    // or not its serial.
    const uint64_t owner = owner_.load(kRelaxed);
    if (owner != thread_serial) return false;
    PLAIT_DCHECK(!inside_.load(kRelaxed), "a thread takes a lock that it has already");
    // Ordered before the next load by the barriers.
    inside_.store(true, kRelaxed);
    LightBarrier();
    if (owner_.load(kRelaxed) == owner) [[likely]]
      return true;
    // Release, as in Unlock: it is what who waits reads in place of what Unlock wrote before.
    inside_.store(false, kRelease);
    return false;
  }

  void Unlock(Hold hold) noexcept {
    if (hold == Hold::kOwner) {
      // Release: what this thread wrote is visible to the one that takes the lock away from it.
      inside_.store(false, kRelease);
    } else {
      spin_.unlock();
    }
  }

  // Under the lock: several threads use it, and it will never belong to one again, unless one of
  // them calls ForgetThis.
  bool shared() const noexcept { return shared_; }

  // Under the lock: that others than its owner use it is forgotten, unless that is the calling
  // thread. It may belong to a thread again, but never to a second one.
  void ForgetThis() noexcept;

  // Under the lock: makes it the calling thread's, where it is nobody's.
  void GiveToThisThread() noexcept;

 private:
  // No thread's serial: those count up from 1, and 0 is that of a thread that has none yet. (The
  // explorer's count down from the largest number.)
  static constexpr uint64_t kNobody = uint64_t{1} << 63;

#if defined(PLAIT_EXPLORE)
  // Soon both, so that programs of a few steps come to what is done with an owned lock, and with a
  // shared one.
  static constexpr uint16_t kUses = 1;
  static constexpr uint16_t kMaxChanges = 1;
#else
  // What taking it away costs is then less than what it has saved.
  static constexpr uint16_t kUses = 1024;
  // Some, as often one thread makes what another uses.
  static constexpr uint16_t kMaxChanges = 7;
#endif

  // Holds spin_.
  void Learn() noexcept;
  void TakeAway() noexcept;

  // What it says once it was taken away from `owner`. Nobody else may have it after that: the
  // owner may still be about to tell that it is not inside, which would be taken for the other's.
  static constexpr uint64_t TakenFrom(uint64_t owner) { return owner ^ kNobody; }

  // Changes under spin_ only; its owner looks at it without.
  Atomic<uint64_t> owner_{kNobody};
  Atomic<bool> inside_{false};  // its owner is in, or looks whether it may be
  SpinLock spin_;
  bool shared_ = false;
  bool owned_ = false;  // somebody's, until it is shared
  // While it is nobody's: the lowest bits of the serial of who has taken it last, which is a guess;
  // how often that one did, and how often it was another.
  uint16_t last_ = 0;
  uint16_t uses_ : 12 = 0;
  uint16_t changes_ : 4 = 0;
};

// Has the lock for as long as it lives.
class [[nodiscard]] BiasedLockHolder {
 public:
  explicit BiasedLockHolder(BiasedLock& lock) noexcept : lock_(lock), hold_(lock.Lock()) {}
  BiasedLockHolder(const BiasedLockHolder&) = delete;
  BiasedLockHolder& operator=(const BiasedLockHolder&) = delete;
  ~BiasedLockHolder() { lock_.Unlock(hold_); }

 private:
  BiasedLock& lock_;
  const BiasedLock::Hold hold_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_BIASED_LOCK_H_
