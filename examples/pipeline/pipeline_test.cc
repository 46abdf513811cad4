#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr char kProgram[] = "examples/pipeline/pipeline";

TEST(PipelineProgramTest, ItShowsEveryStageAndMeasuresTheOverlap) {
  const ProgramRun run = RunProgram(kProgram, {"--photos=5", "--pace=2ms", "--capacity=1"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(run.lines(), Contains(HasSubstr("has done ")).Times(15));
  EXPECT_THAT(run.lines(), Contains(HasSubstr("is full")));
  EXPECT_THAT(run.lines(), Contains(HasSubstr("is finished")).Times(3));
  EXPECT_THAT(run.lines().back(),
              MatchesRegex("pipeline photos=5 shrinkers=1 seconds=[0-9]+\\.[0-9]{3} "
                           "one_after_the_other=0\\.060 pushed_back=[1-9][0-9]*"));
}

TEST(PipelineProgramTest, ADamagedPhotographStopsEverything) {
  const ProgramRun run = RunProgram(kProgram, {"--pace=1ms", "--broken=2"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_EQ(run.lines().back(), "Every stage was stopped: DATA_LOSS: photograph 2 is damaged");
}

TEST(PipelineProgramTest, ItRunsOnEveryReactor) {
  ExpectEveryReactor(kProgram, {"--photos=5", "--pace=1ms"});
}

TEST(PipelineProgramTest, ItHasManners) {
  ExpectHelp(kProgram, {"--photos=N", "--capacity=N", "--shrinkers=N", "--broken=N", "--pace=TIME",
                        "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--capacity=0"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--pace=-1s"}, "is not a length of time");
}

}  // namespace
}  // namespace examples
