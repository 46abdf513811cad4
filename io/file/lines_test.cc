// Traps: a buffer that is freed while the kernel owns it (a generator that is dropped early); a
// cancel that races completion; a reference parameter of a lazy task (a path given as a temporary).
#include "plait/io/file/lines.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "plait/io/file/file_fixture.h"
#include "plait/io/file/open_file.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using LineGenerator = AsyncGenerator<absl::StatusOr<std::string>>;

// The lines up to the end, and the error that ended them, if one did.
struct AllLines {
  std::vector<std::string> lines;
  absl::Status status;
};

Task<AllLines> Collect(LineGenerator generator) {
  AllLines all;
  while (auto line = co_await generator.Next()) {
    EXPECT_TRUE(all.status.ok()) << "an item after " << all.status;
    if (line->ok()) {
      all.lines.push_back(**std::move(line));
    } else {
      all.status = line->status();
    }
  }
  co_return all;
}

class LinesTest : public FileTest {
 protected:
  AllLines LinesOf(const std::string& path, LinesOptions options = {}) {
    return Do(Collect(ReadLines(path, options)));
  }
};

TEST_P(LinesTest, EachLineComesWithoutItsNewlineAndTheLastMayHaveNone) {
  using Texts = std::vector<std::string>;
  struct Case {
    std::string content;
    Texts lines;
  };
  for (const Case& c : {
           Case{"", {}},
           Case{"\n", {""}},
           Case{"\n\n", {"", ""}},
           Case{"one", {"one"}},
           Case{"one\n", {"one"}},
           Case{"one\ntwo", {"one", "two"}},
           Case{"one\n\ntwo\n", {"one", "", "two"}},
           Case{"dos\r\nlines\r\n\r\n", {"dos\r", "lines\r", "\r"}},
           Case{"old\rmac", {"old\rmac"}},
           Case{std::string("a\0b\n\0", 5), {std::string("a\0b", 3), std::string("\0", 1)}},
           Case{"\xFF\xFE\n", {"\xFF\xFE"}},
       }) {
    const AllLines all = LinesOf(folder().Write("file", c.content));
    EXPECT_TRUE(all.status.ok()) << all.status;
    EXPECT_EQ(all.lines, c.lines) << c.content;
  }
}

// The file is read in pieces; a newline falls on either side of their borders, and on it.
TEST_P(LinesTest, LinesAreWholeWhereverThePiecesOfTheFileEnd) {
  constexpr size_t kPiece = 64 * 1024;
  for (const size_t first : {kPiece - 2, kPiece - 1, kPiece, kPiece + 1, 3 * kPiece, 5 * kPiece}) {
    SCOPED_TRACE(first);
    const std::vector<std::string> lines = {std::string(first, 'a'), "", std::string(first, 'b'),
                                            "end"};
    const AllLines all = LinesOf(folder().Write("file", absl::StrJoin(lines, "\n")));
    EXPECT_TRUE(all.status.ok()) << all.status;
    EXPECT_TRUE(all.lines == lines);
  }
}

TEST_P(LinesTest, AHundredThousandLinesComeInOrder) {
  std::string content;
  for (int i = 0; i < 100'000; ++i) absl::StrAppend(&content, i, "\n");
  const std::string path = folder().Write("file", content);
  const auto body = [&]() -> Task<int> {
    int next = 0;
    LineGenerator generator = ReadLines(path);
    while (auto line = co_await generator.Next()) {
      if (!line->ok() || **line != absl::StrCat(next)) break;
      ++next;
    }
    co_return next;
  };
  EXPECT_EQ(RunTask(body), 100'000);
}

TEST_P(LinesTest, ALineOverTheLimitIsAnErrorWithItsNumberAndTheEnd) {
  const std::string path = folder() / "file";
  for (const absl::string_view end : {"", "\n", "\nshort\n"}) {
    folder().Write("file", absl::StrCat("12345\n12345\n123456", end));
    const AllLines all = LinesOf(path, {.max_length = 5});
    EXPECT_EQ(all.lines, (std::vector<std::string>{"12345", "12345"}));
    EXPECT_TRUE(IsError(all.status, absl::StatusCode::kResourceExhausted, path,
                        "line 3 is longer than 5 bytes"));
  }
}

TEST_P(LinesTest, ALineWithoutAnEndIsFoundTooLongBeforeItIsInMemory) {
  const AllLines all = LinesOf("/dev/zero", {.max_length = 100'000});
  EXPECT_TRUE(all.lines.empty());
  EXPECT_TRUE(IsError(all.status, absl::StatusCode::kResourceExhausted, "/dev/zero",
                      "line 1 is longer than 100000 bytes"));
}

TEST_P(LinesTest, TheLimitMayBeNothingAndMayBeEverything) {
  const std::string path = folder().Write("file", "\n\nx\n");
  const AllLines none = LinesOf(path, {.max_length = 0});
  EXPECT_EQ(none.lines, (std::vector<std::string>{"", ""}));
  EXPECT_TRUE(IsError(none.status, absl::StatusCode::kResourceExhausted, path, "line 3"));
  const AllLines all = LinesOf(path, {.max_length = std::numeric_limits<size_t>::max()});
  EXPECT_TRUE(all.status.ok()) << all.status;
  EXPECT_EQ(all.lines, (std::vector<std::string>{"", "", "x"}));
}

TEST_P(LinesTest, WhatCannotBeOpenedOrReadIsTheOnlyItem) {
  const AllLines missing = LinesOf(folder() / "none");
  EXPECT_TRUE(missing.lines.empty());
  EXPECT_TRUE(IsError(missing.status, absl::StatusCode::kNotFound, folder() / "none", "open"));
  const AllLines directory = LinesOf(folder().path());
  EXPECT_TRUE(directory.lines.empty());
  EXPECT_TRUE(
      IsError(directory.status, absl::StatusCode::kFailedPrecondition, folder().path(), "read"));
}

TEST_P(LinesTest, TheLinesOfAnOpenFileBeginWhereItIs) {
  folder().Write("file", "header\nfirst\nsecond");
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(folder() / "file"));
    GuardedBuffer header(7);
    const size_t count = co_await OrReturn(file.Read(header.span()));
    EXPECT_EQ(count, 7u);
    const AllLines all = co_await Collect(Lines(file));
    EXPECT_EQ(all.lines, (std::vector<std::string>{"first", "second"}));
    EXPECT_TRUE(file.is_open()) << "it is the caller's";
    const AllLines none = co_await Collect(Lines(file));
    EXPECT_TRUE(none.lines.empty() && none.status.ok());
    co_await OrReturn(file.Close());
    const AllLines closed = co_await Collect(Lines(file));
    EXPECT_TRUE(
        IsError(closed.status, absl::StatusCode::kFailedPrecondition, folder() / "file", "closed"));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(LinesTest, WhatTheSystemMakesUpAndSaysToBeEmptyIsReadByLines) {
  const AllLines all = LinesOf("/proc/self/status");
  EXPECT_TRUE(all.status.ok()) << all.status;
  ASSERT_GT(all.lines.size(), 10u);
  EXPECT_EQ(all.lines[0].substr(0, 6), "Name:\t");
}

TEST_P(LinesTest, LinesOfAPipeComeAsTheyAreWritten) {
  const std::string path = folder() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto body = [&]() -> Task<absl::Status> {
    File reader = co_await OrReturn(OpenFile(path));
    File writer = co_await OrReturn(OpenFile(path, {.write = true}));
    LineGenerator lines = Lines(reader);
    for (int i = 0; i < 3; ++i) {
      // Half of the next line is there already.
      co_await OrReturn(writer.WriteAll(absl::StrCat("line ", i, "\nli")));
      const auto line = co_await lines.Next();
      EXPECT_TRUE(line.has_value() && line->ok());
      if (line.has_value() && line->ok()) {
        EXPECT_EQ(**line, absl::StrCat(i == 0 ? "" : "li", "line ", i));
      }
    }
    co_await OrReturn(writer.Close());
    const auto last = co_await lines.Next();
    EXPECT_TRUE(last.has_value() && last->ok() && **last == "li");
    const auto end = co_await lines.Next();
    EXPECT_FALSE(end.has_value());
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// --- ending early ---

TEST_P(LinesTest, ACancelWhileALineIsAwaitedIsTheLastItem) {
  const std::string path = folder() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  // Both ends, so that the pipe never ends.
  const OwnedFd pipe(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  WriteAll(pipe.get(), "whole\nhalf");
  const int before = OpenDescriptors();
  Event began;
  const auto child = [&]() -> Task<absl::Status> {
    LineGenerator lines = ReadLines(path);
    const auto first = co_await lines.Next();
    EXPECT_TRUE(first.has_value() && first->ok() && **first == "whole");
    began.Set();
    const auto second = co_await lines.Next();
    EXPECT_TRUE(second.has_value() && !second->ok()) << "half a line is none";
    const auto end = co_await lines.Next();
    EXPECT_FALSE(end.has_value());
    co_return second.has_value() ? second->status() : absl::OkStatus();
  };
  const auto body = [&]() -> Task<absl::Status> {
    JoinHandle<absl::Status> reading = Spawn(child());
    co_await OrReturn(began.Wait());
    reading.Cancel();
    co_return co_await reading;
  };
  EXPECT_TRUE(IsError(RunTask(body), absl::StatusCode::kCancelled, path, "read"));
  EndExecutor();
  EXPECT_LE(OpenDescriptors(), before);
}

TEST_P(LinesTest, ACancelAtAnyMomentLosesNoLineBeforeIt) {
  std::string content;
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&content, "line ", i, "\n");
  const std::string path = folder().Write("file", content);
  const auto child = [&]() -> Task<AllLines> { co_return co_await Collect(ReadLines(path)); };
  for (int moment = 0; moment < 30; ++moment) {
    const auto body = [&]() -> Task<AllLines> {
      JoinHandle<AllLines> reading = Spawn(child());
      for (int i = 0; i < moment; ++i) co_await Yield();
      reading.Cancel();
      co_return co_await reading;
    };
    const AllLines all = RunTask(body);
    if (!all.status.ok()) {
      EXPECT_TRUE(absl::IsCancelled(all.status)) << all.status;
    } else {
      EXPECT_EQ(all.lines.size(), 20'000u);
    }
    for (size_t i = 0; i < all.lines.size(); ++i) {
      ASSERT_EQ(all.lines[i], absl::StrCat("line ", i));
    }
  }
}

TEST_P(LinesTest, AGeneratorThatIsDroppedOrClosedOnTheWayClosesItsFile) {
  const std::string path = folder().Write("file", std::string(200'000, '\n'));
  const auto take = [&](bool close) -> Task<absl::Status> {
    LineGenerator lines = ReadLines(path);
    for (int i = 0; i < 3; ++i) {
      const auto line = co_await lines.Next();
      EXPECT_TRUE(line.has_value() && line->ok());
    }
    if (close) co_return co_await lines.Close();
    co_return absl::OkStatus();
  };
  const auto body = [&]() -> Task<absl::Status> {
    co_await OrReturn(take(false));
    const int open = OpenFiles();
    co_await OrReturn(take(true));
    EXPECT_LE(OpenFiles(), open) << "Close waits for it";
    co_return absl::OkStatus();
  };
  const int before = OpenDescriptors();
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EndExecutor();
  EXPECT_LE(OpenDescriptors(), before);
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, LinesTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
