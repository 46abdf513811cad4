#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"
#include "plait/examples/support/server_program.h"
#include "plait/io/auto_reactor/auto_reactor.h"

namespace examples {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr char kProgram[] = "examples/subprocess/subprocess";
constexpr char kStamp[] = " [0-9]+:[0-9]{2}:[0-9]{2}\\.[0-9]{6} ";

auto Line(const std::string& regex) { return MatchesRegex(kStamp + regex); }

class SubprocessTest : public ::testing::TestWithParam<std::string> {
 protected:
  ProgramRun RunIt(std::vector<std::string> arguments) {
    arguments.push_back(absl::StrCat("--reactor=", GetParam()));
    return RunProgram(kProgram, arguments);
  }
};

// The lines of the section whose title begins with `title`.
std::vector<std::string> Section(const ProgramRun& run, const std::string& title) {
  std::vector<std::string> section;
  bool inside = false;
  for (const std::string& line : run.lines()) {
    if (line.empty() || line[0] != ' ') {
      inside = line.rfind(title, 0) == 0;
    } else if (inside) {
      section.push_back(line);
    }
  }
  EXPECT_FALSE(section.empty()) << "no section " << title << " in\n" << run.output;
  return section;
}

// Its number stands in the first line.
TEST_P(SubprocessTest, WhatItHasStartedEndsWhenItIsToldToEnd) {
  for (const int signal : {SIGINT, SIGTERM}) {
    ServerProgram program(kProgram,
                          {"--command=exec sleep 1000", absl::StrCat("--reactor=", GetParam())});
    const ProgramRun run = program.Stop(signal);
    EXPECT_EQ(run.exit_status, 1);
    EXPECT_THAT(run.lines().back(), HasSubstr("told to end"));
    int pid = 0;
    const std::string first = run.lines().front();
    const size_t number = first.rfind(' ');
    ASSERT_TRUE(absl::SimpleAtoi(first.substr(number + 1), &pid)) << first;
    EXPECT_EQ(::kill(pid, 0), -1) << "it still runs";
  }
}

TEST_P(SubprocessTest, ASignalThatWasIgnoredWhenItBeganStaysSo) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string send = absl::StrCat("kill -", signal, " $PPID; ");
    const std::vector<std::string> arguments = {
        absl::StrCat("--command=", send, send, "echo still here"),
        absl::StrCat("--reactor=", GetParam())};
    const ProgramRun run = RunProgram(kProgram, arguments, {.ignored_signal = signal});
    EXPECT_EQ(run.exit_status, 0) << "signal " << run.signal;
    EXPECT_THAT(run.lines(), Contains(Line("sh \\| still here")));
  }
}

TEST_P(SubprocessTest, TheTourShowsWhatCanBeDoneWithAProcess) {
  const ProgramRun run = RunIt({});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(Section(run, "Start"),
              UnorderedElementsAre(Line("pid\\(\\)       -> a number"), Line("sh \\| first"),
                                   Line("sh ! second"), Line("sh \\| third"),
                                   Line("Wait\\(\\)      -> exit status 3")));
  EXPECT_THAT(Section(run, "Communicate"),
              ElementsAre(Line("output      -> \"cats\\\\nbees\\\\nants\\\\n\""),
                          Line("status      -> exit status 0")));
  EXPECT_THAT(Section(run, "Shell"),
              ElementsAre(Line("output      -> \"HELLO; ECHO NOT A COMMAND FROM /\\\\n\""),
                          Line("without any -> \"\"")));
  EXPECT_THAT(Section(run, "Timeout"), ElementsAre(Line("co_await    -> DEADLINE_EXCEEDED.*"),
                                                   Line("status      -> killed by SIGKILL")));
  EXPECT_THAT(Section(run, "Terminate"),
              ElementsAre(Line("sh \\| ready"), Line("Terminate\\(\\) -> OK"),
                          Line("sh \\| tidying up"), Line("Wait\\(\\)      -> exit status 7"),
                          Line("Kill\\(\\)      -> FAILED_PRECONDITION, it has ended")));
  EXPECT_THAT(Section(run, "Many at once"),
              ElementsAre(Line("the squares of 1 to 15 add up to 1240"),
                          Line("all of them took less than one after the other would have")));
}

TEST_P(SubprocessTest, ACommandThatDoesNotExistSaysSo) {
  EXPECT_THAT(Section(RunIt({}), "Errors"),
              ElementsAre(Line("Start\\(\\)     -> NOT_FOUND: .*no-such-command.*"),
                          Line("Start\\(\\)     -> PERMISSION_DENIED: .*/etc/passwd.*"),
                          Line("Start\\(\\)     -> PERMISSION_DENIED: .*\"/\".*"),
                          Line("Start\\(\\)     -> NOT_FOUND: .*/no/such/directory.*")));
  // To the shell it is the shell's to say.
  const ProgramRun run = RunIt({"--command=no-such-command"});
  EXPECT_EQ(run.exit_status, 127);
  EXPECT_THAT(run.lines(), Contains(Line("sh ! .*no-such-command.*not found")));
  EXPECT_THAT(run.lines(), Contains(Line("sh: exit status 127")));
}

TEST_P(SubprocessTest, ACommandsLinesAreShownAndItsStatusIsTheProgramsOwn) {
  const ProgramRun run =
      RunIt({"--command=pwd; echo whole; echo wrong >&2; printf half; exit 5", "--directory=/"});
  EXPECT_EQ(run.exit_status, 5);
  for (const char* line : {"sh is process [0-9]+", "sh \\| /", "sh \\| whole", "sh ! wrong",
                           "sh \\| half", "sh: exit status 5"}) {
    EXPECT_THAT(run.lines(), Contains(Line(line)));
  }
  EXPECT_THAT(run.lines().back(), StartsWith("subprocess runs=1 well=0 seconds="));
  const ProgramRun killed = RunIt({"--command=kill -TERM $$"});
  EXPECT_EQ(killed.exit_status, 128 + 15);
  EXPECT_THAT(killed.lines(), Contains(Line("sh: killed by SIGTERM")));
}

TEST_P(SubprocessTest, ACommandThatTakesTooLongIsKilledWithAllThatItStarted) {
  // The pipe ends only when the sleep in the background has gone too.
  const ProgramRun run =
      RunIt({"--command=sleep 1000 & echo begun; sleep 1000", "--timeout=200ms"});
  EXPECT_EQ(run.exit_status, 124);
  EXPECT_THAT(run.lines(), Contains(Line("sh took longer than 200ms: killed by SIGKILL")));
}

TEST_P(SubprocessTest, ManyCommandsRunAtOnceAndEachHasItsNumber) {
  // Each waits until all three are there.
  const ProgramRun run =
      RunIt({"--times=3", "--timeout=60s",
             "--command=d=$TEST_TMPDIR/many; mkdir -p $d; touch $d/$NUMBER; "
             "until [ -e $d/1 ] && [ -e $d/2 ] && [ -e $d/3 ]; do sleep 0.01; done; echo $NUMBER"});
  EXPECT_EQ(run.exit_status, 0);
  for (const char* line : {"sh 1 \\| 1", "sh 2 \\| 2", "sh 3 \\| 3", "sh 3: exit status 0"}) {
    EXPECT_THAT(run.lines(), Contains(Line(line)));
  }
  EXPECT_THAT(run.lines().back(), StartsWith("subprocess runs=3 well=3 seconds="));
}

INSTANTIATE_TEST_SUITE_P(Reactors, SubprocessTest, ::testing::ValuesIn(plait::ReactorNames()),
                         [](const auto& info) { return info.param; });

TEST(SubprocessMannersTest, ItHasManners) {
  ExpectHelp(kProgram, {"--command=TEXT", "--times=N", "--timeout=TIME", "--directory=TEXT",
                        "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--times=3"}, "need a --command");
  ExpectRefusal(kProgram, {"--command=true", "--times=0"}, "--times");
  ExpectRefusal(kProgram, {"--command=true", "--timeout=soon"}, "is not a length of time");
}

TEST(SubprocessMannersTest, ADirectoryThatDoesNotExistIsAnErrorThatNamesIt) {
  const ProgramRun run = RunProgram(kProgram, {"--command=true", "--directory=/no/such"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.output, StartsWith("NOT_FOUND: "));
  EXPECT_THAT(run.output, HasSubstr("/no/such"));
}

TEST(SubprocessMannersTest, ColoursAreForTerminalsUnlessTheyAreTurnedOff) {
  const std::vector<std::string> arguments = {"--command=echo word"};
  EXPECT_THAT(RunProgram(kProgram, arguments).output, Not(HasSubstr("\x1b")));
  const ProgramOptions coloured{.environment = {"TERM=xterm", "NO_COLOR="}, .terminal = true};
  EXPECT_THAT(RunProgram(kProgram, arguments, coloured).output, HasSubstr("\x1b["));
  const ProgramOptions plain{.environment = {"TERM=xterm", "NO_COLOR=1"}, .terminal = true};
  EXPECT_THAT(RunProgram(kProgram, arguments, plain).output, Not(HasSubstr("\x1b[")));
}

}  // namespace
}  // namespace examples
