#include "plait/schedulers/work_stealing/worker_sleep.h"

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"

namespace plait::internal {

void WorkerSleep::Block(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept {
  // Waits no longer than this at once, as the system's clock could not count every deadline.
  constexpr absl::Duration kLongest = absl::Hours(24);
  if (in_reactor()) {
    reactor_->Poll(deadline, clock, ready);
    return;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  const auto woken = [this] { return state_.load(kRelaxed) != State::kParked; };
  if (deadline.is_infinite()) {
    wake_.wait(lock, woken);
  } else {
    const absl::Duration left = std::min(deadline.Since(clock.Now()), kLongest);
    wake_.wait_for(lock, absl::ToChronoNanoseconds(left), woken);
  }
}

void WorkerSleep::Wake() noexcept {
  switch (state_.exchange(State::kWoken, kRelease)) {
    case State::kInReactor:
      reactor_->Wake();
      return;
    case State::kParked: {
      // Between its last look at the state and its wait, the worker holds the lock.
      {
        const std::lock_guard<std::mutex> hold(mutex_);
      }
      wake_.notify_one();
      return;
    }
    case State::kAwake:
    case State::kWoken:
      return;
  }
}

}  // namespace plait::internal
