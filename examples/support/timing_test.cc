#include "plait/examples/support/timing.h"

#include "gtest/gtest.h"
#include "plait/runtime/testing/test_clock.h"

namespace examples {
namespace {

TEST(TimingTest, AStampLooksLikeTheArticles) {
  EXPECT_EQ(Stamp(absl::ZeroDuration()), "0:00:00.000000");
  EXPECT_EQ(Stamp(absl::Microseconds(2'005'169)), "0:00:02.005169");
  EXPECT_EQ(Stamp(absl::Nanoseconds(1'999)), "0:00:00.000001");
  EXPECT_EQ(Stamp(absl::Hours(26) + absl::Minutes(3) + absl::Seconds(4)), "26:03:04.000000");
}

TEST(TimingTest, AStopwatchGoesByItsClock) {
  plait::TestClock clock;
  clock.Advance(absl::Seconds(5));
  const Stopwatch watch(clock);
  EXPECT_EQ(watch.elapsed(), absl::ZeroDuration());
  clock.Advance(absl::Seconds(2));
  EXPECT_EQ(watch.elapsed(), absl::Seconds(2));
}

TEST(TimingTest, BlockingTakesNoRealTimeOnATestClock) {
  plait::TestClock clock;
  BlockFor(absl::Hours(1000), clock);
  EXPECT_EQ(clock.elapsed(), absl::Hours(1000));
}

TEST(TimingTest, BlockingIsNeverTooShortOnTheMachinesClock) {
  const Stopwatch watch;
  BlockFor(absl::Milliseconds(2), plait::Clock::Real());
  EXPECT_GE(watch.elapsed(), absl::Milliseconds(2));
}

}  // namespace
}  // namespace examples
