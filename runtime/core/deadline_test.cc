#include "plait/runtime/core/deadline.h"

#include <cstdint>
#include <limits>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace plait {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

TEST(DeadlineTest, DeadlinesAreOrderedFromImmediateToInfinite) {
  EXPECT_EQ(Deadline(), Deadline::Immediate());
  EXPECT_LT(Deadline::Immediate(), Deadline::AtNanos(-1));
  EXPECT_LT(Deadline::AtNanos(-1), Deadline::AtNanos(0));
  EXPECT_LT(Deadline::AtNanos(kMost - 1), Deadline::Infinite());
  EXPECT_TRUE(Deadline::Infinite().is_infinite());
  EXPECT_FALSE(Deadline::Immediate().is_infinite());
}

TEST(DeadlineTest, ADurationIsAddedAndAFractionOfANanosecondRoundedUp) {
  const Deadline start = Deadline::AtNanos(1000);
  EXPECT_EQ(start + absl::ZeroDuration(), start);
  EXPECT_EQ((start + absl::Nanoseconds(5)).nanos(), 1005);
  EXPECT_EQ((start + absl::Nanoseconds(-5)).nanos(), 995);
  EXPECT_EQ((start + absl::Nanoseconds(1) / 4).nanos(), 1001);
  EXPECT_EQ((start + absl::Nanoseconds(5) / 4).nanos(), 1002);
}

TEST(DeadlineTest, WhatIsTooFarToCountIsInfiniteAndNeverWraps) {
  for (const int64_t nanos : {int64_t{0}, int64_t{1}, kMost / 2, kMost - 1}) {
    const Deadline start = Deadline::AtNanos(nanos);
    EXPECT_TRUE((start + absl::InfiniteDuration()).is_infinite());
    EXPECT_TRUE((start + absl::Seconds(kMost)).is_infinite());
    EXPECT_TRUE((start + absl::Nanoseconds(kMost)).is_infinite());
    EXPECT_EQ(start + -absl::InfiniteDuration(), Deadline::Immediate());
  }
  EXPECT_EQ((Deadline::AtNanos(1) + absl::Nanoseconds(kMost - 2)).nanos(), kMost - 1);
  EXPECT_EQ(Deadline::AtNanos(-5) + absl::Seconds(-kMost), Deadline::Immediate());
  EXPECT_TRUE((Deadline::Infinite() + absl::Seconds(-5)).is_infinite());
}

TEST(DeadlineTest, SinceIsWhatIsLeftAndNeverNegative) {
  const Deadline now = Deadline::AtNanos(100);
  EXPECT_EQ(Deadline::AtNanos(150).Since(now), absl::Nanoseconds(50));
  EXPECT_EQ(Deadline::AtNanos(100).Since(now), absl::ZeroDuration());
  EXPECT_EQ(Deadline::AtNanos(50).Since(now), absl::ZeroDuration());
  EXPECT_EQ(Deadline::Immediate().Since(now), absl::ZeroDuration());
  EXPECT_EQ(Deadline::Infinite().Since(now), absl::InfiniteDuration());
  // Further apart than 64 bits of nanoseconds.
  EXPECT_EQ(Deadline::AtNanos(kMost - 1).Since(Deadline::AtNanos(-kMost)),
            absl::Nanoseconds(kMost) + absl::Nanoseconds(kMost - 1));
}

}  // namespace
}  // namespace plait
