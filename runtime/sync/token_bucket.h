// TokenBucket: a rate limiter: so many a second, and so many at once.
//
//   plait::TokenBucket limit(/*per_second=*/50, /*burst=*/10);
//   co_await plait::OrReturn(limit.Acquire());           // waits until it is this one's turn
//   co_await Request(url);
//
// The bucket holds up to `burst` tokens, is full at first, and gets `per_second` of them a second.
// An Acquire takes tokens, and waits by the clock until there are enough. Exact: of tokens that are
// taken as soon as they can be, the k-th after the first `burst` is there k / per_second seconds
// after the bucket was last full, rounded up to a nanosecond once and not k times.
//
// Fairness: FIFO, also among Acquires of different sizes. Cancellation: a cancelled Acquire gives
// absl::CancelledError and has taken nothing, so those behind it do not wait for it. Errors: asking
// for a negative number of tokens, or for more than `burst`, which would never be there, gives
// InvalidArgument; waiting on an executor without timers FailedPrecondition. A rate that is zero,
// negative, NaN or infinite, or a burst below 1, is a programming error (CHECK): ask Validate first
// about numbers that a user gave. Threads: any, as long as the executors' clocks are the same one.
// Lifetime: the bucket outlives whoever waits. Cost: a Task an Acquire, so one pooled frame.
#ifndef PLAIT_RUNTIME_SYNC_TOKEN_BUCKET_H_
#define PLAIT_RUNTIME_SYNC_TOKEN_BUCKET_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/task/task.h"

namespace plait {

class TokenBucket {
 public:
  explicit TokenBucket(double per_second, int64_t burst = 1);
  TokenBucket(const TokenBucket&) = delete;
  TokenBucket& operator=(const TokenBucket&) = delete;

  // InvalidArgument, with what is wrong, for numbers that the constructor would refuse.
  static absl::Status Validate(double per_second, int64_t burst = 1);

  // co_await: OK once `tokens` were there and were taken.
  Task<absl::Status> Acquire(int64_t tokens = 1);

  // Without waiting: Unavailable, and nothing is taken, when there are too few or when others wait.
  // Goes by the clock of the executor that it is called on, or by `clock` outside of one.
  absl::Status TryAcquire(int64_t tokens = 1, Clock& clock = Clock::Real());

  double per_second() const noexcept { return per_second_; }
  int64_t burst() const noexcept { return burst_; }

 private:
  class InQueue;

  absl::Status Refusal(int64_t tokens) const;
  // How long it takes until so many more than the bucket holds have come.
  absl::Duration TimeFor(int64_t tokens) const;
  // Takes the tokens and gives zero, or gives how long they are still away. Under lock_.
  absl::Duration TakeOrWait(Deadline now, int64_t tokens);
  // The first look of an Acquire: whether it was served; else it is in the queue.
  bool TakeOrQueue(Deadline now, int64_t tokens);

  const double per_second_;
  const int64_t burst_;
  Mutex turn_;  // held by the first of those who wait, while it sleeps

  internal::SpinLock lock_;  // guards what follows
  int queued_ = 0;           // those who wait: nobody passes them
  Deadline full_;            // when the bucket was last full
  int64_t taken_ = 0;        // since then
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_TOKEN_BUCKET_H_
