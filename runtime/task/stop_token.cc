#include "plait/runtime/task/stop_token.h"

#include <utility>

#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

inline bool StopState::TryLock(uint32_t& flags) noexcept {
  flags = flags_.load(kRelaxed) & ~kLocked;
  // Acquire pairs with Unlock's release: the list is as the last holder left it.
  return flags_.compare_exchange_strong(flags, flags | kLocked, kAcquire, kRelaxed);
}

inline uint32_t StopState::Lock() noexcept {
  uint32_t flags;
  for (int round = 0; !TryLock(flags); ++round) SpinWait(round);
  return flags;
}

void StopState::Unlink(StopNode*& first, StopNode& node) noexcept {
  if (node.next == &node) {
    first = nullptr;
  } else {
    node.previous->next = node.next;
    node.next_node()->previous = node.previous;
    if (first == &node) first = node.next_node();
  }
  node.previous = nullptr;
}

bool StopState::RegisterHere(StopNode& node) noexcept {
  const uint32_t flags = Lock();
  if ((flags & kRequested) != 0) {
    Unlock(flags);
    return false;
  }
  if (first_ == nullptr) {
    node.next = node.previous = &node;
    first_ = &node;
  } else {
    node.next = first_;
    node.previous = first_->previous;
    first_->previous->next = &node;
    first_->previous = &node;
  }
  Unlock(flags);
  return true;
}

bool StopState::TryUnregister(StopNode& node) noexcept {
  const uint32_t flags = Lock();
  const bool linked = node.previous != nullptr;
  if (linked) UnlinkWith(flags, node);
  Unlock(flags);
  return linked;
}

void StopState::Unregister(StopNode& node) noexcept {
  for (int round = 0;; ++round) {
    const uint32_t flags = Lock();
    if (node.previous != nullptr) {
      UnlinkWith(flags, node);
      Unlock(flags);
      return;
    }
    const Running* const running = RunningIn(flags);
    const bool elsewhere =
        running != nullptr && running->node == &node && running->thread != ThreadSerial();
    Unlock(flags);
    if (!elsewhere) return;
    SpinWait(round);
  }
}

bool StopState::RequestStop() noexcept {
  uint32_t flags = Lock();
  if ((flags & kRequested) != 0) {
    Unlock(flags);
    return false;
  }
  flags |= kRequested;
  Running running{.first = first_, .node = nullptr, .thread = ThreadSerial(), .state_gone = false};
  running_ = &running;
  while (StopNode* node = running.first) {
    Unlink(running.first, *node);
    running.node = node;
    Unlock(flags);
    node->run(*node);  // the node may be gone after this, and so may the state
    if (running.state_gone) return true;
    Lock();
    running.node = nullptr;
  }
  running_ = nullptr;
  Unlock(flags);
  return true;
}

bool StopState::AnyJoinRequested() const noexcept {
  const StopState* state = this;
  // What awaits the task may itself have been called by a join, which then is the one below.
  for (const CalledJoin* join = thread_state.joins; join != nullptr && &join->inner == state;
       join = join->below) {
    state = &join->outer;
    if (state->stop_requested_here()) return true;
  }
  return false;
}

void PassOn(CalledJoin& join) noexcept {
  StopNode* const link = std::exchange(join.link, nullptr);
  if (link != nullptr && !join.outer.RegisterHere(*link)) join.inner.RequestStop();
}

void StopState::PassJoins() noexcept {
  const StopState* state = this;
  for (CalledJoin* join = thread_state.joins; join != nullptr && &join->inner == state;
       join = join->below) {
    PassOn(*join);
    state = &join->outer;
  }
}

void PassAllJoins() noexcept {
  for (CalledJoin* join = thread_state.joins; join != nullptr; join = join->below) PassOn(*join);
}

}  // namespace plait::internal
