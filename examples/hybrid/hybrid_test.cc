#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr char kProgram[] = "examples/hybrid/hybrid";

TEST(HybridTest, TheServerAnswersWhileThePoolGrinds) {
  const ProgramRun run = RunProgram(kProgram, {"--jobs=4", "--limit=200000"});
  EXPECT_EQ(run.exit_status, 0) << run.output;
  EXPECT_EQ(run.error, "");
  // 17,984 primes are below 200,000.
  EXPECT_THAT(run.output, HasSubstr("71936 primes were found"));
  EXPECT_THAT(run.lines().back(),
              MatchesRegex("hybrid where=pool jobs=4 answers=[0-9]+ median_ms=[0-9.]+ "
                           "slowest_ms=[0-9.]+"));
  // The work takes tens of milliseconds; on the loop there is an answer or two between its pieces.
  const ProgramRun loop = RunProgram(kProgram, {"--jobs=4", "--limit=200000", "--where=loop"});
  EXPECT_EQ(loop.exit_status, 0) << loop.output;
  EXPECT_THAT(loop.output, HasSubstr("71936 primes were found"));
  EXPECT_GT(run.Figure("answers"), loop.Figure("answers"));
}

TEST(HybridTest, ItHasManners) {
  ExpectHelp(kProgram,
             {"--workers=N", "--jobs=N", "--limit=N", "--where=pool|loop", "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--workers=0"}, "is not a whole number");
  ExpectEveryReactor(kProgram, {"--jobs=2", "--limit=1000"});
}

}  // namespace
}  // namespace examples
