#include <regex>
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
  // One piece of work, which takes some tenths of a second of a processor. While it is done on the
  // loop there is no answer; while the pool does it there are many, of which one more is enough
  // here: the loop's thread takes microseconds for it, and no machine is so busy that it gets none
  // in all that time.
  const ProgramRun run = RunProgram(kProgram, {"--jobs=1", "--limit=1000000"});
  EXPECT_EQ(run.exit_status, 0) << run.output;
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(run.output, HasSubstr("78498 primes were found"));
  EXPECT_THAT(run.lines().back(),
              MatchesRegex("hybrid where=pool jobs=1 answers=[0-9]+ median_ms=[0-9.]+ "
                           "slowest_ms=[0-9.]+"));
  const ProgramRun loop = RunProgram(kProgram, {"--jobs=1", "--limit=1000000", "--where=loop"});
  EXPECT_EQ(loop.exit_status, 0) << loop.output;
  EXPECT_THAT(loop.output, HasSubstr("78498 primes were found"));
  EXPECT_GT(run.Figure("answers"), loop.Figure("answers"));
}

TEST(HybridTest, EachAnswerComesInTime) {
  // On a machine that does much else one may come late: but not in each of these runs.
  bool in_time = false;
  for (int i = 0; i < 10 && !in_time; ++i) {
    const ProgramRun run = RunProgram(kProgram, {"--jobs=1", "--limit=1000000"});
    std::smatch found;
    ASSERT_TRUE(std::regex_search(run.output, found, std::regex("found in ([0-9.]+) s")))
        << run.output;
    in_time = run.Figure("slowest_ms") < std::stod(found[1]) * 1000 / 2;
  }
  EXPECT_TRUE(in_time) << "an answer waited for half of the work";
}

TEST(HybridTest, AllPiecesOfTheWorkAreDone) {
  // 17,984 primes are below 200,000.
  const ProgramRun run = RunProgram(kProgram, {"--jobs=4", "--limit=200000"});
  EXPECT_EQ(run.exit_status, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("71936 primes were found"));
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
