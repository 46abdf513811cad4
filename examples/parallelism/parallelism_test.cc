#include <sys/syscall.h>

#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kProgram[] = "examples/parallelism/parallelism";

// Sizes that tell who waits for whom and no more.
std::vector<std::string> Small(std::vector<std::string> more = {}) {
  std::vector<std::string> flags = {"--sleep=20ms", "--work=5ms"};
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

// "S0 S1 F0 F1": the starts and finishes of a transcript in their order.
std::string Order(const ProgramRun& run) {
  static const std::regex kEvent(R"(\d:\d\d:\d\d\.\d{6}: (Start|Finished) work for number=(\d+))");
  std::string order;
  for (const std::string& line : run.lines()) {
    std::smatch match;
    if (!std::regex_match(line, match, kEvent)) continue;
    absl::StrAppend(&order, order.empty() ? "" : " ", match[1] == "Start" ? "S" : "F",
                    match[2].str());
  }
  return order;
}

ProgramRun RunOne(const std::string& workload, const std::string& backend,
                  std::vector<std::string> more = {}) {
  more.push_back("--workload=" + workload);
  more.push_back("--backend=" + backend);
  ProgramRun run = RunProgram(kProgram, Small(more));
  EXPECT_EQ(run.exit_status, 0) << run.error;
  EXPECT_EQ(run.error, "");
  return run;
}

// Seconds by backend, as the last lines say.
std::map<std::string, double> SecondsByBackend(const ProgramRun& run) {
  static const std::regex kCell(R"(parallelism workload=\w+ backend=(\w+) tasks=\d+ seconds=(.*))");
  std::map<std::string, double> seconds;
  for (const std::string& line : run.lines()) {
    std::smatch match;
    if (std::regex_match(line, match, kCell)) seconds[match[1]] = std::stod(match[2]);
  }
  return seconds;
}

TEST(ParallelismTest, SynchronousTasksRunOneAfterTheOther) {
  for (const char* workload : {"sleep", "hard_work"}) {
    EXPECT_EQ(Order(RunOne(workload, "sync")), "S0 F0 S1 F1 S2 F2 S3 F3 S4 F4");
  }
}

TEST(ParallelismTest, CoroutinesThatSleepAllStartBeforeAnyFinishes) {
  EXPECT_EQ(Order(RunOne("sleep", "async")), "S0 S1 S2 S3 S4 F0 F1 F2 F3 F4");
}

TEST(ParallelismTest, CoroutinesThatComputeRunOneAfterTheOther) {
  EXPECT_EQ(Order(RunOne("hard_work", "async")), "S0 F0 S1 F1 S2 F2 S3 F3 S4 F4");
}

TEST(ParallelismTest, ThreadsAndProcessesStartAndFinishEachTaskOnce) {
  for (const char* backend : {"threads", "processes", "pool"}) {
    for (const char* workload : {"sleep", "hard_work"}) {
      SCOPED_TRACE(absl::StrCat(workload, ", ", backend));
      const std::string order = Order(RunOne(workload, backend));
      const std::vector<std::string> events = absl::StrSplit(order, ' ');
      EXPECT_THAT(events, SizeIs(10));
      EXPECT_THAT(std::set<std::string>(events.begin(), events.end()),
                  ElementsAre("F0", "F1", "F2", "F3", "F4", "S0", "S1", "S2", "S3", "S4"));
      for (int n = 0; n < 5; ++n) {
        EXPECT_LT(order.find(absl::StrCat("S", n)), order.find(absl::StrCat("F", n)));
      }
    }
  }
}

// (That hard_work scales with the cores is for backends_test to show: it does so however busy the
// machine is.)
TEST(ParallelismTest, SleepsOverlapOnEveryBackendButSync) {
  // Four sleeps take 800 ms one after the other. Whatever else the machine does, once in a while
  // they all overlap. (They are so long because processes under a sanitizer take long to start.)
  std::set<std::string> backends = {"threads", "processes", "async", "pool"};
  for (int attempt = 0; attempt < 20 && !backends.empty(); ++attempt) {
    std::map<std::string, double> seconds =
        SecondsByBackend(RunOne("sleep", "all", {"--tasks=4", "--sleep=200ms"}));
    EXPECT_THAT(seconds, SizeIs(5));
    EXPECT_GE(seconds["sync"], 0.8);
    std::erase_if(backends, [&](const std::string& backend) { return seconds[backend] < 0.4; });
  }
  EXPECT_THAT(backends, IsEmpty());
}

TEST(ParallelismTest, EveryTaskHasAProcessOfItsOwn) {
  const ProgramRun run = RunOne("sleep", "processes");
  static const std::regex kLine(R"(Process (\d+) had the work done by the processes (.*))");
  std::set<std::string> pids;
  for (const std::string& line : run.lines()) {
    std::smatch match;
    if (!std::regex_match(line, match, kLine)) continue;
    pids.insert(match[1]);
    for (const auto pid : absl::StrSplit(match[2].str(), ", ")) pids.insert(std::string(pid));
  }
  EXPECT_THAT(pids, SizeIs(6));
}

TEST(ParallelismTest, ACrashInOneChildLeavesTheOthers) {
  const ProgramRun run =
      RunProgram(kProgram, Small({"--backend=processes", "--workload=sleep", "--crash=2"}));
  EXPECT_EQ(run.exit_status, 1);
  for (const char* number : {"0", "1", "3", "4"}) {
    EXPECT_THAT(run.output, HasSubstr(absl::StrCat("Finished work for number=", number, "\n")));
  }
  EXPECT_THAT(run.output, Not(HasSubstr("Finished work for number=2")));
  EXPECT_THAT(run.lines(), Contains(MatchesRegex(
                               ".*: number=2 crashed: calling work: its worker process [0-9]+ was "
                               "killed by SIGABRT.*")));
  EXPECT_THAT(run.lines().back(),
              MatchesRegex("parallelism workload=sleep backend=processes tasks=5 "
                           "seconds=[0-9]+\\.[0-9]{3} failed=1"));
}

TEST(ParallelismTest, AllOfItEndsWithTheTableAndALineForEachCell) {
  const ProgramRun run = RunProgram(kProgram, Small({"--tasks=3", "--reactor=epoll"}));
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> lines = run.lines();
  ASSERT_GT(lines.size(), 10u);
  size_t cell = lines.size() - 10;
  for (const char* workload : {"sleep", "hard_work"}) {
    for (const char* backend : {"sync", "threads", "processes", "async", "pool"}) {
      EXPECT_THAT(lines[cell++],
                  MatchesRegex(absl::StrCat("parallelism workload=", workload, " backend=", backend,
                                            " tasks=3 seconds=[0-9]+\\.[0-9]{3}")));
    }
  }
  EXPECT_THAT(lines,
              Contains(MatchesRegex("Finished program after [0-9]:[0-9]{2}:[0-9]{2}\\.[0-9]{6}"))
                  .Times(10));
  EXPECT_THAT(lines, Contains(MatchesRegex("\\| sleep, seconds .*")));
  EXPECT_THAT(lines, Contains(MatchesRegex("\\| hard_work, seconds .*")));
  EXPECT_THAT(run.output, HasSubstr("C++ has no GIL"));
  EXPECT_THAT(run.output, HasSubstr("Amdahl"));
}

TEST(ParallelismTest, ManyTasksAreTooManyForThePictureAndNothingElse) {
  for (const char* backend : {"sync", "threads", "processes", "async", "pool"}) {
    const ProgramRun run = RunOne("sleep", backend, {"--tasks=256", "--sleep=0"});
    EXPECT_THAT(run.lines(), Contains(MatchesRegex(".*: Finished work for number=.*")).Times(256));
    EXPECT_THAT(run.output, Not(HasSubstr("|=")));
  }
}

TEST(ParallelismTest, AProcessThatTheSystemRefusesFailsItsTaskAndSaysSo) {
  // LeakSanitizer needs the same system call.
  const ProgramRun run = RunProgram(
      kProgram, Small({"--backend=processes", "--workload=sleep", "--tasks=2"}),
      {.environment = {"ASAN_OPTIONS=detect_leaks=0"}, .refused_system_call = SYS_clone});
  EXPECT_EQ(run.exit_status, 1) << run.error;
  for (const char* number : {"0", "1"}) {
    EXPECT_THAT(
        run.lines(),
        Contains(MatchesRegex(absl::StrCat(
            ".*: number=", number, " failed: no process for it: .*Operation not permitted"))));
  }
  EXPECT_THAT(run.lines().back(), HasSubstr(" failed=2"));
}

TEST(ParallelismTest, ATerminalSeesTheProgressAPipeDoesNot) {
  for (const char* backend : {"sync", "threads", "processes", "async", "pool"}) {
    SCOPED_TRACE(backend);
    const std::vector<std::string> flags =
        Small({"--workload=sleep", absl::StrCat("--backend=", backend)});
    const ProgramRun terminal = RunProgram(
        kProgram, flags, {.environment = {"TERM=xterm", "NO_COLOR=1"}, .terminal = true});
    EXPECT_THAT(
        terminal.output,
        HasSubstr(absl::StrCat("sleep, ", backend, " [....................] 0 of 5 finished")));
    EXPECT_THAT(terminal.output, HasSubstr("\r\x1b[K"));
    EXPECT_THAT(terminal.output, Not(HasSubstr("\x1b[1m")));  // NO_COLOR
    const ProgramRun pipe = RunProgram(kProgram, flags);
    EXPECT_THAT(pipe.output, Not(HasSubstr("0 of 5 finished")));
    EXPECT_THAT(pipe.output, Not(HasSubstr("\r")));
    EXPECT_THAT(pipe.output, Not(HasSubstr("\x1b")));
  }
}

TEST(ParallelismTest, ItRunsOnEveryReactor) { ExpectEveryReactor(kProgram, Small({})); }

TEST(ParallelismTest, ItHasManners) {
  ExpectHelp(kProgram, {"--workload=sleep|hard_work|all",
                        "--backend=sync|threads|processes|async|pool|all", "--tasks=N",
                        "--sleep=TIME", "--work=TIME", "--article", "--crash=N", "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--backend=gpu"},
                "is not one of sync, threads, processes, async, pool, all");
  ExpectRefusal(kProgram, {"--workload=rest"}, "is not one of sleep, hard_work, all");
  ExpectRefusal(kProgram, {"--tasks=0"}, "is not a whole number from 1 to 256");
  ExpectRefusal(kProgram, {"--tasks=-1"}, "is not a whole number from 1 to 256");
  ExpectRefusal(kProgram, {"--tasks=nan"}, "is not a whole number from 1 to 256");
  ExpectRefusal(kProgram, {"--tasks=1e9"}, "is not a whole number from 1 to 256");
  ExpectRefusal(kProgram, {"--sleep=-2s"}, "is not a length of time");
  ExpectRefusal(kProgram, {"--work=nan"}, "is not a length of time");
  ExpectRefusal(kProgram, {"--crash=1"}, "--crash needs --backend=processes");
  ExpectRefusal(kProgram, {"--crash=5", "--backend=processes"}, "less than --tasks");
}

}  // namespace
}  // namespace examples
