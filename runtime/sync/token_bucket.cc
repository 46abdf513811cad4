#include "plait/runtime/sync/token_bucket.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/time/sleep.h"

namespace plait {

using internal::SpinLockHolder;

namespace {

Clock& ClockHere(Clock& otherwise) {
  Worker* const worker = Worker::Current();
  return worker == nullptr ? otherwise : worker->clock();
}

}  // namespace

// An Acquire that waits, for as long as it does.
class TokenBucket::InQueue {
 public:
  explicit InQueue(TokenBucket& bucket) : bucket_(bucket) {}
  InQueue(const InQueue&) = delete;
  InQueue& operator=(const InQueue&) = delete;
  ~InQueue() {
    SpinLockHolder hold(bucket_.lock_);
    --bucket_.queued_;
  }

 private:
  TokenBucket& bucket_;
};

absl::Status TokenBucket::Validate(double per_second, int64_t burst) {
  if (!std::isfinite(per_second) || per_second <= 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a TokenBucket needs a rate above 0 and below infinity, not ", per_second, " a second"));
  }
  if (burst < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a TokenBucket needs a burst of at least 1, not ", burst));
  }
  return absl::OkStatus();
}

TokenBucket::TokenBucket(double per_second, int64_t burst)
    : per_second_(per_second), burst_(burst) {
  const absl::Status valid = Validate(per_second, burst);
  PLAIT_CHECK(valid.ok(), valid.ToString());
}

absl::Status TokenBucket::Refusal(int64_t tokens) const {
  if (tokens < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("TokenBucket: the number of tokens is negative: ", tokens));
  }
  if (tokens > burst_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "TokenBucket: ", tokens, " tokens are never there at once: the burst is ", burst_));
  }
  return absl::OkStatus();
}

absl::Duration TokenBucket::TimeFor(int64_t tokens) const {
  const double nanos = std::ceil(static_cast<double>(tokens) * 1e9 / per_second_);
  constexpr double kCenturies = 9e18;
  return nanos < kCenturies ? absl::Nanoseconds(static_cast<int64_t>(nanos))
                            : absl::InfiniteDuration();
}

absl::Duration TokenBucket::TakeOrWait(Deadline now, int64_t tokens) {
  // Later than full: the count begins anew. (At the very moment when it is full it goes on, or the
  // rounding to nanoseconds would add up.)
  if (taken_ == 0 || now > full_ + TimeFor(taken_)) {
    full_ = now;
    taken_ = 0;
  }
  const int64_t missing = taken_ + tokens - burst_;
  if (missing > 0) {
    const Deadline there = full_ + TimeFor(missing);
    if (now < there) return there.Since(now);
  }
  taken_ += tokens;
  return absl::ZeroDuration();
}

bool TokenBucket::TakeOrQueue(Deadline now, int64_t tokens) {
  SpinLockHolder hold(lock_);
  if (queued_ == 0 && TakeOrWait(now, tokens) == absl::ZeroDuration()) return true;
  ++queued_;
  return false;
}

absl::Status TokenBucket::TryAcquire(int64_t tokens, Clock& clock) {
  if (absl::Status refusal = Refusal(tokens); !refusal.ok()) return refusal;
  const Deadline now = ClockHere(clock).Now();
  {
    SpinLockHolder hold(lock_);
    if (queued_ == 0 && TakeOrWait(now, tokens) == absl::ZeroDuration()) return absl::OkStatus();
  }
  return absl::UnavailableError(
      absl::StrCat("TokenBucket: there are not ", tokens, " tokens to be had at once"));
}

Task<absl::Status> TokenBucket::Acquire(int64_t tokens) {
  if (absl::Status refusal = Refusal(tokens); !refusal.ok()) co_return refusal;
  co_await internal::SpendTurn();  // while there are tokens it waits for nothing
  Clock& clock = ClockHere(Clock::Real());
  if (TakeOrQueue(clock.Now(), tokens)) co_return absl::OkStatus();
  // One at a time sleeps until its tokens are there. One that is cancelled has taken nothing, and
  // the next works out its own time.
  const InQueue in_queue(*this);
  const MutexGuard turn = co_await turn_.Lock();
  if (!turn.ok()) co_return absl::CancelledError("the wait for a TokenBucket was cancelled");
  for (;;) {
    absl::Duration wait;
    {
      SpinLockHolder hold(lock_);
      wait = TakeOrWait(clock.Now(), tokens);
    }
    if (wait == absl::ZeroDuration()) co_return absl::OkStatus();
    absl::Status slept = co_await Sleep(wait);
    if (!slept.ok()) co_return slept;
  }
}

}  // namespace plait
