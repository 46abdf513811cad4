// StreamState::AtHome: calls something where a stream is at home. As a rule it goes on there.
//
//   co_await StreamState::AtHome(*state.get(), [&] { state->Abort(); });
//
// Not cancelled. Cost: nothing where that is here, else a post.
#ifndef PLAIT_IO_NET_STREAM_AT_HOME_H_
#define PLAIT_IO_NET_STREAM_AT_HOME_H_

#include <coroutine>
#include <utility>

#include "plait/io/net/stream_state.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/home_wait.h"
#include "plait/runtime/task/promise.h"

namespace plait::internal {

template <class Step>
class [[nodiscard]] StreamState::AtHome final : private HomeWait {
 public:
  AtHome(StreamState& state, Step step) noexcept
      : HomeWait(&OnStop<&NotCancelled>), state_(state), step_(std::move(step)) {}

  bool await_ready() noexcept {
    if (state_.HomeElsewhere() != nullptr) return false;
    step_();
    return true;
  }
  template <PlaitPromise P>
  void await_suspend(std::coroutine_handle<P> waiter) noexcept {
    StartAt<&TakeStep, &NotCancelled>(waiter.promise(), *state_.HomeElsewhere(), kNote);
  }
  void await_resume() const noexcept {}

 private:
  static constexpr AwaitKind kKind{"its Stream's home"};
  static constexpr AwaitNote kNote{&kKind};

  static bool TakeStep(HomeWait& wait, PromiseBase&) noexcept {
    static_cast<AtHome&>(wait).step_();
    return false;
  }
  static bool NotCancelled(HomeWait&) noexcept { return false; }

  StreamState& state_;
  Step step_;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_AT_HOME_H_
