#include "plait/examples/support/manners.h"

#include <sys/syscall.h>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/run_program.h"
#include "plait/io/auto_reactor/auto_reactor.h"

namespace examples {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

void ExpectRefused(const std::string& path, const ProgramRun& run, const std::string& words) {
  const std::string name = path.substr(path.rfind('/') + 1);
  EXPECT_EQ(run.exit_status, 2) << "signal " << run.signal;
  EXPECT_THAT(run.output, IsEmpty());
  EXPECT_THAT(run.error, HasSubstr(words));
  // One sentence, and it says who speaks.
  EXPECT_THAT(run.error, ::testing::MatchesRegex(name + ": [^\n]+\\.\n"));
}

}  // namespace

void ExpectHelp(const std::string& path, const std::vector<std::string>& flags) {
  for (const char* word : {"--help", "-h"}) {
    SCOPED_TRACE(word);
    const ProgramRun run = RunProgram(path, {word});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_THAT(run.error, IsEmpty());
    EXPECT_THAT(run.output, HasSubstr("Usage: "));
    for (const std::string& flag : flags) EXPECT_THAT(run.output, HasSubstr("  " + flag));
  }
}

void ExpectRefusal(const std::string& path, const std::vector<std::string>& arguments,
                   const std::string& words, const std::vector<std::string>& environment) {
  SCOPED_TRACE(absl::StrJoin(arguments, " "));
  ExpectRefused(path, RunProgram(path, arguments, {.environment = environment}), words);
}

void ExpectManners(const std::string& path) {
  ExpectRefusal(path, {"--no-such-flag"}, "there is no flag \"--no-such-flag\"");
  ExpectRefusal(path, {"--no-such-flag=1"}, "there is no flag \"--no-such-flag\"");
  ExpectRefusal(path, {"--"}, "there is no flag \"--\"");
  ExpectRefusal(path, {"word"}, "\"word\" is not a flag");
  ExpectRefusal(path, {""}, "\"\" is not a flag");
  ExpectRefusal(path, {"--reactor"}, "--reactor needs a value");
  ExpectRefusal(path, {"--reactor=abacus"}, "unknown reactor \"abacus\"");
  ExpectRefusal(path, {}, "unknown reactor \"abacus\"", {"PLAIT_REACTOR=abacus"});
  {
    SCOPED_TRACE("a kernel that refuses the reactor");
    ExpectRefused(path,
                  RunProgram(path, {"--reactor=epoll"}, {.refused_system_call = SYS_epoll_create1}),
                  "epoll");
    ExpectRefused(
        path,
        RunProgram(path, {"--reactor=io_uring!"}, {.refused_system_call = SYS_io_uring_setup}),
        "io_uring");
  }
}

void ExpectEveryReactor(const std::string& path, const std::vector<std::string>& arguments) {
  std::vector<std::string> reactors = plait::ReactorNames();
  ASSERT_THAT(reactors, ::testing::Not(IsEmpty()));
  reactors.push_back("auto");
  for (const std::string& reactor : reactors) {
    SCOPED_TRACE(reactor);
    std::vector<std::string> with_reactor = arguments;
    with_reactor.push_back("--reactor=" + reactor);
    const ProgramRun run = RunProgram(path, with_reactor);
    EXPECT_EQ(run.exit_status, 0) << "signal " << run.signal;
    EXPECT_THAT(run.error, IsEmpty());
    EXPECT_THAT(run.output, ::testing::Not(IsEmpty()));
  }
}

}  // namespace examples
