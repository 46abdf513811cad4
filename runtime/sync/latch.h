// Latch: opens once a number of things have happened, and stays open.
//
//   plait::Latch loaded(3);
//   // in three tasks:
//   loaded.CountDown();
//   // in others:
//   co_await plait::OrReturn(loaded.Wait());
//
// Cancellation: a cancelled Wait or ArriveAndWait gives absl::CancelledError; what it counted down
// stays counted. A Wait on an open latch succeeds in a cancelled task too. Threads: any; what came
// before a CountDown is visible after the Wait. Lifetime: the latch outlives whoever waits (CHECK),
// until that has gone on: the last of them may destroy it. Errors: a count that is negative, or
// would become so, is a programming error (CHECK). Cost: a CountDown is a locked instruction;
// nothing allocates.
#ifndef PLAIT_RUNTIME_SYNC_LATCH_H_
#define PLAIT_RUNTIME_SYNC_LATCH_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/sync/event.h"

namespace plait {

class Latch {
 public:
  // Opens after so many counts; at once if that is 0. Not negative (CHECK).
  explicit Latch(int64_t count);
  Latch(const Latch&) = delete;
  Latch& operator=(const Latch&) = delete;

  // `n` of them have happened: not negative and not more than are left (CHECK).
  void CountDown(int64_t n = 1);

  // co_await: an absl::Status, OK once the latch is open.
  auto Wait() noexcept { return open_.Wait(); }

  // CountDown(1), at once, and what it returns is Wait: co_await it.
  auto ArriveAndWait() {
    CountDown();
    return Wait();
  }

  bool IsOpen() const noexcept { return open_.IsSet(); }
  // How many are left. Of use in reports only: it may have changed already.
  int64_t count() const noexcept { return count_.load(internal::kRelaxed); }

 private:
  internal::Atomic<int64_t> count_;
  Event open_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_LATCH_H_
