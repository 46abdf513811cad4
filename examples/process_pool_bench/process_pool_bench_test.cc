#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::MatchesRegex;

constexpr char kProgram[] = "examples/process_pool_bench/process_pool_bench";

TEST(ProcessPoolBenchTest, ItSaysHowFastItWas) {
  const ProgramRun run = RunProgram(kProgram, {"--calls=2000", "--round_trips=100"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(run.lines().back(),
              MatchesRegex("process_pool workers=2 calls=2000 calls_per_second=[0-9]+ "
                           "p50_us=[0-9.]+ p99_us=[0-9.]+"));
}

TEST(ProcessPoolBenchTest, InChunksAsWell) {
  const ProgramRun run =
      RunProgram(kProgram, {"--workers=1", "--calls=2000", "--chunk=64", "--round_trips=10"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.lines().back(), MatchesRegex("process_pool workers=1 calls=2000 .*"));
}

TEST(ProcessPoolBenchTest, ItHasManners) {
  ExpectHelp(kProgram, {"--workers=N", "--calls=N", "--chunk=N", "--in_flight=N", "--round_trips=N",
                        "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--workers=0"}, "is not a whole number");
  ExpectEveryReactor(kProgram, {"--calls=500", "--round_trips=10"});
}

}  // namespace
}  // namespace examples
