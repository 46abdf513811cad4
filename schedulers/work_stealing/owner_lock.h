// OwnerLock: a lock that one thread, its owner, takes all the time and others once in a while.
//
// The owner takes it by plain loads and stores, and others pay for that by a HeavyBarrier:
//
//     its owner                              another thread
//       inside_ = true                         takes others_
//       LightBarrier                           wanted_ = true
//       wanted_? leaves, and waits             HeavyBarrier
//       ...                                    waits until inside_ is false
//       inside_ = false                        ...
//                                              wanted_ = false, gives others_ back
//
// Either the owner sees that it is wanted, leaves and waits; or the other sees that the owner is
// inside, and waits. Where the system has no HeavyBarrier, the owner's first store and the other's
// are sequentially consistent, as are the loads that follow them: it costs the owner a locked
// instruction then.
//
// (BiasedLock finds out who its owner is, and has none any more when another has come.)
//
// For critical sections that never block, allocate, call out or take another lock, as SpinLock.
// Orderings: who leaves releases, and who enters acquires, what the lock guards; the owner also
// where it leaves to wait, as that is what the other reads in place of what Leave has written.
// owner_lock_explored_test weakens each. Cost: two stores and a load for its owner; 0.2 to 10 µs
// for others.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_OWNER_LOCK_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_OWNER_LOCK_H_

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {

class OwnerLock {
 public:
  // `light`: only where HeavyBarrierWorks.
  explicit OwnerLock(bool light = HeavyBarrierWorks()) noexcept : light_(light) {}
  OwnerLock(const OwnerLock&) = delete;
  OwnerLock& operator=(const OwnerLock&) = delete;

  // --- its owner ---

  // Calls `what`, a small function object, under the lock; gives what it gives.
  template <class What>
  [[gnu::always_inline]] auto Do(What what) noexcept {
    return TryEnter() ? DoAndLeave(what) : DoLater(what);
  }

  // --- any other thread ---

  void EnterAsOther() noexcept {
    others_.lock();
    wanted_.store(true, kSeqCst);
    if (light_) HeavyBarrier();
    for (int round = 0; inside_.load(kSeqCst); ++round) SpinWait(round);
  }
  void LeaveAsOther() noexcept {
    wanted_.store(false, kRelease);
    others_.unlock();
  }

 private:
  [[gnu::always_inline]] bool TryEnter() noexcept {
    if (light_) [[likely]] {
      inside_.store(true, kRelaxed);
      LightBarrier();
    } else {
      inside_.store(true, kSeqCst);
    }
    return !wanted_.load(kSeqCst);
  }
  template <class What>
  [[gnu::always_inline]] auto DoAndLeave(What& what) noexcept {
    const auto result = what();
    Leave();
    return result;
  }
  // Not in line, so that what is done under it needs no registers for it.
  template <class What>
  [[gnu::noinline]] auto DoLater(What what) noexcept {
    do AwaitOther();
    while (!TryEnter());
    return DoAndLeave(what);
  }
  void Leave() noexcept { inside_.store(false, kRelease); }
  void AwaitOther() noexcept {
    inside_.store(false, kRelease);
    for (int round = 0; wanted_.load(kRelaxed); ++round) SpinWait(round);
  }

  const bool light_;
  Atomic<bool> inside_{false};  // the owner is in, or looks whether it may be
  Atomic<bool> wanted_{false};  // by who holds others_
  SpinLock others_;
};

class [[nodiscard]] OthersHold {
 public:
  explicit OthersHold(OwnerLock& lock) noexcept : lock_(lock) { lock_.EnterAsOther(); }
  OthersHold(const OthersHold&) = delete;
  OthersHold& operator=(const OthersHold&) = delete;
  ~OthersHold() { lock_.LeaveAsOther(); }

 private:
  OwnerLock& lock_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_OWNER_LOCK_H_
