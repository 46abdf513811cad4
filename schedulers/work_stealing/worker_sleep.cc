#include "plait/schedulers/work_stealing/worker_sleep.h"

namespace plait::internal {

void WorkerSleep::Block(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept {
  // Once it was woken the state says so, and whatever it would sleep in was or is about to be woken
  // too: what comes of that later wakes it once in vain.
  switch (state_.load(kRelaxed)) {
    case State::kInReactor:
      reactor_->Poll(deadline, clock, ready);
      return;
    case State::kParked:
      parker_.Park(deadline, clock);
      return;
    case State::kAwake:
    case State::kWoken:
      return;
  }
}

void WorkerSleep::Wake() noexcept {
  switch (state_.exchange(State::kWoken, kSeqCst)) {
    case State::kInReactor:
      reactor_->Wake();
      return;
    case State::kParked:
      parker_.Wake();
      return;
    case State::kAwake:
    case State::kWoken:
      return;
  }
}

}  // namespace plait::internal
