#include "plait/runtime/sync/channel.h"

#include <algorithm>

#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/worker.h"

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

namespace {

// Others can go on here meanwhile.
bool SomethingIsReadyHere() noexcept {
  const ThreadState& thread = thread_state;
  return (thread.local_ready != nullptr && !thread.local_ready->empty()) ||
         (thread.worker != nullptr && thread.worker->HasReady());
}

}  // namespace

bool ChannelBase::ChangesSoon(RingEnd& mine, const RingEnd& other, uint64_t lead,
                              uint64_t capacity) const noexcept {
  // In pauses of the processor, of which one is some 20 ns. A look takes the line of the other
  // end's count, and those of items, away from the other side's thread; so where items come one
  // after another, the first look comes as late as it takes many of them to gather. Where they come
  // one by one, it comes soon.
  constexpr uint32_t kSoonest = 8;
  constexpr uint32_t kLatest = 128;
  constexpr uint64_t kOneByOne = 2;
  const uint64_t many = std::min<uint64_t>(128, capacity / 4);
  // All in all: so that it outlasts a HeavyBarrier of the other side.
  constexpr uint32_t kAllPauses = 640;
  // Where it was in vain, it is tried again after so many items, and then twice as many.
  constexpr uint64_t kItemsBetween = 64;
  constexpr uint32_t kMostDoublings = 8;
  static const bool alone = HardwareThreads() == 1;

  if (alone || closed_.load(kRelaxed)) return false;
  const uint64_t passed = mine.passed.load(kRelaxed);
  if (static_cast<int64_t>(passed - mine.next_look.load(kRelaxed)) < 0) return false;
  if (SomethingIsReadyHere()) return false;

  const uint32_t in_vain = mine.in_vain.load(kRelaxed);
  const uint32_t pauses = std::max(mine.pauses.load(kRelaxed), kSoonest);
  for (uint32_t all = 0; all < kAllPauses; all += pauses) {
    for (uint32_t i = 0; i < pauses; ++i) SpinWait(0);
    const uint64_t gathered = other.passed.load(kRelaxed) + lead - passed;
    if (gathered == 0) continue;
    // Where items come one by one, each costs a look: others are to have their turn in time. At the
    // next await: this one goes on at once, as Select takes one that yields for one that waits.
    int& budget = thread_state.budget;
    budget = std::min(budget, std::max(budget - static_cast<int>((all + pauses) / 8), 0));
    if (in_vain != 0) mine.in_vain.store(0, kRelaxed);
    mine.pauses.store(gathered <= kOneByOne || gathered >= many ? std::max(pauses / 2, kSoonest)
                                                                : std::min(pauses * 2, kLatest),
                      kRelaxed);
    return true;
  }
  mine.next_look.store(passed + (kItemsBetween << in_vain), kRelaxed);
  mine.in_vain.store(std::min(in_vain + 1, kMostDoublings), kRelaxed);
  return false;
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
