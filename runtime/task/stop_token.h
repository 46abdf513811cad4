// Cooperative cancellation: a StopSource asks, StopTokens tell, StopCallbacks react.
//
// A request is made once and stays: whoever looks later sees it, and every suspended Plait
// operation of a task whose token is stopped ends promptly with absl::CancelledError. Nothing is
// ever torn down from outside; a task ends by returning.
//
//   plait::StopSource source;
//   plait::StopCallback on_stop(source.token(), [&] { queue.Close(); });
//   source.RequestStop();
//
// Threads: everything here may be used from any thread. Callbacks run on the thread that requests
// the stop, in the order of registration, inside RequestStop; they must not block. Destroying a
// StopCallback waits for its callback where that runs on another thread. Cost: registering and
// unregistering take one locked instruction each and allocate nothing. The protocol is that of
// C++20's std::stop_callback, over memory that the user owns. Most waits of a task take none where
// its executor has one thread; a stop request from another then costs a HeavyBarrier.
#ifndef PLAIT_RUNTIME_TASK_STOP_TOKEN_H_
#define PLAIT_RUNTIME_TASK_STOP_TOKEN_H_

#include <cstdint>
#include <utility>

#include "plait/runtime/core/home_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"

namespace plait {
namespace internal {

// What waits for a stop: intrusive, in one StopState at a time. `run` is called once, with no lock
// held, after the node was taken out of the list; from then on the node's links are free for `run`
// to use (to post itself somewhere, say).
struct StopNode : WorkItem {
  using WorkItem::WorkItem;

  StopNode* previous = nullptr;  // null when in no list

  StopNode* next_node() const { return static_cast<StopNode*>(next); }
};

// One source of cancellation. Whoever calls a method keeps it alive meanwhile; but what RequestStop
// runs may destroy it: an executor that runs what it is handed at once may end the coroutine that
// has it in its frame.
//
// The list is under a HomeLock: the tasks of an executor that has one thread wait there again and
// again, and are seldom stopped from elsewhere. It is given its home by the first wait.
class StopState {
 public:
  constexpr StopState() = default;
  StopState(const StopState&) = delete;
  StopState& operator=(const StopState&) = delete;
  ~StopState() {
    if (Running* const running = RunningIn(lock_.bits())) running->state_gone = true;
  }

  // Whether it was stopped, or is as good as that (CalledJoin).
  bool stop_requested() const noexcept {
    return stop_requested_here() || (thread_state.joins != nullptr && AnyJoinRequested());
  }
  // Whether RequestStop was called. Acquire: what came before the request is visible to whoever
  // sees it.
  bool stop_requested_here() const noexcept { return (lock_.bits() & kRequested) != 0; }

  // Runs the callbacks, unless that was done before; returns whether this call made the request.
  // The state may be gone then, see above.
  bool RequestStop() noexcept;

  // False, and nothing registered, when a stop was requested already.
  [[nodiscard]] bool Register(StopNode& node) noexcept {
    if (thread_state.joins != nullptr) [[unlikely]]
      PassJoins();
    return RegisterHere(node);
  }
  // The same on what should be the only thread that runs what this state stops.
  [[nodiscard]] bool RegisterOnOnlyThread(StopNode& node) noexcept {
    if (thread_state.joins != nullptr) [[unlikely]]
      PassJoins();
    if (!lock_.Enter()) [[unlikely]]
      return RegisterAndMakeHome(node);
    const bool registers = (lock_.bits() & kRequested) == 0;
    if (registers) [[likely]]
      Link(node);
    lock_.Leave();
    return registers;
  }

  // That where nothing is in the way, and it is this thread's already; else false, and nothing was
  // done. Calls nothing.
  [[nodiscard]] bool RegisterAtHome(StopNode& node) noexcept {
    if (thread_state.joins != nullptr || !lock_.Enter()) [[unlikely]]
      return false;
    const bool registers = (lock_.bits() & kRequested) == 0;
    if (registers) [[likely]]
      Link(node);
    lock_.Leave();
    return registers;
  }
  // Likewise, before Unregister.
  [[nodiscard]] bool UnregisterAtHome(StopNode& node) noexcept {
    if (!lock_.Enter()) return false;
    const bool linked = (lock_.bits() & kRequested) == 0;
    if (linked) [[likely]]
      Unlink(first_, node);
    lock_.Leave();
    return linked;
  }

  // From now on a stop request of those that await the task, whose state this is, is passed on to
  // it, whether it looks or not: before others are told of this state (CalledJoin).
  void PassJoins() noexcept;

  // After this the callback does not run and has not begun to, or has ended, or this is its own
  // thread.
  void Unregister(StopNode& node) noexcept;

  // Like Unregister, but never waits: false means that the callback has run, runs or is about to.
  [[nodiscard]] bool TryUnregister(StopNode& node) noexcept {
    if (!lock_.Enter()) [[unlikely]]
      return TryUnregisterLocked(node);
    const bool linked = node.previous != nullptr;
    if (linked) [[likely]]
      UnlinkWith(lock_.bits(), node);
    lock_.Leave();
    return linked;
  }

 private:
  bool AnyJoinRequested() const noexcept;
  bool RegisterHere(StopNode& node) noexcept;
  friend void PassOn(CalledJoin& join) noexcept;

  struct Running {
    StopNode* first;       // those whose callbacks are still to run
    const StopNode* node;  // whose callback runs now; only compared, never followed
    uint64_t thread;       // that runs it: its ThreadSerial
    bool state_gone;       // the callback has destroyed the state
  };

  using Bits = HomeLock::Bits;
  static constexpr Bits kRequested = 4;
  static_assert((HomeLock::kUserBits & kRequested) == kRequested);

  bool RegisterAndMakeHome(StopNode& node) noexcept;
  bool RegisterWith(Bits bits, StopNode& node) noexcept;
  bool TryUnregisterLocked(StopNode& node) noexcept;
  // With the lock, whose bits these are.
  Running* RunningIn(Bits bits) const noexcept {
    return (bits & kRequested) != 0 ? running_ : nullptr;
  }
  void Link(StopNode& node) noexcept {
    if (first_ == nullptr) [[likely]] {
      node.next = node.previous = &node;
      first_ = &node;
    } else {
      node.next = first_;
      node.previous = first_->previous;
      first_->previous->next = &node;
      first_->previous = &node;
    }
  }
  void UnlinkWith(Bits bits, StopNode& node) noexcept {
    Running* const running = RunningIn(bits);
    Unlink(running != nullptr ? running->first : first_, node);
  }
  static void Unlink(StopNode*& first, StopNode& node) noexcept {
    if (node.next == &node) [[likely]] {
      first = nullptr;
    } else {
      node.previous->next = node.next;
      node.next_node()->previous = node.previous;
      if (first == &node) first = node.next_node();
    }
    node.previous = nullptr;
  }

  // One word, as every task has it: nobody registers any more once a stop was requested.
  union {
    StopNode* first_ = nullptr;  // before: a ring, first_->previous is the last
    Running* running_;           // from then on: while RequestStop runs callbacks; on its stack
  };
  HomeLock lock_;  // last: who has a state goes on in its padding
};

// Passes a stop on to another state.
struct StopLink : StopNode {
  explicit StopLink(StopState& state) noexcept
      : StopNode(+[](WorkItem& item) noexcept { static_cast<StopLink&>(item).to.RequestStop(); }),
        to(state) {}

  StopState& to;
};

// A join that has called the task it awaits (join_handle.h), which runs on the stack of this
// thread, above the join. A stop of who awaits it is to reach the task; but while it runs nobody
// but itself asks whether it has, and mostly it ends before anybody has to know. So the join
// registers nothing with the outer state. Instead the task, on this thread, looks at the outer
// state too when it looks at its own; and the join is registered after all when something wants to
// be told of a stop of the task's, when others get its token, and when it waits.
struct CalledJoin {
  StopState* inner;   // of the task that is called
  StopState* outer;   // of the coroutine that awaits it
  StopLink* link;     // room for one, which stops `inner`; null once `outer` has it
  CalledJoin* below;  // the one that was called before, on this stack
};

// Registers all of this thread's: before work that was begun in them is given to another.
void PassAllJoins() noexcept;

}  // namespace internal

// A view of a StopSource's or a task's stop state; valid as long as that lives. Copy it freely.
class StopToken {
 public:
  // A token that is never stopped.
  constexpr StopToken() = default;
  constexpr explicit StopToken(internal::StopState* state) : state_(state) {}

  bool stop_requested() const noexcept { return state_ != nullptr && state_->stop_requested(); }
  bool stop_possible() const noexcept { return state_ != nullptr; }

 private:
  template <class F>
  friend class StopCallback;

  internal::StopState* state_ = nullptr;
};

// Owns the state; outlives its tokens and their callbacks.
class StopSource {
 public:
  StopSource() = default;

  StopToken token() noexcept { return StopToken(&state_); }
  bool stop_requested() const noexcept { return state_.stop_requested(); }
  // Returns whether this call was the first.
  bool RequestStop() noexcept { return state_.RequestStop(); }

 private:
  internal::StopState state_;
};

// Calls `f()` once when a stop is requested; at once, in the constructor, when it was already.
template <class F>
class [[nodiscard]] StopCallback : private internal::StopNode {
 public:
  StopCallback(StopToken token, F f)
      : StopNode(+[](WorkItem& item) noexcept { static_cast<StopCallback&>(item).f_(); }),
        state_(token.state_),
        f_(std::move(f)) {
    if (state_ != nullptr && !state_->Register(*this)) {
      state_ = nullptr;
      f_();
    }
  }
  ~StopCallback() {
    if (state_ != nullptr) state_->Unregister(*this);
  }

 private:
  internal::StopState* state_;
  F f_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_STOP_TOKEN_H_
