#include "plait/runtime/core/roving_lock.h"

#include <algorithm>

namespace plait::internal {

static_assert(sizeof(RovingLock) == 32);

namespace {

// Whether the lowest bits of a serial tell it from all others that they do: so it is of the first
// two billion threads, and of the explorer's.
bool IsTold(uint64_t serial, uint32_t lowest) noexcept {
  return serial == static_cast<uint64_t>(int64_t{static_cast<int32_t>(lowest)});
}

}  // namespace

void RovingLock::LockAsOther() noexcept {
  spin_.lock();
  if (seat_ != kNone) [[unlikely]]
    TakeAway();
  const auto self = static_cast<uint32_t>(ThreadSerial());
  if (last_ != self) {
    last_ = self;
    uses_ = 0;
  } else if (++uses_ > needed_) [[unlikely]] {
    GiveToThisThread();
  }
}

void RovingLock::GiveToThisThread() noexcept {
  const uint64_t serial = ThreadSerial();
  const auto name = static_cast<uint32_t>(serial);
  uses_ = 0;
  for (uint8_t seat = 0; seat < kSeats; ++seat) {
    if (seats_[seat] != 0 && seats_[seat] != name) continue;
    if (!HeavyBarrierWorks() || !IsTold(serial, name)) break;
    seats_[seat] = name;
    seat_ = seat;
    owner_.store(Owner(serial, seat), kRelaxed);
    return;
  }
}

void RovingLock::TakeAway() noexcept {
  // Relaxed: the barrier orders it before the look at inside_.
  owner_.store(kNobody, kRelaxed);
  HeavyBarrier();
  // Acquire: what the owner wrote while it was in is visible here.
  for (int round = 0; inside_[seat_].load(kAcquire); ++round) SpinWait(round);
  seat_ = kNone;
  needed_ = uses_ >= kWorth ? std::max(needed_ / 2, kUses) : std::min(needed_ * 2, kMostUses);
  uses_ = 0;
}

}  // namespace plait::internal
