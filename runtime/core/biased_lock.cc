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
  const uint64_t self = ThreadSerial();
  const uint64_t owner = owner_.load(kRelaxed);
  if (owner != kNobody && owner != TakenFrom(self)) {
    shared_ = true;
    return;
  }
  owned_ = true;
  owner_.store(self, kRelaxed);
}

void BiasedLock::ForgetThis() noexcept {
  if (owner_.load(kRelaxed) == ThreadSerial()) return;
  shared_ = owned_ = false;
  changes_ = 0;
}

void BiasedLock::TakeAway() noexcept {
  // Relaxed: the barrier orders it before the look at inside_.
  owner_.store(TakenFrom(owner_.load(kRelaxed)), kRelaxed);
  HeavyBarrier();
  // Acquire: what the owner wrote while it was in is visible here.
  for (int round = 0; inside_.load(kAcquire); ++round) SpinWait(round);
  shared_ = true;
}

}  // namespace plait::internal
