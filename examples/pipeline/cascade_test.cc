#include "plait/examples/pipeline/cascade.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/test_clock.h"

namespace examples {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

Plan ThreeStages() {
  Plan plan;
  plan.photos = 20;
  plan.stages = {
      {"read", absl::Seconds(1)}, {"shrink", absl::Seconds(3)}, {"save", absl::Seconds(2)}};
  return plan;
}

struct Observed {
  absl::StatusOr<Outcome> outcome;
  std::vector<std::string> lines;

  int64_t Count(const std::string& words) const {
    int64_t count = 0;
    for (const std::string& line : lines) count += absl::StrContains(line, words) ? 1 : 0;
    return count;
  }
  size_t Where(const std::string& words) const {
    for (size_t i = 0; i < lines.size(); ++i) {
      if (absl::StrContains(lines[i], words)) return i;
    }
    ADD_FAILURE() << "no line with: " << words;
    return lines.size();
  }
};

// On a test clock: minutes pass in no time, and times are exact.
Observed Observe(const Plan& plan) {
  Observed observed;
  char* text = nullptr;
  size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  {
    Console console(out);
    plait::TestClock clock;
    observed.outcome = RunCascade(plan, console, {.clock = &clock});
  }
  std::fclose(out);
  observed.lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  std::free(text);
  return observed;
}

TEST(CascadeTest, EveryPhotographGoesThroughEveryStage) {
  const Observed run = Observe(ThreeStages());
  ASSERT_TRUE(run.outcome.ok()) << run.outcome.status();
  EXPECT_THAT(run.outcome->done, Each(20));
  EXPECT_EQ(run.Count("has done"), 60);
}

TEST(CascadeTest, TheStagesOverlapSoThatTheSlowestSetsThePace) {
  const Plan plan = ThreeStages();
  const Observed run = Observe(plan);
  ASSERT_TRUE(run.outcome.ok()) << run.outcome.status();
  EXPECT_EQ(OneAfterTheOther(plan), absl::Seconds(120));
  // 20 times 3 s of shrinking; before it the first is read, after it the last is saved.
  EXPECT_EQ(run.outcome->total, absl::Seconds(63));
}

TEST(CascadeTest, MoreTasksForTheSlowestStageMakeItAllFaster) {
  Plan plan = ThreeStages();
  plan.stages[1].workers = 3;
  const Observed run = Observe(plan);
  ASSERT_TRUE(run.outcome.ok()) << run.outcome.status();
  // Now saving is the slowest: 20 times 2 s, after the first was read and shrunk.
  EXPECT_EQ(run.outcome->total, absl::Seconds(44));
  EXPECT_THAT(run.outcome->done, Each(20));
}

TEST(CascadeTest, AFullQueueHoldsTheStageBeforeItBackAndALargeOneDoesNot) {
  Plan plan = ThreeStages();
  const Observed tight = Observe(plan);
  ASSERT_TRUE(tight.outcome.ok());
  EXPECT_GT(tight.outcome->pushed_back[0], 10);
  EXPECT_EQ(tight.Count("the queue to shrink is full"), tight.outcome->pushed_back[0]);
  EXPECT_EQ(tight.outcome->pushed_back[1], 0);  // saving is faster than shrinking
  plan.capacity = 20;
  const Observed wide = Observe(plan);
  ASSERT_TRUE(wide.outcome.ok());
  EXPECT_THAT(wide.outcome->pushed_back, Each(0));
  EXPECT_EQ(wide.outcome->total, tight.outcome->total);  // the bound costs no time
}

TEST(CascadeTest, TheEndGoesThroughTheStagesInTheirOrder) {
  const Observed run = Observe(ThreeStages());
  EXPECT_EQ(run.Count("is finished"), 3);
  EXPECT_LT(run.Where("read   is finished"), run.Where("shrink is finished"));
  EXPECT_LT(run.Where("shrink is finished"), run.Where("save   is finished"));
  EXPECT_EQ(run.Where("save   is finished"), run.lines.size() - 1);
}

TEST(CascadeTest, AStageThatFailsStopsTheOthers) {
  Plan plan = ThreeStages();
  plan.broken = 4;
  const Observed run = Observe(plan);
  EXPECT_EQ(run.outcome.status(), absl::DataLossError("photograph 4 is damaged"));
  EXPECT_EQ(run.Where("cannot do 4"), run.lines.size() - 1);  // and nothing happens after it
  EXPECT_EQ(run.Count("is finished"), 0);
}

TEST(CascadeTest, NoPhotographsAreNoWork) {
  Plan plan = ThreeStages();
  plan.photos = 0;
  const Observed run = Observe(plan);
  ASSERT_TRUE(run.outcome.ok()) << run.outcome.status();
  EXPECT_EQ(run.outcome->total, absl::ZeroDuration());
  EXPECT_THAT(run.outcome->done, ElementsAre(0, 0, 0));
}

}  // namespace
}  // namespace examples
