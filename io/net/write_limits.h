// WriteLimits: how much may wait to be sent before a protocol is asked to pause, and how little
// before it is asked to go on. Internal to io/net; see protocol.h.
#ifndef PLAIT_IO_NET_WRITE_LIMITS_H_
#define PLAIT_IO_NET_WRITE_LIMITS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace plait::internal {

class WriteLimits {
 public:
  enum class Change { kNone, kPause, kResume };

  static constexpr size_t kDefaultHigh = 64 * 1024;
  static constexpr size_t kDefaultLow = kDefaultHigh / 4;

  size_t unsent() const noexcept { return unsent_; }

  Change Add(size_t bytes) noexcept {
    unsent_ += bytes;
    return Update();
  }
  Change Remove(size_t bytes) noexcept {
    unsent_ -= bytes;
    return Update();
  }
  // InvalidArgument when low > high; nothing has changed then.
  absl::Status Set(size_t high, size_t low) {
    if (low > high) {
      return absl::InvalidArgumentError(
          absl::StrCat("write limits: the low one, ", low, ", is above the high one, ", high));
    }
    high_ = high;
    low_ = low;
    return absl::OkStatus();
  }
  // What the limits, or what waits, ask for now.
  Change Update() noexcept {
    if (!paused_ && unsent_ > high_) {
      paused_ = true;
      return Change::kPause;
    }
    if (paused_ && unsent_ <= low_) {
      paused_ = false;
      return Change::kResume;
    }
    return Change::kNone;
  }

 private:
  size_t unsent_ = 0;
  size_t high_ = kDefaultHigh;
  size_t low_ = kDefaultLow;
  bool paused_ = false;
};

// Calls OnPauseWriting or OnResumeWriting.
template <class P>
void Tell(P& protocol, WriteLimits::Change change) {
  if (change == WriteLimits::Change::kPause) protocol.OnPauseWriting();
  if (change == WriteLimits::Change::kResume) protocol.OnResumeWriting();
}

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_WRITE_LIMITS_H_
