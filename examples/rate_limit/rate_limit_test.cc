#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::Contains;
using ::testing::MatchesRegex;

constexpr char kProgram[] = "examples/rate_limit/rate_limit";

TEST(RateLimitTest, EveryModeRunsAndIsMeasured) {
  const ProgramRun run =
      RunProgram(kProgram, {"--requests=12", "--takes=5ms", "--per_second=200", "--in_flight=3"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> lines = run.lines();
  ASSERT_GE(lines.size(), 4u);
  EXPECT_THAT(lines, Contains("No limit: everything at once"));
  EXPECT_THAT(lines, Contains("At most 3 in flight and 200 a second"));
  EXPECT_THAT(
      lines,
      Contains(MatchesRegex(" 0:00:00\\.[0-9]{6} -> request 12, [0-9]+ in flight")).Times(4));
  EXPECT_THAT(lines, Contains(MatchesRegex(" 0:00:0[0-9]\\.[0-9]{6} <- answer 12")).Times(4));
  const auto end = lines.end();
  EXPECT_THAT(end[-4], MatchesRegex("rate_limit mode=none requests=12 seconds=[0-9]+\\.[0-9]{3} "
                                    "most_in_flight=12 most_in_a_second=12"));
  EXPECT_THAT(end[-3],
              MatchesRegex("rate_limit mode=concurrency requests=12 .*most_in_flight=3 .*"));
  EXPECT_THAT(end[-2], MatchesRegex("rate_limit mode=rate requests=12 .*"));
  EXPECT_THAT(end[-1], MatchesRegex("rate_limit mode=both requests=12 .*most_in_flight=[1-3] .*"));
}

TEST(RateLimitTest, ItRunsOnEveryReactor) {
  ExpectEveryReactor(kProgram, {"--requests=12", "--takes=1ms", "--per_second=1000"});
}

TEST(RateLimitTest, ItHasManners) {
  ExpectHelp(kProgram, {"--mode=none|concurrency|rate|both|all", "--requests=N", "--in_flight=N",
                        "--per_second=N", "--burst=N", "--takes=TIME", "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--per_second=0"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--per_second=nan"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--in_flight=0"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--takes=-1s"}, "is not a length of time");
  ExpectRefusal(kProgram, {"--mode=fast"}, "is not one of none, concurrency");
}

}  // namespace
}  // namespace examples
