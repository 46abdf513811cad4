#include "plait/examples/parallelism/backends.h"

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

using ::testing::ElementsAre;

// The articles' sleep.py: five tasks of two seconds. On a test clock they take no time, and are
// exact to the microsecond.
class BackendsTest : public ::testing::Test {
 protected:
  BackendsTest() { job_.sleep = absl::Seconds(2); }

  // What `run` printed, line by line.
  std::vector<std::string> Lines(const std::function<void(const Job&, Transcript&)>& run) {
    char* text = nullptr;
    size_t size = 0;
    std::FILE* out = open_memstream(&text, &size);
    {
      Console console(out);
      Transcript transcript(console, "test", job_.tasks, clock_);
      run(job_, transcript);
      transcript.End();
      sum_of_tasks_ = transcript.sum_of_tasks();
      total_ = transcript.total();
      timeline_ = transcript.Timeline(10);
    }
    std::fclose(out);
    const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
    std::free(text);
    return lines;
  }

  plait::TestClock clock_;
  Job job_ = {.clock = &clock_};
  absl::Duration sum_of_tasks_;
  absl::Duration total_;
  std::vector<std::string> timeline_;
};

TEST_F(BackendsTest, SynchronouslyATaskStartsWhenTheLastHasFinished) {
  EXPECT_THAT(
      Lines(RunSync),
      ElementsAre(
          "0:00:00.000000: Start work for number=0", "0:00:02.000000: Finished work for number=0",
          "0:00:02.000000: Start work for number=1", "0:00:04.000000: Finished work for number=1",
          "0:00:04.000000: Start work for number=2", "0:00:06.000000: Finished work for number=2",
          "0:00:06.000000: Start work for number=3", "0:00:08.000000: Finished work for number=3",
          "0:00:08.000000: Start work for number=4", "0:00:10.000000: Finished work for number=4",
          "Finished program after 0:00:10.000000"));
  EXPECT_EQ(total_, absl::Seconds(10));
  EXPECT_EQ(sum_of_tasks_, absl::Seconds(10));
  EXPECT_THAT(timeline_, ElementsAre("  number=0   |==        |", "  number=1   |  ==      |",
                                     "  number=2   |    ==    |", "  number=3   |      ==  |",
                                     "  number=4   |        ==|"));
}

TEST_F(BackendsTest, CoroutinesAllStartBeforeAnyFinishesAndSleepAtTheSameTime) {
  const auto run = [this](const Job& job, Transcript& transcript) {
    const absl::Status status = RunAsync(job, transcript, {.clock = &clock_});
    EXPECT_TRUE(status.ok()) << status;
  };
  EXPECT_THAT(
      Lines(run),
      ElementsAre(
          "0:00:00.000000: Start work for number=0", "0:00:00.000000: Start work for number=1",
          "0:00:00.000000: Start work for number=2", "0:00:00.000000: Start work for number=3",
          "0:00:00.000000: Start work for number=4", "0:00:02.000000: Finished work for number=0",
          "0:00:02.000000: Finished work for number=1",
          "0:00:02.000000: Finished work for number=2",
          "0:00:02.000000: Finished work for number=3",
          "0:00:02.000000: Finished work for number=4", "Finished program after 0:00:02.000000"));
  EXPECT_EQ(total_, absl::Seconds(2));
  EXPECT_EQ(sum_of_tasks_, absl::Seconds(10));
  EXPECT_THAT(timeline_, ::testing::Each(::testing::HasSubstr("|==========|")));
}

TEST_F(BackendsTest, CoroutinesThatComputeTakeTurnsAsSynchronousCallsDo) {
  job_.workload = Workload::kHardWork;
  job_.iterations = 1000;
  job_.tasks = 2;
  const auto run = [this](const Job& job, Transcript& transcript) {
    EXPECT_TRUE(RunAsync(job, transcript, {.clock = &clock_}).ok());
  };
  const std::vector<std::string> sync = Lines(RunSync);
  EXPECT_EQ(Lines(run), sync);
  EXPECT_EQ(sync.size(), 5);
}

TEST_F(BackendsTest, AnUnknownReactorIsTheStatus) {
  Lines([](const Job& job, Transcript& transcript) {
    EXPECT_EQ(RunAsync(job, transcript, {.reactor = "abacus"}).code(),
              absl::StatusCode::kInvalidArgument);
  });
}

}  // namespace
}  // namespace examples
