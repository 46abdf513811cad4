#include "plait/io/io_uring/ring_reactor.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "plait/io/reactor/wait_time.h"
#include "plait/io/system/sigpipe.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/check.h"

namespace plait::internal {

// --- the ring ---

RingReactor::~RingReactor() {
  PLAIT_CHECK(in_flight() == 0, "a reactor was destroyed with operations in flight");
  blocking_.Retire();
  // Multishots that were stopped, and cancels: nobody waits for them, but their buffers are ours.
  // On another thread than the ring's the kernel is left to end them, which it does without
  // receiving anything more.
  constexpr int kMoments = 1000;
  const bool owned = owner_ == ThreadSerial();
  if (!owned) ring_.Unregister();  // what follows may try to enter it
  multishots_.Abandon();
  for (int i = 0; owned && i < kMoments && (multishots_.armed() > 0 || with_kernel_ > 0); ++i) {
    const timespec moment{.tv_sec = 0, .tv_nsec = 10'000'000};
    Enter(1, &moment);
    Reap();
  }
  ring_.Close();
  sys::Calls().Close(wake_);
}

io_uring_sqe* RingReactor::NextEntry() noexcept {
  io_uring_sqe* entry = ring_.NextEntry();
  if (entry == nullptr) [[unlikely]] {
    Enter(0, nullptr);
    entry = ring_.NextEntry();
  }
  return entry;
}

void RingReactor::ArmWake() noexcept {
  io_uring_sqe* const entry = NextEntry();
  if (entry == nullptr) return;  // with the next Poll
  io_uring_prep_poll_add(entry, wake_, POLLIN);
  if (!options_.without.multishot) entry->len = IORING_POLL_ADD_MULTI;
  entry->user_data = kWake;
  wake_armed_ = true;
}

// Before the kernel looks their numbers up, which may be others' by now.
void RingReactor::ForgetWhatIsGone() noexcept {
  some_may_be_gone_ = false;
  ring_.ForgetDescriptors([](const io_uring_sqe& entry) {
    const auto data = static_cast<uintptr_t>(entry.user_data);
    if ((data & kTags) != kMultishot) return false;
    // The address that went in with the request, without its tag.
    return reinterpret_cast<UringMultishot*>(data & ~uintptr_t{kTags})->descriptor_gone();
  });
}

int RingReactor::Enter(unsigned wait_for, const timespec* timeout) noexcept {
  if (some_may_be_gone_) [[unlikely]]
    ForgetWhatIsGone();
  const auto enter = [&]() noexcept { return ring_.Enter(wait_for, timeout); };
  // The kernel raises SIGPIPE in this thread for a pipe that nobody reads.
  const int entered = pipe_writes_ == 0 ? enter() : sys::WithoutSigpipe(enter);
  // Where it failed, or took some, the kernel may not know of them yet.
  if (entered >= 0 && ring_.submitted_all()) [[likely]]
    changed_descriptors_.clear();
  return entered;
}

void RingReactor::Reap() noexcept {
  ring_.Reap([this](const io_uring_cqe& completion) { Handle(completion); });
}

void RingReactor::Handle(const io_uring_cqe& completion) noexcept {
  const auto data = static_cast<uintptr_t>(completion.user_data);
  // The address that went in with the request, without its tag.
  void* const pointer = reinterpret_cast<void*>(data & ~uintptr_t{kTags});
  switch (data & kTags) {
    case kOperation:
      return Ended(*static_cast<IoOperation*>(pointer), completion);
    case kMultishot:
      if (!stalled_cancels_.empty() && (completion.flags & IORING_CQE_F_MORE) == 0) [[unlikely]] {
        std::erase(stalled_cancels_, data);
      }
      return multishots_.Completed(*static_cast<UringMultishot*>(pointer), completion);
    case kWake:
      woken_ = true;
      if ((completion.flags & IORING_CQE_F_MORE) == 0) {
        uint64_t wakes = 0;
        sys::Calls().Read(wake_, &wakes, sizeof(wakes));
        wake_armed_ = false;
      }
      return;
    default:
      --with_kernel_;
  }
}

void RingReactor::Poll(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept {
  Own();
  ServeBlocking();
  if (!wake_armed_) ArmWake();
  PutStalled();
  if (turns_before_registered_ > 0 && --turns_before_registered_ == 0) [[unlikely]]
    ring_.Register();
  Reap();
  const bool must_not_block = !completed_.empty() || deadline == Deadline::Immediate() || woken_ ||
                              !wake_armed_ || !blocking_.PrepareToSleep();
  const WaitTime wait = must_not_block ? WaitTime() : WaitTime(deadline, clock);
  if (!wait.none() || ring_.has_work()) {
    const int entered = Enter(wait.none() ? 0 : 1, wait.get());
    Reap();
    ServeBlocking();
    // Nothing is lost: what was not submitted goes with the next Poll.
    if (entered < 0) [[unlikely]] {
      AfterFailedWait("io_uring reactor: io_uring_enter", entered,
                      /*idle=*/completed_.empty() && deadline != Deadline::Immediate());
    }
  }
  woken_ = false;
  ready.Append(completed_);
  in_flight_ -= std::exchange(undelivered_, size_t{0});
}

// Should this thread end, the kernel tells nobody what came of these: an open would leave its
// descriptor behind. They end soon, but for an open of a pipe that has no other end.
void RingReactor::AwaitNamed() noexcept {
  if (owner_ != ThreadSerial() || !std::exchange(named_is_new_, false)) return;
  PutStalled();
  constexpr absl::Duration kAWhile = absl::Milliseconds(100);
  const Deadline end = Clock::Real().Now() + kAWhile;
  while (!named_.empty()) {
    const WaitTime wait(end, Clock::Real());
    if (wait.none()) return;
    Enter(1, wait.get());
    Reap();
  }
}

void RingReactor::Flush() noexcept {
  AwaitNamed();
  // What the kernel keeps for want of room, no other thread can fetch. And operations hold their
  // descriptors, whose owners wait for them; multishots do not.
  for (int i = 0; i < kPatience && (ring_.overflowed() || !changed_descriptors_.empty()); ++i) {
    Reap();
    Enter(0, nullptr);
  }
  some_may_be_gone_ = !changed_descriptors_.empty();
  // Another thread may go on, or destroy it, while this one does something else.
  ring_.Unregister();
  turns_before_registered_ = kTurnsBeforeRegistered;
  for (const auto& block : descriptors_) {
    for (size_t i = 0; block != nullptr && i < kPerBlock; ++i) block[i].stale = true;
  }
}

// --- multishots ---

Multishot* RingReactor::StartMultishot(IoOpcode opcode, int fd, MultishotOwner& owner) noexcept {
  Own();
  const bool can = opcode == IoOpcode::kAccept
                       ? multishots_.accepts()
                       : opcode == IoOpcode::kRead && multishots_.receives();
  return can ? multishots_.Start(ring_, opcode, fd, owner) : nullptr;
}

void RingReactor::Arm(UringMultishot& shots) noexcept {
  io_uring_sqe* const entry = NextEntry();
  if (entry == nullptr) {
    stalled_multishots_.push_back(&shots);
    return;
  }
  multishots_.Prepare(*entry, shots);
  // The kernel's word for us is a number, of which the tag is the lowest bits.
  entry->user_data = reinterpret_cast<uintptr_t>(&shots) | kMultishot;
  changed_descriptors_.push_back(shots.fd());
}

void RingReactor::Disarm(UringMultishot& shots) noexcept {
  const auto stalled = std::find(stalled_multishots_.begin(), stalled_multishots_.end(), &shots);
  if (stalled == stalled_multishots_.end()) {
    AskToCancel(reinterpret_cast<uintptr_t>(&shots) | kMultishot);  // the kernel's word for it
    if (shots.accepts()) changed_descriptors_.push_back(shots.fd());
    return;
  }
  stalled_multishots_.erase(stalled);
  EndUnarmed(shots);
}

void RingReactor::EndUnarmed(UringMultishot& shots) noexcept {
  io_uring_cqe cancelled{};
  cancelled.res = -ECANCELED;
  multishots_.Completed(shots, cancelled);
}

}  // namespace plait::internal
