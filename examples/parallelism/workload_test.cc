#include "plait/examples/parallelism/workload.h"

#include "gtest/gtest.h"
#include "plait/examples/support/timing.h"
#include "plait/runtime/testing/test_clock.h"

namespace examples {
namespace {

TEST(WorkloadTest, HardWorkCountsAllTheWay) {
  EXPECT_EQ(HardWork(0), 0);
  EXPECT_EQ(HardWork(1), 1);
  EXPECT_EQ(HardWork(1'000'000), 1'000'000);
}

TEST(WorkloadTest, TheCompilerHasNotDeletedTheLoop) {
  const Stopwatch watch;
  EXPECT_EQ(HardWork(20'000'000), 20'000'000);
  // A step takes no less than 0.1 ns on any machine; the loop left out, all of it would take less
  // than a microsecond.
  EXPECT_GE(watch.elapsed(), absl::Milliseconds(2));
}

TEST(WorkloadTest, MoreTimeIsMoreIterations) {
  const uint64_t iterations = IterationsFor(absl::Milliseconds(400));
  // From 0.1 to 100 ns an iteration, so that a sanitizer's build passes too.
  EXPECT_GT(iterations, 4'000'000);
  EXPECT_LT(iterations, 4'000'000'000);
  EXPECT_GT(IterationsFor(absl::Seconds(400)), 2 * iterations);
  EXPECT_EQ(IterationsFor(absl::ZeroDuration()), 0);
  EXPECT_GT(IterationsFor(absl::Hours(1'000'000'000)), uint64_t{1} << 50);
}

TEST(WorkloadTest, SleepingBlocksByTheJobsClock) {
  plait::TestClock clock;
  WorkBlocking({.workload = Workload::kSleep, .sleep = absl::Seconds(2), .clock = &clock});
  EXPECT_EQ(clock.elapsed(), absl::Seconds(2));
}

}  // namespace
}  // namespace examples
