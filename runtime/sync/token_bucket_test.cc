#include "plait/runtime/sync/token_bucket.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using testing_programs::Turns;

// Runs `body(clock)` on a test clock.
template <class Body>
void RunInTestTime(Body body) {
  TestClock clock;
  plait::Run(body(&clock), {.clock = &clock});
}

TEST(TokenBucketTest, ABurstPassesAtOnceAndThenTheRateHoldsExactly) {
  RunInTestTime([](TestClock* clock) -> Task<void> {
    TokenBucket bucket(10, 3);
    for (int i = 0; i < 103; ++i) {
      const absl::Status status = co_await bucket.Acquire();
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(clock->elapsed(), absl::Milliseconds(100) * (i < 3 ? 0 : i - 2)) << i;
    }
  });
}

TEST(TokenBucketTest, ARateThatDoesNotDivideASecondDoesNotDrift) {
  RunInTestTime([](TestClock* clock) -> Task<void> {
    TokenBucket bucket(3);
    for (int i = 0; i <= 3000; ++i) {
      const absl::Status status = co_await bucket.Acquire();
      EXPECT_TRUE(status.ok()) << status;
      if (i % 3 == 0) {
        EXPECT_EQ(clock->elapsed(), absl::Seconds(i / 3)) << i;
      }
    }
  });
}

TEST(TokenBucketTest, RatesBelowOneAndFarAboveWork) {
  RunInTestTime([](TestClock* clock) -> Task<void> {
    TokenBucket slow(0.1);
    for (int i = 0; i < 3; ++i) {
      const absl::Status status = co_await slow.Acquire();
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(clock->elapsed(), absl::Seconds(20));
    TokenBucket fast(1e9);
    for (int i = 0; i < 1001; ++i) {
      const absl::Status status = co_await fast.Acquire();
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(clock->elapsed(), absl::Seconds(20) + absl::Nanoseconds(1000));
  });
}

TEST(TokenBucketTest, ItFillsUpToTheBurstAndNoFurther) {
  RunInTestTime([](TestClock* clock) -> Task<void> {
    TokenBucket bucket(1, 2);
    EXPECT_TRUE(bucket.TryAcquire(2).ok());
    EXPECT_TRUE(absl::IsUnavailable(bucket.TryAcquire()));
    clock->Advance(absl::Milliseconds(999));
    EXPECT_TRUE(absl::IsUnavailable(bucket.TryAcquire()));
    clock->Advance(absl::Milliseconds(1));
    EXPECT_TRUE(bucket.TryAcquire().ok());
    clock->Advance(absl::Hours(1));
    EXPECT_TRUE(bucket.TryAcquire(2).ok());
    EXPECT_TRUE(absl::IsUnavailable(bucket.TryAcquire()));
    co_return;
  });
}

TEST(TokenBucketTest, FirstComeFirstServedAlsoAmongDifferentSizes) {
  RunInTestTime([](TestClock* clock) -> Task<void> {
    auto take = [](TokenBucket* bucket, int64_t tokens, TestClock* time) -> Task<absl::Duration> {
      const absl::Status status = co_await bucket->Acquire(tokens);
      EXPECT_TRUE(status.ok()) << status;
      co_return time->elapsed();
    };
    TokenBucket bucket(1, 5);
    EXPECT_TRUE(bucket.TryAcquire(5).ok());
    JoinHandle<absl::Duration> many = Spawn(take(&bucket, 5, clock));
    JoinHandle<absl::Duration> one = Spawn(take(&bucket, 1, clock));
    JoinHandle<absl::Duration> two = Spawn(take(&bucket, 2, clock));
    co_await Turns(3);
    EXPECT_TRUE(absl::IsUnavailable(bucket.TryAcquire(0)));  // nobody passes them
    EXPECT_EQ(co_await many, absl::Seconds(5));
    EXPECT_EQ(co_await one, absl::Seconds(6));
    EXPECT_EQ(co_await two, absl::Seconds(8));
  });
}

// Trap: a cancel that races the completion; nothing was taken, and nobody waits for it.
TEST(TokenBucketTest, ACancelledAcquireHasTakenNothingWhetherItWasTheFirstOrBehind) {
  RunInTestTime([](TestClock* clock) -> Task<void> {
    auto take = [](TokenBucket* bucket, int64_t tokens) -> Task<absl::Status> {
      co_return co_await bucket->Acquire(tokens);
    };
    TokenBucket bucket(1, 10);
    EXPECT_TRUE(bucket.TryAcquire(10).ok());
    JoinHandle<absl::Status> first = Spawn(take(&bucket, 10));
    JoinHandle<absl::Status> second = Spawn(take(&bucket, 10));
    JoinHandle<absl::Status> third = Spawn(take(&bucket, 1));
    co_await Turns(3);
    first.Cancel();
    second.Cancel();
    const absl::Status a = co_await first;
    const absl::Status b = co_await second;
    EXPECT_TRUE(absl::IsCancelled(a)) << a;
    EXPECT_TRUE(absl::IsCancelled(b)) << b;
    const absl::Status c = co_await third;
    EXPECT_TRUE(c.ok()) << c;
    EXPECT_EQ(clock->elapsed(), absl::Seconds(1));
  });
}

TEST(TokenBucketTest, ATimeoutBoundsTheWait) {
  RunInTestTime([](TestClock* clock) -> Task<void> {
    TokenBucket bucket(0.001);
    EXPECT_TRUE(bucket.TryAcquire().ok());
    const absl::Status late = co_await Timeout(absl::Seconds(2), bucket.Acquire());
    EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
    EXPECT_EQ(clock->elapsed(), absl::Seconds(2));
  });
}

TEST(TokenBucketTest, AskingForNonsenseIsAClearErrorAndTakesNothing) {
  RunInTestTime([](TestClock*) -> Task<void> {
    TokenBucket bucket(1, 2);
    const absl::Status negative = co_await bucket.Acquire(-1);
    EXPECT_EQ(negative,
              absl::InvalidArgumentError("TokenBucket: the number of tokens is negative: -1"));
    const absl::Status never = co_await bucket.Acquire(3);
    EXPECT_EQ(never, absl::InvalidArgumentError("TokenBucket: 3 tokens are never there at once: "
                                                "the burst is 2"));
    EXPECT_TRUE(absl::IsInvalidArgument(bucket.TryAcquire(-1)));
    EXPECT_TRUE(bucket.TryAcquire(2).ok());
    EXPECT_TRUE(bucket.TryAcquire(0).ok());
  });
}

TEST(TokenBucketTest, ARateOfAlmostNothingWaitsAndDoesNotOverflow) {
  RunInTestTime([](TestClock* clock) -> Task<void> {
    TokenBucket bucket(std::numeric_limits<double>::denorm_min());
    EXPECT_TRUE(bucket.TryAcquire().ok());
    const absl::Status late = co_await Timeout(absl::Hours(24), bucket.Acquire());
    EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
    EXPECT_EQ(clock->elapsed(), absl::Hours(24));
  });
}

TEST(TokenBucketTest, NonsenseRatesAndBurstsAreRefusedWithASentence) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double rate : {0.0, -0.0, -1.0, std::nan(""), kInfinity, -kInfinity}) {
    EXPECT_TRUE(absl::IsInvalidArgument(TokenBucket::Validate(rate))) << rate;
    EXPECT_DEATH(TokenBucket{rate}, "a TokenBucket needs a rate above 0 and below infinity");
  }
  EXPECT_TRUE(absl::IsInvalidArgument(TokenBucket::Validate(1, 0)));
  EXPECT_DEATH(TokenBucket(1, 0), "a TokenBucket needs a burst of at least 1, not 0");
  EXPECT_DEATH(TokenBucket(1, -5), "a TokenBucket needs a burst of at least 1, not -5");
  EXPECT_TRUE(TokenBucket::Validate(0.5, 1).ok());
}

}  // namespace
}  // namespace plait
