#include "plait/runtime/core/home_lock.h"

#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {

static_assert(sizeof(HomeLock) == 4);

inline bool HomeLock::TryLock(Bits& bits) noexcept {
  bits = bits_.load(kRelaxed) & static_cast<Bits>(~kLocked);
  // Acquire pairs with Unlock's release: all is as the last holder left it.
  return bits_.compare_exchange_strong(bits, bits | kLocked, kAcquire, kRelaxed);
}

HomeLock::Bits HomeLock::Lock() noexcept {
  Bits bits;
  for (int round = 0; !TryLock(bits); ++round) SpinWait(round);
  const Serial home = home_.load(kRelaxed);
  if (home == kNowhere || IsThisThread(home)) return bits;
  TakeAway();
  return bits | kTaken;
}

void HomeLock::TakeAway() noexcept {
  // Relaxed: the barrier orders it before the look at inside_.
  home_.store(kNowhere, kRelaxed);
  HeavyBarrier();
  // Acquire: all is as its home left it.
  for (int round = 0; inside_.load(kAcquire); ++round) SpinWait(round);
}

void HomeLock::MakeHome(Bits bits) noexcept {
  if ((bits & kTaken) != 0 || !HeavyBarrierWorks()) return;
  const auto self = static_cast<Serial>(ThreadSerial());
  if (IsThisThread(self)) home_.store(self, kRelaxed);
}

}  // namespace plait::internal
