#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kParallelMap[] = "examples/parallel_map/parallel_map";

// Collatz, by hand: 1, 2, ..., 10 take 0 + 1 + 7 + 2 + 5 + 8 + 16 + 3 + 19 + 6 steps.
TEST(ParallelMapTest, EveryWayGivesTheSameResults) {
  for (const std::string chunk : {"0", "1", "3", "1000"}) {
    const ProgramRun run =
        RunProgram(kParallelMap, {"--items=5", "--work=2", "--jobs=4", "--chunk=" + chunk});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_EQ(run.error, "");
    const auto lines = run.lines();
    ASSERT_THAT(lines, SizeIs(7)) << run.output;
    EXPECT_THAT(lines[0], StartsWith("a plain loop"));
    EXPECT_THAT(lines[1], StartsWith("ParallelMap, 1 job "));
    EXPECT_THAT(lines[2], StartsWith("ParallelMap, 2 jobs "));
    EXPECT_THAT(lines[3], StartsWith("ParallelMap, 4 jobs "));
    EXPECT_THAT(lines[4], StartsWith("ParallelReduce"));
    EXPECT_EQ(lines[6], "10 numbers take 67 steps down to 1, whoever counts them.");
  }
}

TEST(ParallelMapTest, NothingToDoIsFineToo) {
  const ProgramRun run = RunProgram(kParallelMap, {"--items=0", "--jobs=1"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.lines().back(), HasSubstr("0 numbers take 0 steps"));
}

TEST(ParallelMapTest, ItRunsOnEveryReactor) {
  ExpectEveryReactor(kParallelMap, {"--items=5", "--work=2"});
}

TEST(ParallelMapTest, ItHasManners) {
  ExpectHelp(kParallelMap, {"--items=N", "--work=N", "--jobs=N", "--chunk=N", "--reactor=TEXT"});
  ExpectManners(kParallelMap);
  ExpectRefusal(kParallelMap, {"--jobs=0"}, "--jobs");
  ExpectRefusal(kParallelMap, {"--jobs=1000000"}, "--jobs");
  ExpectRefusal(kParallelMap, {"--chunk=-1"}, "--chunk");
}

}  // namespace
}  // namespace examples
