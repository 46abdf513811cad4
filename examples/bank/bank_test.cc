#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_THREAD_SANITIZER 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define UNDER_THREAD_SANITIZER 1
#endif

namespace examples {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr char kProgram[] = "examples/bank/bank";

TEST(BankTest, EverySafeModeKeepsEveryCoin) {
  const ProgramRun run = RunProgram(kProgram, {"--transfers=1000", "--threads=4"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> lines = run.lines();
  ASSERT_GE(lines.size(), 3u);
  EXPECT_EQ(lines[0],
            "8 accounts with 1000 each; 8 tellers on 4 threads make 1000 transfers each.");
  EXPECT_THAT(lines, Contains("Coarse: one Mutex for the whole bank"));
  EXPECT_THAT(lines,
              Contains("Fine: a Mutex for each account, locked in the order of their numbers"));
  EXPECT_THAT(lines, Contains("Strand: one transfer at a time, without a lock"));
  EXPECT_THAT(lines,
              Contains("  8000 in the morning, 8000 in the evening: every coin is there").Times(3));
  EXPECT_THAT(run.output, Not(HasSubstr("Unsafe")));  // only when it is asked for
  size_t line = lines.size() - 3;
  for (const char* mode : {"coarse", "fine", "strand"}) {
    EXPECT_THAT(lines[line++],
                MatchesRegex(std::string("bank mode=") + mode +
                             " threads=4 tellers=8 transfers=8000 seconds=[0-9]+\\.[0-9]{3} "
                             "before=8000 after=8000"));
  }
}

TEST(BankTest, TwoAccountsThatEverybodyWantsDoNotLockEachOtherOut) {
  for (const char* mode : {"--mode=coarse", "--mode=fine", "--mode=strand"}) {
    SCOPED_TRACE(mode);
    const ProgramRun run = RunProgram(
        kProgram, {mode, "--accounts=2", "--threads=4", "--tellers=16", "--transfers=300"});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_THAT(run.lines(),
                Contains("  2000 in the morning, 2000 in the evening: every coin is there"));
  }
}

TEST(BankTest, OneThreadCannotGetInItsOwnWayBetweenTwoAwaits) {
  const ProgramRun run = RunProgram(kProgram, {"--mode=unsafe", "--threads=1", "--transfers=1000"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.lines(),
              Contains("  8000 in the morning, 8000 in the evening: every coin is there"));
}

// The race itself: what it loses is not to be foretold, but the thread sanitizer sees it.
TEST(BankTest, TheUnsafeModeIsADataRace) {
  const ProgramRun run = RunProgram(kProgram, {"--mode=unsafe", "--threads=4", "--transfers=2000"});
  EXPECT_THAT(run.output, HasSubstr("Unsafe: nothing keeps two tellers from the same account"));
#ifdef UNDER_THREAD_SANITIZER
  EXPECT_THAT(run.error, HasSubstr("ThreadSanitizer: data race"));
#else
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.lines().back(), HasSubstr("bank mode=unsafe threads=4"));
#endif
}

TEST(BankTest, ItRunsOnEveryReactor) {
  ExpectEveryReactor(kProgram, {"--transfers=200", "--threads=2"});
}

TEST(BankTest, ItHasManners) {
  ExpectHelp(kProgram, {"--mode=unsafe|coarse|fine|strand|safe|all", "--threads=N", "--accounts=N",
                        "--tellers=N", "--transfers=N", "--seed=N", "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--mode=trusting"}, "is not one of unsafe, coarse");
  ExpectRefusal(kProgram, {"--accounts=1"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--threads=0"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--transfers=-1"}, "is not a whole number");
}

}  // namespace
}  // namespace examples
