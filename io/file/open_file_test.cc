// Traps: a reference parameter of a lazy task (paths are kept, and given as temporaries here); a
// lambda coroutine that outlives its captures (RunTask keeps them). The others: see
// open_file_races_test.cc.
#include "plait/io/file/open_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/file/file_fixture.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

constexpr OpenOptions kNew{.read = true, .write = true, .create = true};

INSTANTIATE_TEST_SUITE_P(AllExecutors, FileTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

// --- reading and writing ---

TEST_P(FileTest, WhatIsWrittenAtAPositionIsReadThere) {
  const auto body = [&]() -> Task<absl::Status> {
    size_t count = 0;
    File file = co_await OrReturn(OpenFile(folder() / "new", kNew));
    EXPECT_TRUE(file.is_open());
    EXPECT_EQ(file.path(), folder() / "new");
    const GuardedBuffer data("hello");
    count = co_await OrReturn(file.WriteAt(data.text(5), 3));
    EXPECT_EQ(count, 5u);
    GuardedBuffer buffer(10);
    count = co_await OrReturn(file.ReadAt(buffer.span(), 0));
    EXPECT_EQ(count, 8u);
    EXPECT_EQ(buffer.text(8), absl::string_view("\0\0\0hello", 8));
    count = co_await OrReturn(file.ReadAt(buffer.span().first(2), 4));
    EXPECT_EQ(count, 2u);
    EXPECT_EQ(buffer.text(2), "el");
    count = co_await OrReturn(file.ReadAt(buffer.span(), 8));
    EXPECT_EQ(count, 0u) << "the end";
    count = co_await OrReturn(file.ReadAt(buffer.span(), 1'000'000));
    EXPECT_EQ(count, 0u) << "behind the end";
    count = co_await OrReturn(file.ReadAt(absl::Span<char>(), 0));
    EXPECT_EQ(count, 0u);
    count = co_await OrReturn(file.WriteAt("", 0));
    EXPECT_EQ(count, 0u);
    co_return co_await file.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(FileTest, ReadsAndWritesWithoutAPositionGoOnWhereTheLastOneEnded) {
  folder().Write("file", "0123456789");
  const auto body = [&]() -> Task<absl::Status> {
    size_t count = 0;
    File file = co_await OrReturn(OpenFile(folder() / "file", {.read = true, .write = true}));
    GuardedBuffer buffer(4);
    count = co_await OrReturn(file.Read(buffer.span()));
    EXPECT_EQ(count, 4u);
    EXPECT_EQ(buffer.text(4), "0123");
    count = co_await OrReturn(file.Write("ab"));
    EXPECT_EQ(count, 2u);
    count = co_await OrReturn(file.Read(buffer.span()));
    EXPECT_EQ(count, 4u);
    EXPECT_EQ(buffer.text(4), "6789");
    count = co_await OrReturn(file.Read(buffer.span()));
    EXPECT_EQ(count, 0u);
    // Positions are told apart.
    count = co_await OrReturn(file.ReadAt(buffer.span(), 0));
    EXPECT_EQ(count, 4u);
    count = co_await OrReturn(file.Read(buffer.span()));
    EXPECT_EQ(count, 0u);
    co_await OrReturn(file.WriteAll("end"));
    co_return co_await file.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(folder().Content("file"), "0123ab6789end");
}

TEST_P(FileTest, ALiteralIsWrittenWithoutItsNul) {
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(folder() / "file", kNew));
    co_await OrReturn(file.WriteAllAt("four", 0));
    co_return co_await file.Close();
  };
  EXPECT_TRUE(RunTask(body).ok());
  EXPECT_EQ(folder().Content("file"), "four");
}

TEST_P(FileTest, AFileIsReadToItsEndFromWhereItIs) {
  const std::string content = Pattern(300'000);
  folder().Write("file", content);
  folder().Write("empty", "");
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(folder() / "file"));
    GuardedBuffer buffer(1000);
    co_await OrReturn(file.Read(buffer.span()));
    const std::string rest = co_await OrReturn(file.ReadAll());
    EXPECT_TRUE(rest == content.substr(1000));
    const std::string nothing = co_await OrReturn(file.ReadAll());
    EXPECT_EQ(nothing, "");
    File empty = co_await OrReturn(OpenFile(folder() / "empty"));
    const std::string none = co_await OrReturn(empty.ReadAll());
    EXPECT_EQ(none, "");
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(FileTest, ReadAllStopsAtItsLimit) {
  folder().Write("file", Pattern(100));
  const auto read = [&](size_t limit) {
    const auto body = [&, limit]() -> Task<absl::StatusOr<std::string>> {
      File file = co_await OrReturn(OpenFile(folder() / "file"));
      co_return co_await file.ReadAll(limit);
    };
    return RunTask(body);
  };
  const absl::StatusOr<std::string> exact = read(100);
  ASSERT_TRUE(exact.ok()) << exact.status();
  EXPECT_EQ(*exact, Pattern(100));
  for (const size_t limit : {0, 1, 99}) {
    EXPECT_TRUE(IsError(read(limit).status(), absl::StatusCode::kResourceExhausted,
                        folder() / "file", absl::StrCat("more than ", limit, " bytes")));
  }
}

TEST_P(FileTest, WhatTheSystemMakesUpWhenItIsReadHasNoSizeButIsReadWhole) {
  const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
    File file = co_await OrReturn(OpenFile("/proc/self/status"));
    const FileStatus status = co_await OrReturn(file.Status());
    EXPECT_EQ(status.size, 0u);
    co_return co_await file.ReadAll();
  };
  const absl::StatusOr<std::string> status = RunTask(body);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_TRUE(absl::StrContains(*status, absl::StrCat("Pid:\t", ::getpid())));
}

TEST_P(FileTest, ReadFullyAtFillsTheBufferUnlessTheEndComesFirst) {
  const std::string content = Pattern(3'000'000);
  folder().Write("file", content);
  const auto body = [&]() -> Task<absl::Status> {
    size_t count = 0;
    File file = co_await OrReturn(OpenFile(folder() / "file"));
    GuardedBuffer whole(content.size());
    count = co_await OrReturn(file.ReadFullyAt(whole.span(), 0));
    EXPECT_EQ(count, content.size());
    EXPECT_TRUE(whole.text(whole.size()) == content);
    GuardedBuffer buffer(100);
    count = co_await OrReturn(file.ReadFullyAt(buffer.span(), 2'999'950));
    EXPECT_EQ(count, 50u);
    EXPECT_EQ(buffer.text(50), content.substr(2'999'950));
    count = co_await OrReturn(file.ReadFullyAt(absl::Span<char>(), 0));
    EXPECT_EQ(count, 0u);
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// --- appending ---

TEST_P(FileTest, AppendingGoesToTheEndWhereverThatIs) {
  folder().Write("log", "first\n");
  const auto body = [&]() -> Task<absl::Status> {
    size_t count = 0;
    File one = co_await OrReturn(OpenFile(folder() / "log", {.append = true}));
    File two = co_await OrReturn(OpenFile(folder() / "log", {.read = true, .append = true}));
    co_await OrReturn(one.Append("second\n"));
    co_await OrReturn(two.Append("third\n"));
    co_await OrReturn(one.Write("fourth\n"));
    co_await OrReturn(two.Append(""));
    const absl::StatusOr<size_t> at = co_await one.WriteAt("x", 0);
    EXPECT_TRUE(IsError(at.status(), absl::StatusCode::kFailedPrecondition, folder() / "log",
                        "opened to append"));
    GuardedBuffer buffer(5);
    count = co_await OrReturn(two.ReadAt(buffer.span(), 0));
    EXPECT_EQ(count, 5u);
    EXPECT_EQ(buffer.text(5), "first");
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(folder().Content("log"), "first\nsecond\nthird\nfourth\n");
}

TEST_P(FileTest, RecordsThatManyTasksAppendAreNotMixed) {
  constexpr int kTasks = 8;
  constexpr int kRecords = 25;
  const auto append = [&](File& file, int task) -> Task<absl::Status> {
    for (int i = 0; i < kRecords; ++i) {
      co_await OrReturn(file.Append(std::string(100 + task, static_cast<char>('a' + task)) + "\n"));
    }
    co_return absl::OkStatus();
  };
  const auto body = [&]() -> Task<absl::Status> {
    File one = co_await OrReturn(OpenFile(folder() / "log", {.append = true, .create = true}));
    File two = co_await OrReturn(OpenFile(folder() / "log", {.append = true}));
    std::vector<Task<absl::Status>> tasks;
    for (int i = 0; i < kTasks; ++i) tasks.push_back(append(i % 2 == 0 ? one : two, i));
    co_return co_await Gather(std::move(tasks));
  };
  const absl::Status status = RunTask(body);
  ASSERT_TRUE(status.ok()) << status;
  std::string content = folder().Content("log");
  std::vector<int> seen(kTasks);
  for (absl::string_view rest = content; !rest.empty();) {
    const size_t end = rest.find('\n');
    ASSERT_NE(end, absl::string_view::npos);
    const int task = rest[0] - 'a';
    ASSERT_TRUE(task >= 0 && task < kTasks);
    ASSERT_EQ(rest.substr(0, end), std::string(100 + task, static_cast<char>('a' + task)));
    ++seen[task];
    rest.remove_prefix(end + 1);
  }
  EXPECT_EQ(seen, std::vector<int>(kTasks, kRecords));
}

TEST_P(FileTest, AppendNeedsAFileThatWasOpenedForIt) {
  folder().Write("file", "x");
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(folder() / "file", {.write = true}));
    co_return co_await file.Append("y");
  };
  EXPECT_TRUE(IsError(RunTask(body), absl::StatusCode::kFailedPrecondition, folder() / "file",
                      "not opened to append"));
  EXPECT_EQ(folder().Content("file"), "x");
}

// --- the file itself ---

TEST_P(FileTest, AFileIsCutOffAndGrownWithZeros) {
  const std::string path = folder().Write("file", "0123456789");
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(path, {.read = true, .write = true}));
    co_await OrReturn(file.Truncate(4));
    FileStatus status = co_await OrReturn(file.Status());
    EXPECT_EQ(status.size, 4u);
    co_await OrReturn(file.Truncate(6));
    status = co_await OrReturn(file.Status());
    EXPECT_EQ(status.size, 6u);
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(folder().Content("file"), std::string("0123\0\0", 6));
}

TEST_P(FileTest, TheStatusOfAnOpenFileIsWhatTheSystemSays) {
  const std::string path = folder().Write("file", "0123456789");
  const auto body = [&]() -> Task<absl::StatusOr<FileStatus>> {
    File file = co_await OrReturn(OpenFile(path));
    co_return co_await file.Status();
  };
  const absl::StatusOr<FileStatus> status = RunTask(body);
  ASSERT_TRUE(status.ok()) << status.status();
  struct stat expected;
  ASSERT_EQ(::stat(path.c_str(), &expected), 0);
  EXPECT_EQ(status->kind, FileKind::kRegular);
  EXPECT_EQ(status->permissions, 0600u);
  EXPECT_EQ(status->size, 10u);
  EXPECT_EQ(status->inode, expected.st_ino);
  EXPECT_EQ(status->links, 1u);
  EXPECT_EQ(status->user, expected.st_uid);
  EXPECT_EQ(status->group, expected.st_gid);
  EXPECT_EQ(status->modified, absl::TimeFromTimespec(expected.st_mtim));
  EXPECT_EQ(status->changed, absl::TimeFromTimespec(expected.st_ctim));
}

TEST_P(FileTest, AFileIsSyncedAndItsCacheDropped) {
  const std::string content = Pattern(100'000);
  const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
    File file = co_await OrReturn(OpenFile(folder() / "file", kNew));
    co_await OrReturn(file.WriteAllAt(content, 0));
    co_await OrReturn(file.SyncData());
    co_await OrReturn(file.Sync());
    co_await OrReturn(file.DropCache());
    co_return co_await file.ReadAll();
  };
  const absl::StatusOr<std::string> read = RunTask(body);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(*read == content);
}

// --- a File as an object ---

TEST_P(FileTest, AFileMovesAndOnlyTheLastOneHasIt) {
  const std::string path = folder().Write("file", "content");
  folder().Write("other", "other");
  const int before = OpenDescriptors();
  const auto body = [&]() -> Task<absl::Status> {
    File first = co_await OrReturn(OpenFile(path));
    File second(std::move(first));
    EXPECT_FALSE(first.is_open());
    EXPECT_TRUE(second.is_open());
    EXPECT_EQ(second.path(), path);
    File third = co_await OrReturn(OpenFile(folder() / "other"));
    third = std::move(second);
    EXPECT_FALSE(second.is_open());
    EXPECT_EQ(third.path(), path);
    const std::string content = co_await OrReturn(third.ReadAll());
    EXPECT_EQ(content, "content");
    co_return co_await third.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EndExecutor();  // which waits for the close of the one that was replaced
  EXPECT_LE(OpenDescriptors(), before);
}

TEST_P(FileTest, AReadAllocatesNothing) {
  const std::string path = folder().Write("file", Pattern(4096));
  const auto body = [&]() -> Task<int64_t> {
    const absl::StatusOr<File> file = co_await OpenFile(path, {.read = true, .write = true});
    if (!file.ok()) co_return -1;
    GuardedBuffer buffer(512);
    // Where threads wait for the disk, another may have to be started now and then, or frees what
    // the loop has allocated; and the emulation of kqueue needs memory when a wake is late. None of
    // that goes on for ever, as what each read takes would.
    int64_t allocations = 0;
    for (int round = 0; round < 100; ++round) {
      const int64_t before = AllocationCount();
      for (int i = 0; i < 100; ++i) {
        static_cast<void>(co_await file->ReadAt(buffer.span(), i));
        static_cast<void>(co_await file->WriteAt(buffer.text(512), i));
        static_cast<void>(co_await file->Read(buffer.span()));
      }
      allocations = AllocationCount() - before;
      if (allocations == 0) break;
    }
    co_return allocations;
  };
  EXPECT_EQ(RunTask(body), 0);
}

}  // namespace
}  // namespace plait
