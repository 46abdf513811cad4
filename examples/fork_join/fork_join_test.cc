#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kForkJoin[] = "examples/fork_join/fork_join";

struct Case {
  const char* workload;
  const char* n;
  const char* result;
};
constexpr Case kSmall[] = {{"fib", "20", "6765"},        {"fib", "0", "0"},
                           {"skynet", "4", "49995000"},  {"skynet", "0", "0"},
                           {"nqueens", "8", "92"},       {"nqueens", "1", "1"},
                           {"matmul", "128", "2097152"}, {"matmul", "1", "1"}};
// What runs without a workload.
constexpr Case kModerate[] = {{"fib", "30", "832040"},
                              {"skynet", "6", "499999500000"},
                              {"nqueens", "11", "2680"},
                              {"matmul", "512", "134217728"}};

std::string Line(const std::string& workload, const std::string& n, const std::string& threads,
                 const std::string& result) {
  return absl::StrCat("fork_join workload=", workload, " n=", n, " threads=", threads,
                      " seconds=[0-9]+\\.[0-9]{3} result=", result, " peak_mib=[0-9]+");
}

TEST(ForkJoinTest, EachWorkloadComesToItsAnswerInEachStyleOnAnyNumberOfThreads) {
  for (const Case& c : kSmall) {
    for (const char* style : {"coroutines", "closures"}) {
      for (const char* threads : {"1", "2", "5"}) {
        const ProgramRun run = RunProgram(
            kForkJoin, {absl::StrCat("--workload=", c.workload), absl::StrCat("--n=", c.n),
                        absl::StrCat("--threads=", threads), absl::StrCat("--style=", style)});
        EXPECT_EQ(run.exit_status, 0) << run.error;
        EXPECT_EQ(run.error, "");
        ASSERT_THAT(run.lines(), SizeIs(1)) << style;
        EXPECT_THAT(run.lines().back(), MatchesRegex(Line(c.workload, c.n, threads, c.result)));
      }
    }
  }
}

TEST(ForkJoinTest, WithoutAWorkloadItRunsAllAndShowsATableAndEndsWithTheLines) {
  for (const char* style : {"coroutines", "closures"}) {
    const ProgramRun run = RunProgram(kForkJoin, {"--threads=2", absl::StrCat("--style=", style)});
    EXPECT_EQ(run.exit_status, 0) << run.error;
    EXPECT_EQ(run.error, "");
    const std::vector<std::string> lines = run.lines();
    ASSERT_THAT(lines, SizeIs(1 + 6 + 1 + 8)) << run.output;
    EXPECT_THAT(lines[1], HasSubstr("times faster"));
    EXPECT_THAT(lines[3], MatchesRegex("\\| fib\\(30\\)  .* [0-9]+\\.[0-9]{2} \\|"));
    EXPECT_THAT(lines[6], MatchesRegex("\\| matmul\\(512\\)  .* [0-9]+\\.[0-9]{2} \\|"));
    size_t at = 8;
    for (const auto& [workload, n, result] : kModerate) {
      EXPECT_THAT(lines[at++], MatchesRegex(Line(workload, n, "1", result)));
      EXPECT_THAT(lines[at++], MatchesRegex(Line(workload, n, "2", result)));
    }
  }
}

TEST(ForkJoinTest, ATerminalSeesWhatRunsAPipeDoesNot) {
  const std::vector<std::string> flags = {"--workload=fib", "--n=5", "--threads=1"};
  const ProgramRun terminal =
      RunProgram(kForkJoin, flags, {.environment = {"TERM=xterm", "NO_COLOR=1"}, .terminal = true});
  EXPECT_THAT(terminal.output, HasSubstr("fib(5) as coroutines, 1 threads"));
  EXPECT_THAT(terminal.output, Not(HasSubstr("\x1b[1m")));  // NO_COLOR
  const ProgramRun pipe = RunProgram(kForkJoin, flags);
  EXPECT_THAT(pipe.output, Not(HasSubstr("as coroutines")));
  EXPECT_THAT(pipe.output, Not(HasSubstr("\x1b")));
}

TEST(ForkJoinTest, ItRunsOnEveryReactor) {
  ExpectEveryReactor(kForkJoin, {"--workload=fib", "--n=20", "--threads=3"});
}

TEST(ForkJoinTest, ItHasManners) {
  ExpectHelp(kForkJoin, {"--workload=fib|nqueens|matmul|skynet|all", "--n=N", "--threads=N",
                         "--style=coroutines|closures", "--reactor=TEXT"});
  ExpectRefusal(kForkJoin, {"--no-such-flag"}, "there is no flag \"--no-such-flag\"");
  ExpectRefusal(kForkJoin, {"word"}, "\"word\" is not a flag");
  ExpectRefusal(kForkJoin, {"--workload=quicksort"},
                "is not one of fib, nqueens, matmul, skynet, all");
  ExpectRefusal(kForkJoin, {"--style=threads"}, "is not one of coroutines, closures");
  ExpectRefusal(kForkJoin, {"--reactor=abacus"}, "unknown reactor \"abacus\"");
  ExpectRefusal(kForkJoin, {"--threads=0"}, "is not a whole number from 1 to 256");
  ExpectRefusal(kForkJoin, {"--threads=many"}, "is not a whole number from 1 to 256");
  ExpectRefusal(kForkJoin, {"--n=10"}, "--n needs a --workload");
  ExpectRefusal(kForkJoin, {"--workload=fib", "--n=61"}, "are from 0 to 60");
  ExpectRefusal(kForkJoin, {"--workload=skynet", "--n=10"}, "are from 0 to 9");
  ExpectRefusal(kForkJoin, {"--workload=nqueens", "--n=17"}, "are from 1 to 16");
  ExpectRefusal(kForkJoin, {"--workload=matmul", "--n=100"}, "are the powers of two");
}

}  // namespace
}  // namespace examples
