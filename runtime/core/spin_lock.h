// SpinLock: a byte that guards a handful of instructions.
//
// For critical sections that never block, allocate, call out or take another lock; most of the
// runtime's are a list operation long. Uncontended it costs one locked instruction, as unlocking is
// a plain store. A waiter spins briefly and then gives up its time slice, so that a holder that was
// preempted can run.
#ifndef PLAIT_RUNTIME_CORE_SPIN_LOCK_H_
#define PLAIT_RUNTIME_CORE_SPIN_LOCK_H_

#include "plait/runtime/core/atomic.h"

namespace plait::internal {

// One step of a wait for another thread's handful of instructions: a CPU pause at first, a yield of
// the time slice later. `round` counts the caller's steps.
void SpinWait(int round) noexcept;

class SpinLock {
 public:
  constexpr SpinLock() = default;
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  void lock() noexcept {
    // Acquire: what the last holder wrote is visible here.
    if (locked_.exchange(true, kAcquire)) [[unlikely]]
      LockSlow();
  }
  // Release: what this holder wrote is visible to the next.
  void unlock() noexcept { locked_.store(false, kRelease); }

 private:
  void LockSlow() noexcept;

  Atomic<bool> locked_{false};
};

class [[nodiscard]] SpinLockHolder {
 public:
  explicit SpinLockHolder(SpinLock& lock) noexcept : lock_(lock) { lock_.lock(); }
  SpinLockHolder(const SpinLockHolder&) = delete;
  SpinLockHolder& operator=(const SpinLockHolder&) = delete;
  ~SpinLockHolder() { lock_.unlock(); }

 private:
  SpinLock& lock_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_SPIN_LOCK_H_
