#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"
#include "plait/examples/support/server_program.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/testing/test_folder.h"

namespace examples {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kProgram[] = "examples/wordcount/wordcount";
constexpr char kStamp[] = " [0-9]+:[0-9]{2}:[0-9]{2}\\.[0-9]{6} ";

auto Line(const std::string& regex) { return MatchesRegex(kStamp + regex); }

TEST(WordcountTest, WordsOfFilesAndOfDirectoriesAreCountedTwiceAlike) {
  const plait::TestFolder folder;
  folder.Write("first", "The cat and the dog.\nThe end");
  folder.Write("empty", "");
  ASSERT_EQ(::mkdir((folder / "below").c_str(), 0700), 0);
  folder.Write("below/second", "and THE cat\n");
  ASSERT_EQ(::symlink("first", (folder / "link").c_str()), 0);
  const ProgramRun run = RunProgram(kProgram, {"--paths=" + folder.path(), "--top=3"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> lines = run.lines();
  for (const std::string& line :
       {folder / "first: 7 words, 28 bytes", folder / "below/second: 3 words, 12 bytes",
        folder / "empty: 0 words, 0 bytes"}) {
    EXPECT_THAT(lines, Contains(Line(line)).Times(2));
  }
  EXPECT_THAT(lines, Contains("         4 the"));
  EXPECT_THAT(lines, Contains("         2 and"));
  EXPECT_THAT(lines, Contains("         2 cat"));
  EXPECT_THAT(run.output, Not(HasSubstr("1 dog")));
  EXPECT_THAT(lines.back(),
              StartsWith("wordcount files=3 failed=0 bytes=40 words=10 distinct=5 one_by_one="));
}

TEST(WordcountTest, AWordIsCountedOnceWhereverThePiecesOfItsFileEnd) {
  const plait::TestFolder folder;
  std::string text;
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&text, "word", i, i % 10 == 0 ? "\n" : " ");
  const std::string path = folder.Write("file", text);
  // No end of a word for a long time.
  const std::string binary = folder.Write("binary", std::string(100'000, 'x'));
  const ProgramRun run =
      RunProgram(kProgram, {"--paths=" + path + "," + path, "--piece-kib=1", "--readers=2"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.Figure("files"), 2);
  EXPECT_EQ(run.Figure("words"), 10'000);
  EXPECT_EQ(run.Figure("distinct"), 5000);
  const ProgramRun long_word = RunProgram(kProgram, {"--paths=" + binary, "--piece-kib=1"});
  EXPECT_EQ(long_word.exit_status, 0);
  EXPECT_EQ(long_word.Figure("bytes"), 100'000);
}

TEST(WordcountTest, TheDemonstrationOverlapsDiskAndProcessorsAndLeavesNothingBehind) {
  const plait::TestFolder folder;
  const ProgramRun run =
      RunProgram(kProgram, {"--demo-files=4", "--demo-kib=64", "--piece-kib=8", "--slow-disk=60ms"},
                 {.environment = {"TMPDIR=" + folder.path()}});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(run.lines(),
              Contains(StartsWith("A demonstration, with files of our own in " + folder.path())));
  EXPECT_THAT(run.lines(),
              Contains(Line(".*/text-0[0-3]\\.txt: [0-9]+ words, 64\\.0 KiB")).Times(8));
  EXPECT_EQ(run.Figure("bytes"), 4 * 64 * 1024);
  // 4 files of 8 pieces and an end: one after the other that is 36 times 60 ms. Four files at once
  // wait at the same time, which spares 1.62 s: far more than a busy machine takes away again.
  EXPECT_GE(run.Figure("one_by_one"), 2.160);
  EXPECT_LT(run.Figure("overlapped"), run.Figure("one_by_one"));
  EXPECT_GT(run.Figure("gain"), 1.0);
  EXPECT_THAT(folder.Names(), IsEmpty());
}

// On a disk on which it would never come to its end.
TEST(WordcountTest, ADemonstrationThatIsEndedLeavesNothingBehind) {
  const plait::TestFolder folder;
  ASSERT_EQ(::setenv("TMPDIR", folder.path().c_str(), /*overwrite=*/1), 0);
  for (const int signal : {SIGINT, SIGTERM}) {
    for (const std::string& reactor : plait::ReactorNames()) {
      SCOPED_TRACE(absl::StrCat(signal, " ", reactor));
      ServerProgram program(
          kProgram, {"--demo-files=2", "--demo-kib=1", "--slow-disk=100h", "--reactor=" + reactor});
      EXPECT_THAT(folder.Names(), SizeIs(1));
      const ProgramRun run = program.Stop(signal);
      EXPECT_EQ(run.exit_status, 1);
      EXPECT_THAT(run.lines().back(), HasSubstr("told to end"));
      EXPECT_THAT(folder.Names(), IsEmpty());
    }
  }
  ASSERT_EQ(::unsetenv("TMPDIR"), 0);
}

TEST(WordcountTest, ADemonstrationThatNobodyReadsLeavesNothingBehind) {
  const plait::TestFolder folder;
  const ProgramRun run =
      RunProgram(kProgram, {"--demo-files=2", "--demo-kib=1", "--slow-disk=100h"},
                 {.environment = {"TMPDIR=" + folder.path()}, .nobody_reads = true});
  EXPECT_EQ(run.signal, SIGPIPE) << run.exit_status;
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST(WordcountTest, TheResultIsTheSameOnEveryReactor) {
  std::vector<double> words;
  for (const std::string& reactor : plait::ReactorNames()) {
    const ProgramRun run =
        RunProgram(kProgram, {"--reactor=" + reactor, "--demo-files=3", "--demo-kib=300",
                              "--piece-kib=7", "--slow-disk=0"});
    EXPECT_EQ(run.exit_status, 0) << reactor;
    words.push_back(run.Figure("words"));
    EXPECT_GT(words.back(), 0) << reactor;
    EXPECT_EQ(words.back(), words.front()) << reactor;
  }
}

TEST(WordcountTest, AFileThatCannotBeReadIsToldAndTheOthersAreCounted) {
  const plait::TestFolder folder;
  const std::string path = folder.Write("file", "two words");
  const std::string none = folder / "none";
  const ProgramRun run = RunProgram(kProgram, {"--paths=" + none + "," + path});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.lines(), Contains(Line("!! NOT_FOUND: open \"" + none + "\": .*")).Times(2));
  EXPECT_THAT(run.lines().back(), StartsWith("wordcount files=2 failed=1 bytes=9 words=2 "));
}

TEST(WordcountTest, ColoursAndProgressAreForTerminalsAndColoursCanBeTurnedOff) {
  const plait::TestFolder folder;
  const std::string path = folder.Write("file", "two words");
  const ProgramRun plain = RunProgram(kProgram, {"--paths=" + path});
  EXPECT_THAT(plain.output, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr(" counted"))));
  const ProgramRun terminal =
      RunProgram(kProgram, {"--paths=" + path},
                 {.environment = {"TERM=xterm", "NO_COLOR="}, .terminal = true});
  EXPECT_THAT(terminal.output, AllOf(HasSubstr("\x1b[1m"), HasSubstr(" 9 bytes counted")));
  const ProgramRun colourless =
      RunProgram(kProgram, {"--paths=" + path},
                 {.environment = {"TERM=xterm", "NO_COLOR=1"}, .terminal = true});
  EXPECT_THAT(colourless.output, Not(HasSubstr("\x1b[1m")));
}

TEST(WordcountTest, ItHasManners) {
  ExpectHelp(kProgram,
             {"--paths=TEXT", "--demo-files=N", "--demo-kib=N", "--readers=N", "--counters=N",
              "--piece-kib=N", "--slow-disk=TIME", "--keep-cache", "--top=N", "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--readers=0"}, "--readers");
  ExpectRefusal(kProgram, {"--piece-kib=many"}, "--piece-kib");
  ExpectRefusal(kProgram, {"--slow-disk=-1s"}, "is not a length of time");
}

}  // namespace
}  // namespace examples
