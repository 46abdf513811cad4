#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

constexpr char kProgram[] = "examples/resolve/resolve";
constexpr char kStamp[] = " [0-9]+:[0-9]{2}:[0-9]{2}\\.[0-9]{6} ";

auto Line(const std::string& regex) { return Contains(MatchesRegex(kStamp + regex)); }

TEST(ResolveTest, WhatEveryMachineKnowsNeedsNoNetwork) {
  const ProgramRun run = RunProgram(kProgram, {});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> lines = run.lines();
  EXPECT_THAT(lines, Line("-> localhost"));
  EXPECT_THAT(lines, Line("<- localhost: .*127\\.0\\.0\\.1.*"));
  EXPECT_THAT(lines, Line("<- 127\\.0\\.0\\.1: 127\\.0\\.0\\.1"));
  EXPECT_THAT(lines, Line("<- ::1: ::1"));
  EXPECT_THAT(lines.back(), StartsWith("resolve names=3 found=3 failed=0 seconds="));
}

TEST(ResolveTest, TheDemonstrationShowsAnAliasASlowAnswerAndATimeout) {
  const ProgramRun run = RunProgram(kProgram, {"--demo", "--timeout=2s"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> lines = run.lines();
  ASSERT_GE(lines.size(), 14u);
  EXPECT_THAT(lines[0], StartsWith("A server of our own, at 127.0.0.1:"));
  EXPECT_THAT(lines, Line("<- www\\.example: .*192\\.0\\.2\\.10.*"));
  EXPECT_THAT(lines, Line("<- www\\.example: .*2001:db8::10.*"));
  EXPECT_THAT(lines, Line("<- alias\\.example: .*192\\.0\\.2\\.10.*"));
  EXPECT_THAT(lines, Line("<- six\\.example: 2001:db8::6"));
  EXPECT_THAT(lines, Line("<- slow\\.example: 192\\.0\\.2\\.20"));
  EXPECT_THAT(lines, Line("!! NOT_FOUND: resolve \"missing\\.example\": .*"));
  // The slow one and the one without an answer come last.
  EXPECT_THAT(
      lines.end()[-2],
      MatchesRegex(std::string(kStamp) + "!! DEADLINE_EXCEEDED: resolve \"silent\\.example\": .*"));
  EXPECT_THAT(lines.back(), StartsWith("resolve names=6 found=4 failed=2 seconds="));
  EXPECT_THAT(lines.back(), AllOf(HasSubstr(" ticks="), ::testing::Not(HasSubstr(" ticks=0"))))
      << "the clock goes on while lookups wait";
}

TEST(ResolveTest, NamesOfAddressesAreLookedUpOnDemand) {
  const ProgramRun run = RunProgram(
      kProgram, {"--demo", "--reverse", "--names=www.example", "--family=ipv6", "--timeout=10s"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.lines(), Line("<- www\\.example: 2001:db8::10"));
  EXPECT_THAT(run.lines(), Line("<- 2001:db8::10 is www\\.example"));
}

// What is looked up is known without them.
TEST(ResolveTest, AServerIsAnIpAddressWithOrWithoutAPort) {
  for (const std::string server :
       {"127.0.0.1", "127.0.0.1:5353", "::1", "[::1]", "[::1]:5353", "2001:db8::1"}) {
    const ProgramRun run = RunProgram(kProgram, {"--server=" + server, "--names=192.0.2.1"});
    EXPECT_EQ(run.exit_status, 0) << server;
    EXPECT_EQ(run.error, "") << server;
  }
}

TEST(ResolveTest, ANameThatIsNotFoundShowsInTheExitStatus) {
  const ProgramRun run = RunProgram(kProgram, {"--names=localhost,not a name"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.output, HasSubstr("!! INVALID_ARGUMENT: resolve \"not a name\": "));
  EXPECT_THAT(run.lines().back(), StartsWith("resolve names=2 found=1 failed=1 "));
}

TEST(ResolveTest, ItRunsOnEveryReactor) { ExpectEveryReactor(kProgram, {"--demo"}); }

TEST(ResolveTest, ItHasManners) {
  ExpectHelp(kProgram, {"--names=TEXT", "--server=TEXT", "--timeout=TIME", "--family=any|ipv4|ipv6",
                        "--reverse", "--demo", "--reactor=TEXT"});
  ExpectManners(kProgram);
  for (const std::string server :
       {"nowhere", "nowhere:53", "unix:/run/dns", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
        "[127.0.0.1]", "[::1", "::1]", "[::1]53", "[]", "[", ":53"}) {
    ExpectRefusal(kProgram, {"--server=" + server},
                  "--server: \"" + server + "\" is not the address of a server: write ");
  }
  ExpectRefusal(kProgram, {"--server=127.0.0.1", "--demo"}, "a server of its own");
  ExpectRefusal(kProgram, {"--family=ipv5"}, "is not one of any, ipv4, ipv6");
  ExpectRefusal(kProgram, {"--timeout=-1s"}, "is not a length of time");
}

}  // namespace
}  // namespace examples
