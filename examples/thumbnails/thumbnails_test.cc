#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"
#include "plait/examples/support/server_program.h"
#include "plait/examples/thumbnails/broken_images.h"
#include "plait/examples/thumbnails/image.h"
#include "plait/examples/thumbnails/jpeg.h"
#include "plait/examples/thumbnails/png.h"
#include "plait/examples/thumbnails/thumbnail.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/testing/sanitized.h"
#include "plait/runtime/testing/test_folder.h"

namespace examples {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kProgram[] = "examples/thumbnails/thumbnails";
constexpr char kStamp[] = " [0-9]+:[0-9]{2}:[0-9]{2}\\.[0-9]{6} ";
constexpr char kSize[] = "[0-9.]+ (bytes|KiB|MiB)";

auto Line(const std::string& regex) { return MatchesRegex(kStamp + regex); }

auto Made(const std::string& name, const std::string& from, const std::string& to) {
  return Line(absl::StrCat(name, ": ", from, " to ", to, ", ", kSize, " to ", kSize));
}

// A folder of images and the flags to make thumbnails of it.
class ThumbnailsTest : public ::testing::Test {
 protected:
  ThumbnailsTest() { EXPECT_EQ(::mkdir((folder_ / "images").c_str(), 0700), 0); }

  void Write(const std::string& name, const std::string& content) {
    folder_.Write("images/" + name, content);
  }
  // Number 3 and its multiples are PNGs.
  void WriteSample(const std::string& name, int32_t number, int32_t width) {
    Write(name, *DrawSample(number, width));
  }
  std::string Small(const std::string& name) const { return folder_.Content("small/" + name); }

  ProgramRun Run(std::vector<std::string> more = {}, const ProgramOptions& options = {}) {
    more.insert(more.begin(), {"--from=" + folder_ / "images", "--to=" + folder_ / "small"});
    return RunProgram(kProgram, more, options);
  }

  const plait::TestFolder folder_;
};

TEST_F(ThumbnailsTest, EachImageOfAFolderGetsItsThumbnail) {
  WriteSample("one.jpg", 1, 400);
  WriteSample("three.png", 3, 320);
  WriteSample("tiny.jpg", 2, 20);
  const ProgramRun run = Run({"--size=80", "--at-once=2"});
  EXPECT_EQ(run.exit_status, 0) << run.output;
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> lines = run.lines();
  EXPECT_THAT(lines, Contains(Made("one\\.jpg", "400x300", "80x60")));
  EXPECT_THAT(lines, Contains(Made("three\\.png", "320x240", "80x60")));
  EXPECT_THAT(lines, Contains(Made("tiny\\.jpg", "20x15", "20x15")));
  EXPECT_THAT(lines.back(), StartsWith("thumbnails images=3 made=3 failed=0 skipped=0 read="));

  const absl::StatusOr<DecodedImage> one = DecodeJpeg(Small("one.jpg"), 1'000'000, 80);
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->original, (ImageSize{80, 60}));
  const absl::StatusOr<Image> three = DecodePng(Small("three.png"), 1'000'000);
  ASSERT_TRUE(three.ok()) << three.status();
  const absl::StatusOr<Image> large = DecodePng(*DrawSample(3, 320), 1'000'000);
  EXPECT_EQ(three->pixels, ScaleDown(*large, {80, 60}).pixels);
  // Nothing but whole thumbnails is left.
  EXPECT_THAT(folder_.Names(), ElementsAre("images", "small"));
  EXPECT_EQ(plait::PathExists(folder_ / "small/tiny.jpg"), true);
  EXPECT_EQ(run.Figure("written"),
            static_cast<double>(Small("one.jpg").size() + Small("three.png").size() +
                                Small("tiny.jpg").size()));
}

TEST_F(ThumbnailsTest, WhatIsBadIsToldAndIsNotTheEndOfTheOthers) {
  WriteSample("good-1.jpg", 1, 100);
  WriteSample("good-2.jpg", 2, 100);
  const std::string whole = *DrawSample(4, 100);
  Write("half.jpg", whole.substr(0, whole.size() / 2));
  Write("bomb.jpg", JpegBomb());
  Write("bomb.png", PngBomb());
  Write("empty.jpg", "");
  Write("notes.txt", "no image at all");
  WriteSample("no-place.jpg", 5, 100);
  ASSERT_EQ(::symlink("nowhere", (folder_ / "images/dangling.jpg").c_str()), 0);
  ASSERT_EQ(::symlink(".", (folder_ / "images/link.jpg").c_str()), 0);
  ASSERT_EQ(::mkdir((folder_ / "images/folder.jpg").c_str(), 0700), 0);
  ASSERT_EQ(::mkfifo((folder_ / "images/pipe.jpg").c_str(), 0600), 0);
  // A folder where a thumbnail is to be, with something in it: not even root writes that.
  ASSERT_EQ(::mkdir((folder_ / "small").c_str(), 0700), 0);
  ASSERT_EQ(::mkdir((folder_ / "small/no-place.jpg").c_str(), 0700), 0);
  folder_.Write("small/no-place.jpg/file", "");

  const ProgramRun run = Run();
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_EQ(run.error, "");
  const std::vector<std::string> lines = run.lines();
  EXPECT_THAT(lines, Contains(Made("good-1\\.jpg", "100x75", "100x75")));
  EXPECT_THAT(lines, Contains(Made("good-2\\.jpg", "100x75", "100x75")));
  EXPECT_THAT(lines, Contains(Line("!! half\\.jpg: DATA_LOSS: Premature end of JPEG file")));
  EXPECT_THAT(lines, Contains(Line("!! bomb\\.jpg: RESOURCE_EXHAUSTED: 60000 by 60000 pixels .*")));
  EXPECT_THAT(lines, Contains(Line("!! bomb\\.png: RESOURCE_EXHAUSTED: 60000 by 60000 pixels .*")));
  EXPECT_THAT(lines, Contains(Line("!! dangling\\.jpg: NOT_FOUND: open .*")));
  EXPECT_THAT(lines, Contains(Line("!! no-place\\.jpg: .*small/no-place\\.jpg.*")));
  EXPECT_THAT(lines, Contains(Line("-- empty\\.jpg: neither a JPEG nor a PNG, skipped")));
  EXPECT_THAT(lines, Contains(Line("-- notes\\.txt: neither a JPEG nor a PNG, skipped")));
  EXPECT_THAT(lines, Contains(Line("-- folder\\.jpg: a folder, skipped")));
  EXPECT_THAT(lines, Contains(Line("-- link\\.jpg: a folder, skipped")));
  EXPECT_THAT(lines, Contains(Line("-- pipe\\.jpg: not a file, skipped")));
  EXPECT_THAT(lines.back(), StartsWith("thumbnails images=7 made=2 failed=5 skipped=5 read="));
  EXPECT_FALSE(plait::PathExists(folder_ / "small/half.jpg"));
}

TEST_F(ThumbnailsTest, ADecoderThatCrashesCostsOneImage) {
  for (int32_t number = 1; number <= 8; ++number) {
    WriteSample(absl::StrCat(number, ".jpg"), number, 60);
  }
  const ProgramRun run = Run({"--crash=5.jpg", "--workers=2", "--at-once=8"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(run.lines(),
              Contains(Line("!! 5\\.jpg: ABORTED: calling make_thumbnail_and_crash: its worker "
                            "process [0-9]+ was killed by SIGABRT.*; its last words: decoder: "
                            "wrote behind the end of its buffer")));
  EXPECT_THAT(run.lines(), Contains("Processes that crashed and were replaced: 1"));
  EXPECT_THAT(run.lines().back(), StartsWith("thumbnails images=8 made=7 failed=1 skipped=0 "));
}

TEST_F(ThumbnailsTest, ADecoderThatHasNothingToCrashOnIsTold) {
  WriteSample("good.jpg", 1, 40);
  Write("notes.txt", "no image at all");
  const ProgramRun none = Run({"--crash=none.jpg"});
  EXPECT_EQ(none.exit_status, 1);
  EXPECT_THAT(none.lines().back(), AllOf(StartsWith("NOT_FOUND: there is no \"none.jpg\" in "),
                                         HasSubstr("for the decoder that crashes")));
  EXPECT_FALSE(plait::PathExists(folder_ / "small")) << "nothing has begun";
  const ProgramRun notes = Run({"--crash=notes.txt"});
  EXPECT_EQ(notes.exit_status, 1);
  EXPECT_THAT(notes.lines(), Contains(Line("!! notes\\.txt: INVALID_ARGUMENT: it is neither a JPEG "
                                           "nor a PNG, and no decoder can crash on it")));
  EXPECT_THAT(notes.lines(), Contains(Made("good\\.jpg", "40x30", "40x30")));
}

TEST_F(ThumbnailsTest, NamesDoNothingToATerminal) {
  WriteSample("good\x1b[2J.jpg", 1, 40);
  Write("two\nlines.txt", "no image at all");
  Write(
      "empty\x9b"
      "31m.jpg",
      "\xff\xd8\xff");
  const ProgramRun run = Run({}, {.environment = {"TERM=xterm", "NO_COLOR=1"}, .terminal = true});
  EXPECT_THAT(run.output,
              AllOf(HasSubstr("good\\x1b[2J.jpg: 40x30 to 40x30"),
                    HasSubstr("-- two\\x0alines.txt: neither"), HasSubstr("!! empty\\x9b31m.jpg: "),
                    Not(HasSubstr("\x1b[2J")), Not(HasSubstr("\x9b"))));
}

TEST_F(ThumbnailsTest, AnImageThatTakesMoreMemoryThanAProcessMayCostsNoOther) {
  // What a sanitizer keeps beside each byte is not counted, or is more than any limit that would
  // still tell these two images apart; the other builds run this.
  if (plait::kSanitized) GTEST_SKIP() << "a sanitizer's memory is not counted";
  WriteSample("large.png", 3, 2000);  // 12 MB of pixels
  WriteSample("small.png", 6, 100);
  const ProgramRun run = Run({"--memory-mib=8"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.lines(), Contains(Line("!! large\\.png: ABORTED: .* was killed by SIGABRT.*; its "
                                         "last words: .*bad_alloc.*")));
  EXPECT_THAT(run.lines(), Contains(Made("small\\.png", "100x75", "100x75")));
  EXPECT_EQ(Run({"--memory-mib=0"}).exit_status, 0);
}

TEST_F(ThumbnailsTest, AnEmptyFolderHasNoThumbnails) {
  const ProgramRun run = Run();
  EXPECT_EQ(run.exit_status, 0) << run.output;
  EXPECT_THAT(run.lines().back(),
              StartsWith("thumbnails images=0 made=0 failed=0 skipped=0 read=0 written=0 "));
  EXPECT_TRUE(plait::PathExists(folder_ / "small"));
}

TEST_F(ThumbnailsTest, LimitsAreTheUsers) {
  WriteSample("large.png", 3, 1200);
  EXPECT_EQ(Run({"--max-megapixels=2"}).exit_status, 0);
  const ProgramRun run = Run({"--max-megapixels=1"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.output, HasSubstr("1200 by 900 pixels are more than the 1000000"));
  const ProgramRun late = Run({"--timeout=0s"});
  EXPECT_EQ(late.exit_status, 1);
  EXPECT_THAT(late.output, HasSubstr("!! large.png: DEADLINE_EXCEEDED"));
}

TEST_F(ThumbnailsTest, ThumbnailsTakeThePlaceOfOldOnesButNeverOfTheirImages) {
  WriteSample("image.jpg", 1, 400);
  ASSERT_EQ(Run({"--size=100"}).exit_status, 0);
  ASSERT_EQ(Run({"--size=50"}).exit_status, 0);
  EXPECT_EQ(DecodeJpeg(Small("image.jpg"), 1'000'000, 1000)->original, (ImageSize{50, 38}));

  const std::string image = folder_.Content("images/image.jpg");
  ASSERT_EQ(::symlink("images", (folder_ / "again").c_str()), 0);
  for (const char* same : {"images", "images/", "images/../images", "again"}) {
    const ProgramRun run = Run({"--to=" + folder_ / same});
    EXPECT_EQ(run.exit_status, 1);
    EXPECT_THAT(run.lines().back(), AllOf(StartsWith("INVALID_ARGUMENT: "),
                                          HasSubstr("is the folder that the images are in")));
  }
  EXPECT_EQ(folder_.Content("images/image.jpg"), image);
}

TEST_F(ThumbnailsTest, FoldersThatAreNoneAreTold) {
  folder_.Write("file", "");
  const ProgramRun none = Run({"--from=" + folder_ / "none"});
  EXPECT_EQ(none.exit_status, 1);
  EXPECT_THAT(none.lines().back(), AllOf(StartsWith("NOT_FOUND: "), HasSubstr("none\"")));
  EXPECT_FALSE(plait::PathExists(folder_ / "small"));
  const ProgramRun file = Run({"--from=" + folder_ / "file"});
  EXPECT_EQ(file.exit_status, 1);
  EXPECT_THAT(file.lines().back(), StartsWith("FAILED_PRECONDITION: "));
  const ProgramRun no_place = Run({"--to=" + folder_ / "file/below"});
  EXPECT_EQ(no_place.exit_status, 1);
  EXPECT_THAT(no_place.lines().back(), HasSubstr("file"));
}

void ExpectDemonstration(const ProgramRun& run) {
  EXPECT_EQ(run.exit_status, 0) << run.output;
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(run.lines(), Contains(Made("sample-001\\.jpg", "200x150", "160x120")));
  EXPECT_THAT(run.lines(), Contains(Made("sample-003\\.png", "200x150", "160x120")));
  for (const char* bad :
       {"crash.jpg: ABORTED", "half.jpg: DATA_LOSS", "bomb.png: RESOURCE_EXHAUSTED"}) {
    EXPECT_THAT(run.output, HasSubstr(absl::StrCat("!! ", bad)));
  }
  EXPECT_THAT(run.output, HasSubstr("-- notes.txt: "));
  EXPECT_THAT(run.output, HasSubstr("-- folder: "));
  EXPECT_THAT(run.lines().back(),
              MatchesRegex("thumbnails images=7 made=4 failed=3 skipped=2 read=[0-9]+ "
                           "written=[0-9]+ seconds=[0-9.]+ files=[0-9.]+ scaling=[0-9.]+ "
                           "both=[0-9.]+"));
}

const std::vector<std::string> kDemonstration = {"--samples=4", "--sample-width=200"};

std::vector<std::string> With(std::vector<std::string> arguments, const std::string& more) {
  arguments.push_back(more);
  return arguments;
}

TEST(ThumbnailsDemonstration, ItShowsEverythingAndLeavesNothingBehind) {
  const plait::TestFolder folder;
  const ProgramRun run =
      RunProgram(kProgram, kDemonstration, {.environment = {"TMPDIR=" + folder.path()}});
  ExpectDemonstration(run);
  EXPECT_THAT(run.lines().front(),
              StartsWith("A demonstration: 4 images, drawn into " + folder.path()));
  EXPECT_THAT(folder.Names(), IsEmpty());
  EXPECT_LE(run.Figure("both"), run.Figure("files"));
  EXPECT_LE(run.Figure("both"), run.Figure("scaling"));
  EXPECT_LE(run.Figure("scaling"), run.Figure("seconds"));
}

TEST(ThumbnailsDemonstration, ItLeavesNothingBehindWhenItIsToldToEnd) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const plait::TestFolder folder;
    ASSERT_EQ(::setenv("TMPDIR", folder.path().c_str(), 1), 0);
    // More than are drawn before the signal, however long that takes to come.
    ServerProgram program(kProgram, {"--samples=10000", "--workers=2"});
    ASSERT_EQ(::unsetenv("TMPDIR"), 0);
    EXPECT_THAT(folder.Names(), Not(IsEmpty()));
    const ProgramRun run = program.Stop(signal);
    EXPECT_EQ(run.exit_status, 1) << run.signal;
    EXPECT_EQ(run.lines().back(), "Told to end before all was done.");
    EXPECT_THAT(folder.Names(), IsEmpty());
  }
}

TEST(ThumbnailsDemonstration, ItsThumbnailsCanBeKept) {
  const plait::TestFolder folder;
  ExpectDemonstration(RunProgram(kProgram, With(kDemonstration, "--to=" + folder / "kept")));
  EXPECT_TRUE(LooksLikeJpeg(folder.Content("kept/sample-004.jpg")));
}

TEST(ThumbnailsDemonstration, ItIsTheSameOnEveryReactorAndScheduler) {
  std::vector<std::string> reactors = plait::ReactorNames();
  reactors.push_back("auto");
  for (const std::string& reactor : reactors) {
    for (const char* scheduler : {"event_loop", "work_stealing"}) {
      SCOPED_TRACE(reactor + " " + scheduler);
      ExpectDemonstration(RunProgram(kProgram, With(With(kDemonstration, "--reactor=" + reactor),
                                                    absl::StrCat("--scheduler=", scheduler))));
    }
  }
}

TEST_F(ThumbnailsTest, ColoursAndProgressAreForTerminalsAndColoursCanBeTurnedOff) {
  WriteSample("image.jpg", 1, 40);
  const ProgramRun plain = Run();
  EXPECT_THAT(plain.output, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("to go"))));
  const ProgramRun terminal =
      Run({}, {.environment = {"TERM=xterm", "NO_COLOR="}, .terminal = true});
  EXPECT_THAT(terminal.output, AllOf(HasSubstr("\x1b[36m"), HasSubstr(" 0 to go")));
  const ProgramRun colourless =
      Run({}, {.environment = {"TERM=xterm", "NO_COLOR=1"}, .terminal = true});
  EXPECT_THAT(colourless.output, Not(HasSubstr("\x1b[36m")));
}

TEST(ThumbnailsManners, ItHasManners) {
  ExpectHelp(kProgram, {"--from=TEXT", "--to=TEXT", "--size=N", "--workers=N", "--at-once=N",
                        "--max-megapixels=N", "--memory-mib=N", "--timeout=TIME", "--crash=TEXT",
                        "--samples=N", "--sample-width=N", "--reactor=TEXT", "--scheduler=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--from=images"}, "--from needs --to");
  ExpectRefusal(kProgram, {"--size=0"}, "--size");
  ExpectRefusal(kProgram, {"--workers=many"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--timeout=-1s"}, "is not a length of time");
}

}  // namespace
}  // namespace examples
