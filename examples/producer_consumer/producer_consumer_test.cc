#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr char kProgram[] = "examples/producer_consumer/producer_consumer";
constexpr char kYellow[] = "\x1b[33m";
constexpr char kCyan[] = "\x1b[36m";

TEST(ProducerConsumerTest, EveryModeRunsAndIsMeasured) {
  const ProgramRun run = RunProgram(kProgram, {"--items=4", "--pace=5ms"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> lines = run.lines();
  ASSERT_GE(lines.size(), 4u);
  EXPECT_THAT(lines, Contains(" -- generated item 4").Times(4));  // 1 + 1 + 2 producers
  EXPECT_THAT(lines, Contains(MatchesRegex(" \\+\\+\\+ Processed value [0-9]+ after "
                                           "[0-9]+\\.[0-9][0-9] sec\\."))
                         .Times(4 + 4 + 8 + 8));
  EXPECT_THAT(lines, Contains(MatchesRegex("App exiting, total time: .* sec\\.")).Times(4));
  const std::string measured =
      " seconds=[0-9]+\\.[0-9]{3} mean_delay=[0-9]+\\.[0-9]{3} "
      "max_delay=[0-9]+\\.[0-9]{3} longest_queue=[0-9]+ pushed_back=";
  const auto end = lines.end();
  EXPECT_THAT(end[-4],
              MatchesRegex("producer_consumer mode=sync producers=1 items=4" + measured + "0"));
  EXPECT_THAT(end[-3],
              MatchesRegex("producer_consumer mode=async producers=1 items=4" + measured + "0"));
  EXPECT_THAT(end[-2], MatchesRegex("producer_consumer mode=two_producers producers=2 items=8" +
                                    measured + "0"));
  EXPECT_THAT(end[-1], MatchesRegex("producer_consumer mode=bounded producers=4 items=8" +
                                    measured + "[1-9][0-9]*"));
}

TEST(ProducerConsumerTest, OneModeRunsAlone) {
  const ProgramRun run =
      RunProgram(kProgram, {"--mode=async", "--items=2", "--pace=0", "--reactor=epoll"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.lines(), Contains(HasSubstr("App exiting")).Times(1));
  EXPECT_THAT(run.lines().back(), HasSubstr("mode=async producers=1 items=2 "));
}

TEST(ProducerConsumerTest, ATerminalGetsColoursAPipeDoesNot) {
  const std::vector<std::string> quick = {"--mode=async", "--items=2", "--pace=0"};
  const std::string terminal =
      RunProgram(kProgram, quick, {.environment = {"TERM=xterm", "NO_COLOR="}, .terminal = true})
          .output;
  EXPECT_THAT(terminal, HasSubstr(std::string(kYellow) + " -- generated item 1\x1b[0m\n"));
  EXPECT_THAT(terminal, HasSubstr(std::string(kCyan) + " +++ Processed value 1 after"));
  EXPECT_THAT(RunProgram(kProgram, quick, {.environment = {"TERM=xterm"}}).output,
              Not(HasSubstr("\x1b")));
}

TEST(ProducerConsumerTest, NoColourIsHonouredAndSoIsADumbTerminal) {
  const std::vector<std::string> quick = {"--mode=async", "--items=2", "--pace=0"};
  for (const char* wish : {"NO_COLOR=1", "TERM=dumb"}) {
    SCOPED_TRACE(wish);
    const ProgramRun run =
        RunProgram(kProgram, quick, {.environment = {wish, "TERM=xterm"}, .terminal = true});
    EXPECT_THAT(run.output, HasSubstr(" -- generated item 1\n"));
    EXPECT_THAT(run.output, Not(HasSubstr("\x1b")));
  }
}

TEST(ProducerConsumerTest, ItRunsOnEveryReactor) {
  ExpectEveryReactor(kProgram, {"--items=4", "--pace=1ms"});
}

TEST(ProducerConsumerTest, ItHasManners) {
  ExpectHelp(kProgram, {"--mode=sync|async|two_producers|bounded|all", "--items=N", "--pace=TIME",
                        "--capacity=N", "--seed=N", "--article", "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--mode=backwards"}, "is not one of sync, async");
  ExpectRefusal(kProgram, {"--pace=-1s"}, "is not a length of time");
  ExpectRefusal(kProgram, {"--pace=nan"}, "is not a length of time");
  ExpectRefusal(kProgram, {"--items=-3"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--capacity=0"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--article=perhaps"}, "is not true or false");
}

}  // namespace
}  // namespace examples
