#include <sys/syscall.h>

#include <regex>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

constexpr char kHello[] = "examples/hello/hello";

TEST(HelloTest, CallbacksRunFirstInFirstOutAndTheLoopIsFreeWhileACoroutineSleeps) {
  const ProgramRun run = RunProgram(kHello, {});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  std::vector<std::string> said;
  for (const std::string& line : run.lines()) {
    std::smatch match;
    ASSERT_TRUE(std::regex_match(line, match, std::regex(R"(\d:\d\d:\d\d\.\d{6}: (.*))"))) << line;
    said.push_back(match[1]);
  }
  EXPECT_THAT(said, ::testing::ElementsAre(
                        "the loop starts", "callback 1", "callback 2", "callback 3", "Hello ...",
                        "callback 4, which callback 1 has posted", "a timer, while Hello sleeps",
                        "... World!", "the loop has ended"));
}

TEST(HelloTest, ItTakesTheReactorThatItIsTold) {
  EXPECT_EQ(RunProgram(kHello, {"--reactor=epoll"}).exit_status, 0);
  EXPECT_EQ(RunProgram(kHello, {"--reactor", "auto"}).exit_status, 0);
  EXPECT_EQ(RunProgram(kHello, {}, {.environment = {"PLAIT_REACTOR=epoll"}}).exit_status, 0);
}

// As in a container whose sandbox forbids it.
TEST(HelloTest, WhereTheKernelRefusesIoUringItRunsOnEpollAndSaysWhyInOneLine) {
  for (const char* reactor : {"--reactor=io_uring", "--reactor=auto"}) {
    const ProgramRun run =
        RunProgram(kHello, {reactor}, {.refused_system_call = SYS_io_uring_setup});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_THAT(run.output, ::testing::HasSubstr("... World!"));
    EXPECT_THAT(run.error, ::testing::MatchesRegex("plait: epoll takes the place of io_uring[^\n]*"
                                                   "io_uring_setup: [^\n]*EPERM[^\n]*\n"));
  }
}

TEST(HelloTest, ItRunsOnEveryReactor) { ExpectEveryReactor(kHello, {}); }

TEST(HelloTest, ItHasManners) {
  ExpectHelp(kHello, {"--reactor=TEXT"});
  ExpectManners(kHello);
}

}  // namespace
}  // namespace examples
