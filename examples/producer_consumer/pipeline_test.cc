#include "plait/examples/producer_consumer/pipeline.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/test_clock.h"

namespace examples {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

// The articles' sizes. On a test clock they take no time.
Plan ArticlePlan() {
  Plan plan;
  plan.items = 20;
  plan.pace = absl::Seconds(1);
  return plan;
}

// What was printed, and what came of it.
struct Observed {
  Outcome outcome;
  std::vector<std::string> lines;

  // Positions of the lines that begin with `start`.
  std::vector<size_t> Where(const std::string& start) const {
    std::vector<size_t> found;
    for (size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].rfind(start, 0) == 0) found.push_back(i);
    }
    return found;
  }
};

Observed Observe(const std::function<Outcome(Console&)>& run) {
  Observed observed;
  char* text = nullptr;
  size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  {
    Console console(out);
    observed.outcome = run(console);
  }
  std::fclose(out);
  observed.lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  std::free(text);
  return observed;
}

Observed Synchronous(const Plan& plan) {
  return Observe([&](Console& console) {
    plait::TestClock clock;
    return RunSynchronously(plan, console, clock);
  });
}

Observed Asynchronous(const Plan& plan) {
  return Observe([&](Console& console) {
    plait::TestClock clock;
    const absl::StatusOr<Outcome> outcome = RunAsynchronously(plan, console, {.clock = &clock});
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.value_or(Outcome());
  });
}

TEST(PipelineTest, SynchronouslyNothingIsProcessedUntilEverythingIsMade) {
  const Observed sync = Synchronous(ArticlePlan());
  ASSERT_EQ(sync.outcome.delays.size(), 20);
  EXPECT_EQ(sync.Where(" -- generated item").size(), 20);
  EXPECT_LT(sync.Where(" -- generated item").back(), sync.Where(" +++ Processed value").front());
  // 20 rests of 0.5 to 1.5 s and 20 times 0.5 s: about 30.
  EXPECT_GT(sync.outcome.total, absl::Seconds(25));
  EXPECT_LT(sync.outcome.total, absl::Seconds(35));
  // The first item has waited for the other 19 to be made, the last for the first 19 to be
  // processed.
  EXPECT_TRUE(std::is_sorted(sync.outcome.delays.rbegin(), sync.outcome.delays.rend()));
  EXPECT_GT(sync.outcome.delays.front(), absl::Seconds(15));
  EXPECT_GT(sync.outcome.delays.back(), absl::Seconds(9.5));
  EXPECT_EQ(sync.outcome.longest_queue, 20);
}

TEST(PipelineTest, SideBySideAnItemIsProcessedAsSoonAsItIsMade) {
  const Observed async = Asynchronous(ArticlePlan());
  ASSERT_EQ(async.outcome.delays.size(), 20);
  EXPECT_THAT(async.outcome.delays, Each(absl::ZeroDuration()));
  EXPECT_THAT(async.lines, Each(::testing::Not(HasSubstr("after 0.01"))));
  // What one makes and the other processes alternates.
  const std::vector<size_t> made = async.Where(" -- generated item");
  const std::vector<size_t> processed = async.Where(" +++ Processed value");
  ASSERT_EQ(made.size(), 20);
  ASSERT_EQ(processed.size(), 20);
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(made[i], 2 * i);
    EXPECT_EQ(processed[i], 2 * i + 1);
  }
  // As long as the producer takes, so the consumer's 10 s are gained.
  EXPECT_EQ(Synchronous(ArticlePlan()).outcome.total - async.outcome.total, absl::Seconds(10));
}

TEST(PipelineTest, TwoProducersTakeNoLongerAndDelaysStayFarBelowTheSynchronousOnes) {
  Plan plan = ArticlePlan();
  plan.producers = 2;
  const Observed sync = Synchronous(plan);
  const Observed async = Asynchronous(plan);
  ASSERT_EQ(async.outcome.delays.size(), 40);
  // The articles' 22 s, "50 if this was done synchronously": the consumer needs 20 of them.
  EXPECT_GE(async.outcome.total, absl::Seconds(20));
  EXPECT_LT(async.outcome.total, absl::Seconds(26));
  EXPECT_GT(sync.outcome.total, 2 * async.outcome.total);
  EXPECT_LT(5 * async.outcome.mean_delay(), sync.outcome.mean_delay());
  EXPECT_LT(async.outcome.max_delay(),
            *std::min_element(sync.outcome.delays.begin(), sync.outcome.delays.end()));
  // Some item did have to wait for the consumer.
  EXPECT_GT(async.outcome.max_delay(), absl::ZeroDuration());
}

TEST(PipelineTest, ABoundedQueuePushesBackAndAnUnboundedOneGrows) {
  Plan plan = ArticlePlan();
  plan.producers = 4;
  const Observed unbounded = Asynchronous(plan);
  EXPECT_EQ(unbounded.outcome.pushed_back, 0);
  EXPECT_GT(unbounded.outcome.longest_queue, 10);
  plan.capacity = 2;
  const Observed bounded = Asynchronous(plan);
  EXPECT_GT(bounded.outcome.pushed_back, 0);
  EXPECT_EQ(bounded.outcome.longest_queue, 2);
  EXPECT_EQ(bounded.Where(" .. the queue is full").size(), bounded.outcome.pushed_back);
  EXPECT_LT(bounded.outcome.max_delay(), unbounded.outcome.max_delay());
  // Nothing is lost on the way.
  EXPECT_EQ(bounded.outcome.delays.size(), 80);
  EXPECT_EQ(unbounded.outcome.delays.size(), 80);
}

TEST(PipelineTest, EveryItemIsProcessedOnceInTheOrderOfItsMaking) {
  const Observed async = Asynchronous(ArticlePlan());
  const std::vector<size_t> processed = async.Where(" +++ Processed value");
  for (size_t i = 0; i < processed.size(); ++i) {
    const std::string value = std::to_string((i + 1) * (i + 1));
    EXPECT_EQ(async.lines[processed[i]], " +++ Processed value " + value + " after 0.00 sec.");
  }
}

TEST(PipelineTest, ASeedGivesTheSameRunAgainAndAnotherSeedAnother) {
  Plan plan = ArticlePlan();
  plan.producers = 2;
  const Observed first = Asynchronous(plan);
  EXPECT_EQ(Asynchronous(plan).lines, first.lines);
  plan.seed = 2;
  EXPECT_NE(Asynchronous(plan).lines, first.lines);
}

TEST(PipelineTest, AnUnknownReactorIsTheStatus) {
  Observe([](Console& console) {
    const auto outcome = RunAsynchronously(Plan(), console, {.reactor = "abacus"});
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kInvalidArgument);
    return Outcome();
  });
}

}  // namespace
}  // namespace examples
