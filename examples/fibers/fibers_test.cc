#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr char kFibers[] = "examples/fibers/fibers";

// What each line says, without its time.
std::vector<std::string> Said(const ProgramRun& run) {
  std::vector<std::string> said;
  for (const std::string& line : run.lines()) {
    const size_t colon = line.find(": ");
    if (line.rfind("0:", 0) == 0) said.push_back(line.substr(colon + 2));
  }
  return said;
}

TEST(FibersTest, AllFunctionsStartBeforeAnyGoesOnAndTakeTheirStepsTogether) {
  const ProgramRun run = RunProgram(kFibers, {"--fibers=3", "--sleep=200ms"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> said = Said(run);
  ASSERT_EQ(said.size(), 12u) << run.output;
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(said[n], "Started work for number=" + std::to_string(n));
    EXPECT_EQ(said[3 + n], "Step 1 of 2 for number=" + std::to_string(n));
  }
  EXPECT_THAT(said[6], HasSubstr("Step 2 of 2"));
  EXPECT_THAT(said.back(), HasSubstr("Finished work"));
}

TEST(FibersTest, TogetherTheyTakeNoLongerThanOneOfThem) {
  const ProgramRun run = RunProgram(kFibers, {"--fibers=50", "--sleep=100ms"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.lines().back(),
              MatchesRegex("50 functions that take 100ms each, on one thread: 0:00:0[0-4]\\..*"
                           " One after the other: 0:00:05.000000\\."));
}

TEST(FibersTest, NoneIsFineToo) {
  const ProgramRun run = RunProgram(kFibers, {"--fibers=0"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.lines().back(), HasSubstr("0 functions"));
}

TEST(FibersTest, ItRunsOnEveryReactor) {
  ExpectEveryReactor(kFibers, {"--fibers=3", "--sleep=5ms"});
}

TEST(FibersTest, ItHasManners) {
  ExpectHelp(kFibers, {"--fibers=N", "--sleep=", "--reactor=TEXT"});
  ExpectManners(kFibers);
  ExpectRefusal(kFibers, {"--fibers=-1"}, "--fibers");
  ExpectRefusal(kFibers, {"--sleep=soon"}, "--sleep");
}

}  // namespace
}  // namespace examples
