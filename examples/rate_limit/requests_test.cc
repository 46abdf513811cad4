#include "plait/examples/rate_limit/requests.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/test_clock.h"

namespace examples {
namespace {

struct Observed {
  Outcome outcome;
  std::vector<std::string> lines;
};

// On a test clock: no time passes but what the plan says, and every time is exact.
Observed Observe(const Plan& plan) {
  Observed observed;
  char* text = nullptr;
  size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  {
    Console console(out);
    plait::TestClock clock;
    const absl::StatusOr<Outcome> outcome = RunRequests(plan, console, {.clock = &clock});
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    observed.outcome = outcome.value_or(Outcome());
  }
  std::fclose(out);
  observed.lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  std::free(text);
  return observed;
}

TEST(RequestsTest, WithoutALimitEverythingBeginsAtOnce) {
  const Observed none = Observe(Plan());
  EXPECT_EQ(none.outcome.most_in_flight, 20);
  EXPECT_THAT(none.outcome.began, ::testing::Each(absl::ZeroDuration()));
  EXPECT_EQ(none.outcome.total, absl::Milliseconds(600));
  EXPECT_EQ(none.lines.front(), " 0:00:00.000000 -> request 1, 1 in flight");
  EXPECT_EQ(none.lines.size(), 40u);
}

TEST(RequestsTest, TheLimitOnThoseInFlightHolds) {
  for (const int64_t limit : {1, 3, 4, 19}) {
    Plan plan;
    plan.in_flight = limit;
    const Observed bounded = Observe(plan);
    EXPECT_EQ(bounded.outcome.most_in_flight, limit);
    EXPECT_EQ(bounded.outcome.began.size(), 20u);
  }
}

TEST(RequestsTest, OneAtATimeTakesTheSumOfTheTimes) {
  Plan plan;
  plan.in_flight = 1;
  // 20 times 300 ms, and 300 ms more for each third.
  EXPECT_EQ(Observe(plan).outcome.total, absl::Milliseconds(20 * 300 + 6 * 300));
}

TEST(RequestsTest, TheRateHoldsExactlyAfterTheBurst) {
  Plan plan;
  plan.per_second = 10;
  plan.burst = 3;
  const Observed limited = Observe(plan);
  ASSERT_EQ(limited.outcome.began.size(), 20u);
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(limited.outcome.began[i],
              absl::Milliseconds(100) * (i < 3 ? 0 : static_cast<int>(i) - 2))
        << i;
  }
  EXPECT_EQ(limited.outcome.most_in_a_second(), 3 + 9);
}

TEST(RequestsTest, BothLimitsHoldTogether) {
  Plan plan;
  plan.requests = 60;
  plan.in_flight = 4;
  plan.per_second = 10;
  plan.burst = 3;
  const Observed both = Observe(plan);
  EXPECT_EQ(both.outcome.began.size(), 60u);
  EXPECT_LE(both.outcome.most_in_flight, 4);
  EXPECT_LE(both.outcome.most_in_a_second(), 3 + 10);
  // 60 requests of 0.4 s on average, 4 at a time: the slots are the tighter limit here, if only
  // just.
  EXPECT_GE(both.outcome.total, absl::Seconds(5.7));
  EXPECT_LE(both.outcome.total, absl::Seconds(8));
}

TEST(RequestsTest, NothingToDoTakesNoTime) {
  Plan plan;
  plan.requests = 0;
  plan.per_second = 1;
  plan.in_flight = 1;
  const Observed nothing = Observe(plan);
  EXPECT_EQ(nothing.outcome.total, absl::ZeroDuration());
  EXPECT_EQ(nothing.outcome.most_in_a_second(), 0);
}

}  // namespace
}  // namespace examples
