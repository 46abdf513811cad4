#include "plait/runtime/task/stop_token.h"

#include <new>
#include <utility>

#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

bool StopState::RegisterWith(Bits bits, StopNode& node) noexcept {
  const bool registers = (bits & kRequested) == 0;
  if (registers) Link(node);
  lock_.Unlock(bits);
  return registers;
}

bool StopState::RegisterHere(StopNode& node) noexcept { return RegisterWith(lock_.Lock(), node); }

bool StopState::RegisterAndMakeHome(StopNode& node) noexcept {
  const Bits bits = lock_.Lock();
  lock_.MakeHome(bits);
  return RegisterWith(bits, node);
}

bool StopState::TryUnregisterLocked(StopNode& node) noexcept {
  const Bits bits = lock_.Lock();
  const bool linked = node.previous != nullptr;
  if (linked) UnlinkWith(bits, node);
  lock_.Unlock(bits);
  return linked;
}

void StopState::Unregister(StopNode& node) noexcept {
  for (int round = 0;; ++round) {
    const Bits bits = lock_.Lock();
    if (node.previous != nullptr) {
      UnlinkWith(bits, node);
      lock_.Unlock(bits);
      return;
    }
    const Running* const running = RunningIn(bits);
    const bool elsewhere =
        running != nullptr && running->node == &node && running->thread != ThreadSerial();
    lock_.Unlock(bits);
    if (!elsewhere) return;
    SpinWait(round);
  }
}

bool StopState::RequestStop() noexcept {
  Bits bits = lock_.Lock();
  if ((bits & kRequested) != 0) {
    lock_.Unlock(bits);
    return false;
  }
  bits |= kRequested;
  Running running{.first = first_, .node = nullptr, .thread = ThreadSerial(), .state_gone = false};
  running_ = &running;
  while (StopNode* node = running.first) {
    Unlink(running.first, *node);
    running.node = node;
    lock_.Unlock(bits);
    node->run(*node);  // the node may be gone after this, and so may the state
    if (running.state_gone) return true;
    bits = lock_.Lock();
    running.node = nullptr;
  }
  running_ = nullptr;
  lock_.Unlock(bits);
  return true;
}

bool StopState::AnyJoinRequested() const noexcept {
  const StopState* state = this;
  // What awaits the task may itself have been called by a join, which then is the one below.
  for (const CalledJoin* join = thread_state.joins; join != nullptr && join->inner == state;
       join = join->below) {
    state = join->outer;
    if (state->stop_requested_here()) return true;
  }
  return false;
}

void PassOn(CalledJoin& join) noexcept {
  StopLink* const room = std::exchange(join.link, nullptr);
  if (room == nullptr) return;
  auto* const link = ::new (static_cast<void*>(room)) StopLink(*join.inner);
  if (!join.outer->RegisterHere(*link)) join.inner->RequestStop();
}

void StopState::PassJoins() noexcept {
  const StopState* state = this;
  for (CalledJoin* join = thread_state.joins; join != nullptr && join->inner == state;
       join = join->below) {
    PassOn(*join);
    state = join->outer;
  }
}

void PassAllJoins() noexcept {
  for (CalledJoin* join = thread_state.joins; join != nullptr; join = join->below) PassOn(*join);
}

}  // namespace plait::internal
