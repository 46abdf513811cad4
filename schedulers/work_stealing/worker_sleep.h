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
// when the worker is about to wake up anyway makes it sleep once in vain at most. A worker that has
// no thread yet is asleep; its thread begins with End.
//
// Orderings. Wake releases and Begin and End acquire: who is woken sees what it was woken for. Wake
// acquires too: a reactor may have been made after the waker's thread had begun. For the same
// reason set_reactor releases, and reactor() acquires.
// Begin is sequentially consistent, as is asleep(): of a worker that falls asleep and somebody who
// asks whether all sleep, having said before that he wants to be told, one sees the other; and of
// several that fall asleep, the last sees that it is the last. So is End, for who falls asleep
// itself when all others do, and Wake, which is all that is heard of a worker without a thread.
// SleepWatch is the other side of these. worker_sleep_explored_test
// weakens each.
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
  // `reactor` may be null, and else outlives this. `begins_asleep`: the thread comes later.
  explicit WorkerSleep(Reactor* reactor, bool begins_asleep = false) noexcept
      : reactor_(reactor),
        reactor_for_others_(reactor),
        state_(begins_asleep ? State::kParked : State::kAwake) {}
  // Before the worker's thread begins.
  void set_reactor(Reactor* reactor) noexcept {
    reactor_ = reactor;
    reactor_for_others_.store(reactor, kRelease);
  }
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
  // The worker. It is awake; what it was woken for is visible.
  void End() noexcept { state_.exchange(State::kAwake, kSeqCst); }

  // Any thread.
  void Wake() noexcept;
  Reactor* reactor() const noexcept { return reactor_for_others_.load(kAcquire); }
  bool asleep() const noexcept {
    const State state = state_.load(kSeqCst);
    return state == State::kParked || state == State::kInReactor;
  }
  bool in_reactor() const noexcept { return state_.load(kRelaxed) == State::kInReactor; }

 private:
  enum class State : uint8_t { kAwake, kWoken, kParked, kInReactor };

  Reactor* reactor_;  // the worker's, and who has found it in there
  Atomic<Reactor*> reactor_for_others_;
  Atomic<State> state_;
  Parker parker_;
};

// Whether somebody waits for workers to fall asleep, or sleeps itself until one is awake.
//
//   who waits                         a worker; or another, who wakes it
//   ---------                         ----------------------------------
//   watch.Begin();                    sleep.Begin() or sleep.End(); or sleep.Wake()
//   until sleep.asleep() is so;       if (watch.on()) wake who waits;
//   watch.End();
//
// All of these are sequentially consistent: one of the two sees the other.
class SleepWatch {
 public:
  SleepWatch() = default;
  SleepWatch(const SleepWatch&) = delete;
  SleepWatch& operator=(const SleepWatch&) = delete;

  void Begin() noexcept { watchers_.fetch_add(1, kSeqCst); }
  // Who is told in vain now loses nothing.
  void End() noexcept { watchers_.fetch_sub(1, kRelaxed); }
  bool on() const noexcept { return watchers_.load(kSeqCst) > 0; }

 private:
  Atomic<int> watchers_{0};
};

// How often workers that had run something were about to sleep, so that the last to fall asleep
// knows whether each of the others, asleep in its reactor, has asked there since.
//
//   a worker that has run something          one that falls asleep in its reactor
//   -------------------------------          ------------------------------------
//   Note();                                  r = count();
//   sleep.Begin();                           ask the reactor, without waiting;
//                                            sleep.Begin();
//
// If r is what count() is when all sleep, that reactor was asked after the last item had run: Note
// releases what it did and count() acquires it.
class RestCount {
 public:
  RestCount() = default;
  RestCount(const RestCount&) = delete;
  RestCount& operator=(const RestCount&) = delete;

  void Note() noexcept { rests_.fetch_add(1, kRelease); }
  uint64_t count() const noexcept { return rests_.load(kAcquire); }

 private:
  Atomic<uint64_t> rests_{0};
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_WORKER_SLEEP_H_
