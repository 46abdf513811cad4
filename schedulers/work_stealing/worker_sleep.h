// WorkerSleep: how a worker of a pool sleeps, in its reactor or without one, and is woken.
//
//             Begin                     Block returns
//   awake ------------> asleep (where) ---------------+
//     |  ^                 |                          |
//     |  +--- End ---------|--------------------------+
//     | Wake               | Wake, which then ends the sleep
//     v                    v
//   woken <----------------+          (Begin fails once, End makes it awake)
//
// A wake-up that comes before the sleep has begun is kept for it, so none is lost; one that comes
// when the worker is about to wake up anyway makes it sleep once in vain at most.
//
// Orderings. Wake releases and Begin and End acquire: who is woken sees what it was woken for. Wake
// acquires too: a reactor may have been made after the waker's thread had begun.
// Begin is sequentially consistent, as is asleep(): of a worker that falls asleep and somebody who
// asks whether all sleep, having said before that he wants to be told, one sees the other; and of
// several that fall asleep, the last sees that it is the last. So is End, for who falls asleep
// itself when all others do (pool_monitor.h). worker_sleep_explored_test weakens each.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_WORKER_SLEEP_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_WORKER_SLEEP_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/parker.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {

class WorkerSleep {
 public:
  // `reactor` may be null, and else outlives this.
  explicit WorkerSleep(Reactor* reactor) noexcept : reactor_(reactor) {}
  // Before the worker's thread begins.
  void set_reactor(Reactor* reactor) noexcept { reactor_ = reactor; }
  WorkerSleep(const WorkerSleep&) = delete;
  WorkerSleep& operator=(const WorkerSleep&) = delete;

  // The worker. False when it was woken already; it is awake then.
  [[nodiscard]] bool Begin(bool in_reactor) noexcept {
    State awake = State::kAwake;
    if (state_.compare_exchange_strong(awake, in_reactor ? State::kInReactor : State::kParked,
                                       kSeqCst, kRelaxed)) {
      return true;
    }
    // An exchange, so that of several wake-ups each one's reason is seen.
    End();
    return false;
  }
  // The worker, asleep: until it is woken, `deadline` has come or its reactor has something, which
  // goes to `ready`. May return early.
  void Block(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept;
  // The worker. It is awake.
  void End() noexcept { state_.exchange(State::kAwake, kSeqCst); }

  // Any thread.
  void Wake() noexcept;
  bool asleep() const noexcept {
    const State state = state_.load(kSeqCst);
    return state == State::kParked || state == State::kInReactor;
  }
  bool in_reactor() const noexcept { return state_.load(kRelaxed) == State::kInReactor; }

 private:
  enum class State : uint8_t { kAwake, kWoken, kParked, kInReactor };

  Reactor* reactor_;
  Atomic<State> state_{State::kAwake};
  Parker parker_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_WORKER_SLEEP_H_
