#include "plait/runtime/core/biased_lock.h"

namespace plait::internal {

static_assert(sizeof(BiasedLock) == 16);

void BiasedLock::Learn() noexcept {
  if (owned_) {
    TakeAway();
    return;
  }
  const auto self = static_cast<uint16_t>(ThreadSerial());
  if (last_ != self) {
    if (last_ != 0 && ++changes_ == kMaxChanges) shared_ = true;
    last_ = self;
    uses_ = 0;
    return;
  }
  if (uses_ < kUses) {
    ++uses_;
  } else if (HeavyBarrierWorks()) {
    GiveToThisThread();
  }
}

void BiasedLock::GiveToThisThread() noexcept {
  if (shared_ || owned_) return;
  owned_ = true;
  owner_.store(ThreadSerial(), kRelaxed);
}

void BiasedLock::TakeAway() noexcept {
  // Relaxed: the barrier orders it before the look at inside_.
  owner_.store(kNobody, kRelaxed);
  HeavyBarrier();
  // Acquire: what the owner wrote while it was in is visible here.
  for (int round = 0; inside_.load(kAcquire); ++round) SpinWait(round);
  shared_ = true;
}

}  // namespace plait::internal
