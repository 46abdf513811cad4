#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::Each;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kUnsync[] = "examples/unsync/unsync";

TEST(UnsyncTest, AllKindsAreStartedBeforeAnyIsWaitedForAndGiveTheirResults) {
  const auto process_of = [](const std::string& line) { return line.substr(line.rfind(' ')); };
  ProgramRun run;
  std::vector<std::string> lines;
  // On a busy machine one process may do both before the other is ready: but not each time.
  for (int i = 0; i < 60; ++i) {
    run = RunProgram(kUnsync, {"--count=2", "--duration=20ms"});
    lines = run.lines();
    if (lines.size() != 12 || process_of(lines[10]) != process_of(lines[11])) break;
  }
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  ASSERT_THAT(lines, SizeIs(12)) << run.output;
  for (int n = 0; n < 2; ++n) {
    EXPECT_THAT(lines[n], EndsWith(": started a coroutine"));
    EXPECT_THAT(lines[2 + n], EndsWith(": started a thread"));
    EXPECT_THAT(lines[4 + n], EndsWith(": started a process"));
    EXPECT_THAT(lines[6 + n], HasSubstr("the coroutine slept as a coroutine"));
    EXPECT_THAT(lines[6 + n], HasSubstr("\"coroutines"));
    EXPECT_THAT(lines[8 + n], HasSubstr("the thread blocked as a function"));
    EXPECT_THAT(lines[8 + n], HasSubstr("\"blocking\""));
    EXPECT_THAT(lines[10 + n], HasSubstr("the process worked as a function, in the process "));
  }
  EXPECT_NE(process_of(lines[10]), process_of(lines[11]));
}

TEST(UnsyncTest, OneKindMayBeChosen) {
  for (const std::string kind : {"coroutine", "thread", "process"}) {
    const ProgramRun run = RunProgram(kUnsync, {"--kind=" + kind, "--count=3", "--duration=1ms"});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_THAT(run.lines(), SizeIs(6));
    EXPECT_THAT(run.lines(), Each(HasSubstr(kind)));
  }
}

TEST(UnsyncTest, ItRunsOnEveryReactor) {
  ExpectEveryReactor(kUnsync, {"--count=1", "--duration=1ms"});
}

TEST(UnsyncTest, ItHasManners) {
  ExpectHelp(kUnsync, {"--kind=", "--count=N", "--duration=", "--reactor=TEXT"});
  ExpectManners(kUnsync);
  ExpectRefusal(kUnsync, {"--kind=fibre"}, "--kind");
  ExpectRefusal(kUnsync, {"--count=-1"}, "--count");
}

}  // namespace
}  // namespace examples
