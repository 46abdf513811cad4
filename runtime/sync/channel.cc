#include "plait/runtime/sync/channel.h"

namespace plait::internal {

ChannelBase::~ChannelBase() {
  PLAIT_CHECK(senders_.empty() && receivers_.empty(),
              "a Channel was destroyed while a task waits on it");
}

size_t ChannelBase::CheckedCapacity(size_t capacity) {
  PLAIT_CHECK(capacity > 0, "a Channel needs a capacity of at least 1");
  PLAIT_CHECK(capacity <= size_t{1} << 40,
              "a Channel's capacity is memory that it takes at once; for more than 2^40 items, use "
              "an unbounded Queue");
  return capacity;
}

void ChannelBase::BecomeShared() noexcept {
  senders_wait_.store(!senders_.empty(), kRelaxed);
  receivers_wait_.store(!receivers_.empty(), kRelaxed);
  // Release: the flags, and what was done alone, are visible to who sees it.
  shared_.store(true, kRelease);
}

absl::Status ChannelBase::Closed() {
  return absl::FailedPreconditionError("the channel is closed");
}
absl::Status ChannelBase::Full() { return absl::ResourceExhaustedError("the channel is full"); }
absl::Status ChannelBase::Empty() { return absl::UnavailableError("the channel is empty"); }
absl::Status ChannelBase::SendCancelled() { return absl::CancelledError("the Send was cancelled"); }
absl::Status ChannelBase::ReceiveCancelled() {
  return absl::CancelledError("the Receive was cancelled");
}

}  // namespace plait::internal
