// RingReactor: another thread polls it from now on. A ring knows the one thread that submits to it
// (IORING_SETUP_SINGLE_ISSUER), so that one gets a new ring, and what is in flight goes with it.
#include <unordered_set>
#include <utility>
#include <vector>

#include "plait/io/io_uring/ring_reactor.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {

void RingReactor::TakeOver() noexcept {
  if (owner_ != 0) {
    // What came for the old thread is kept; what has not come begins anew.
    multishots_.BeginMove();
    MoveOperations();
    ring_.Close();
    stalled_multishots_.clear();
    stalled_cancels_.clear();
    with_kernel_ = 0;
    pipe_writes_ = 0;
    wake_armed_ = false;
    const absl::Status opened = ring_.Open(options_);
    PLAIT_CHECK(opened.ok(), opened.ToString());
  }
  const bool again = std::exchange(owner_, ThreadSerial()) != 0;
  owner_number_ = ThreadNumber();
  const absl::Status enabled = ring_.Enable();
  PLAIT_CHECK(enabled.ok(), enabled.ToString());
  multishots_.Probe(ring_, options_.without);
  if (again) multishots_.Move(ring_);
  ArmWake();
}

// Operations are resumed by the thread that began them, in its Enter: when that is gone the kernel
// does not touch their memory any more, and does not complete them either (io_uring_task_cancel and
// PF_EXITING in the kernel's io_uring/; a thread of the kernel's own that is at work for it has
// ended first).
void RingReactor::MoveOperations() noexcept {
  constexpr int kPatientRounds = 100'000;  // a thread's end, where nobody has joined it
  moving_ = true;
  Reap();
  std::vector<IoOperation*> left;
  const auto add = [&left](const OperationList& in_kernel) {
    for (IoOperation* each = in_kernel.first; each != nullptr;
         each = static_cast<IoOperation*>(each->next)) {
      left.push_back(each);
    }
  };
  for (const auto& block : descriptors_) {
    for (size_t i = 0; block != nullptr && i < kPerBlock; ++i) add(block[i].in_kernel);
  }
  add(named_);
  if (!left.empty()) {
    for (int round = 0; ThreadIsThere(owner_number_) && round < kPatientRounds; ++round) {
      SpinWait(round);
    }
    PLAIT_CHECK(!ThreadIsThere(owner_number_),
                "a loop over io_uring was run on, or closed, by another thread while operations "
                "were in flight of one that has not ended");
    Reap();
  }
  ring_.ForEachUnsubmitted([this](const io_uring_sqe& entry) {
    const auto data = static_cast<uintptr_t>(entry.user_data);
    if ((data & kTags) != kOperation) return;
    // The address that went in with the request, without its tag.
    stalled_operations_.push_back(reinterpret_cast<IoOperation*>(data & ~uintptr_t{kTags}));
  });
  const std::unordered_set<IoOperation*> stalled(stalled_operations_.begin(),
                                                 stalled_operations_.end());
  for (IoOperation* const each : left) {
    // Some have come by the second Reap: those are in no list.
    if (each->reactor_slot[0] != nullptr && !stalled.contains(each)) MoveOperation(*each);
  }
  moving_ = false;
}

}  // namespace plait::internal
