// What an open file refuses, and what the system refuses it: each says so.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/file/file_fixture.h"
#include "plait/io/file/open_file.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

constexpr OpenOptions kNew{.read = true, .write = true, .create = true};

INSTANTIATE_TEST_SUITE_P(AllExecutors, FileTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

TEST_P(FileTest, ADirectoryIsOpenedButNotRead) {
  const auto body = [&]() -> Task<absl::Status> {
    File directory = co_await OrReturn(OpenFile(folder().path()));
    const FileStatus status = co_await OrReturn(directory.Status());
    EXPECT_EQ(status.kind, FileKind::kDirectory);
    co_await OrReturn(directory.Sync());
    GuardedBuffer buffer(10);
    const absl::StatusOr<size_t> read = co_await directory.Read(buffer.span());
    EXPECT_TRUE(IsError(read.status(), absl::StatusCode::kFailedPrecondition, folder().path(),
                        "Is a directory"));
    const absl::StatusOr<std::string> all = co_await directory.ReadAll();
    EXPECT_TRUE(IsError(all.status(), absl::StatusCode::kFailedPrecondition, folder().path()));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// What every operation says of `file`.
Task<std::vector<absl::Status>> AskEverything(File& file) {
  GuardedBuffer buffer(1);
  std::vector<absl::Status> answers;
  const absl::StatusOr<size_t> read_at = co_await file.ReadAt(buffer.span(), 0);
  answers.push_back(read_at.status());
  const absl::StatusOr<size_t> read = co_await file.Read(buffer.span());
  answers.push_back(read.status());
  const absl::StatusOr<size_t> fully = co_await file.ReadFullyAt(buffer.span(), 0);
  answers.push_back(fully.status());
  const absl::StatusOr<std::string> all = co_await file.ReadAll();
  answers.push_back(all.status());
  const absl::StatusOr<size_t> write_at = co_await file.WriteAt("x", 0);
  answers.push_back(write_at.status());
  const absl::StatusOr<size_t> write = co_await file.Write("x");
  answers.push_back(write.status());
  answers.push_back(co_await file.WriteAll("x"));
  answers.push_back(co_await file.WriteAllAt("x", 0));
  answers.push_back(co_await file.Append("x"));
  answers.push_back(co_await file.Sync());
  answers.push_back(co_await file.SyncData());
  answers.push_back(co_await file.Truncate(0));
  answers.push_back(co_await file.DropCache());
  const absl::StatusOr<FileStatus> status = co_await file.Status();
  answers.push_back(status.status());
  co_return answers;
}

TEST_P(FileTest, AClosedFileRefusesEverythingButToBeClosedAgain) {
  const std::string path = folder().Write("file", "content");
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(path, {.read = true, .write = true}));
    co_await OrReturn(file.Close());
    EXPECT_FALSE(file.is_open());
    EXPECT_EQ(file.fd(), -1);
    const std::vector<absl::Status> of_closed = co_await AskEverything(file);
    for (const absl::Status& answer : of_closed) {
      EXPECT_TRUE(IsError(answer, absl::StatusCode::kFailedPrecondition, path, "closed"));
    }
    co_await OrReturn(file.Close());
    File never;
    const std::vector<absl::Status> of_never = co_await AskEverything(never);
    for (const absl::Status& answer : of_never) {
      EXPECT_TRUE(IsError(answer, absl::StatusCode::kFailedPrecondition, "", "closed"));
    }
    co_return co_await never.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(folder().Content("file"), "content");
}

TEST_P(FileTest, ANegativePositionOrSizeIsRefused) {
  const std::string path = folder().Write("file", "content");
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(path, {.read = true, .write = true}));
    GuardedBuffer buffer(1);
    for (const int64_t offset : {int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
      const absl::StatusOr<size_t> read = co_await file.ReadAt(buffer.span(), offset);
      const absl::StatusOr<size_t> fully = co_await file.ReadFullyAt(buffer.span(), offset);
      const absl::StatusOr<size_t> write = co_await file.WriteAt("x", offset);
      const absl::Status all = co_await file.WriteAllAt("x", offset);
      const absl::Status truncate = co_await file.Truncate(offset);
      for (const absl::Status& answer :
           {read.status(), fully.status(), write.status(), all, truncate}) {
        EXPECT_TRUE(IsError(answer, absl::StatusCode::kInvalidArgument, path, "negative"));
      }
    }
    // Nor is there anything so far behind the end.
    constexpr int64_t kFar = std::numeric_limits<int64_t>::max();
    const absl::Status far = co_await file.WriteAllAt("xy", kFar);
    EXPECT_TRUE(absl::IsInvalidArgument(far) || absl::IsOutOfRange(far)) << far;
    const absl::Status large = co_await file.Truncate(kFar);
    EXPECT_TRUE(absl::IsInvalidArgument(large) || absl::IsOutOfRange(large)) << large;
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(folder().Content("file"), "content");
}

TEST_P(FileTest, AFileDoesOnlyWhatItWasOpenedFor) {
  const std::string path = folder().Write("file", "content");
  const auto body = [&]() -> Task<absl::Status> {
    GuardedBuffer buffer(1);
    File reader = co_await OrReturn(OpenFile(path));
    const absl::StatusOr<size_t> written = co_await reader.WriteAt("x", 0);
    EXPECT_TRUE(IsError(written.status(), absl::StatusCode::kFailedPrecondition, path, "write"));
    const absl::Status truncated = co_await reader.Truncate(0);
    EXPECT_TRUE(IsError(truncated, absl::StatusCode::kInvalidArgument, path, "truncate"));
    File writer = co_await OrReturn(OpenFile(path, {.write = true}));
    const absl::StatusOr<size_t> read = co_await writer.ReadAt(buffer.span(), 0);
    EXPECT_TRUE(IsError(read.status(), absl::StatusCode::kFailedPrecondition, path, "read"));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(folder().Content("file"), "content");
}

TEST_P(FileTest, AFullDiskIsResourceExhaustedAndSaysHowFarItCame) {
  const auto body = [&]() -> Task<absl::Status> {
    File full = co_await OrReturn(OpenFile("/dev/full", {.write = true}));
    const absl::StatusOr<size_t> once = co_await full.Write("x");
    EXPECT_TRUE(
        IsError(once.status(), absl::StatusCode::kResourceExhausted, "/dev/full", "ENOSPC"));
    co_return co_await full.WriteAll(std::string(10, 'x'));
  };
  EXPECT_TRUE(IsError(RunTask(body), absl::StatusCode::kResourceExhausted, "/dev/full",
                      "after 0 of 10 bytes"));
}

// A write comes back short first, and fails then.
TEST_P(FileTest, AFileThatMayNotGrowIsWrittenUpToThereAndSaysSo) {
  constexpr size_t kMost = 100'000;
  const std::string content = Pattern(3 * kMost);
  ASSERT_NE(::signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(folder() / "file", kNew));
    File log = co_await OrReturn(OpenFile(folder() / "log", {.append = true, .create = true}));
    File ordered = co_await OrReturn(OpenFile(folder() / "ordered", kNew));
    const rlimit small{.rlim_cur = kMost, .rlim_max = limit.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const absl::Status written = co_await file.WriteAllAt(content, 0);
    const absl::Status appended = co_await log.Append(content);
    const absl::Status in_order = co_await ordered.WriteAll(content);
    const absl::Status grown = co_await file.Truncate(2 * kMost);
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_TRUE(IsError(written, absl::StatusCode::kOutOfRange, folder() / "file",
                        "after 100000 of 300000 bytes"));
    EXPECT_TRUE(IsError(appended, absl::StatusCode::kOutOfRange, folder() / "log",
                        "after 100000 of 300000 bytes"));
    EXPECT_TRUE(IsError(in_order, absl::StatusCode::kOutOfRange, folder() / "ordered",
                        "after 100000 of 300000 bytes"));
    EXPECT_TRUE(IsError(grown, absl::StatusCode::kOutOfRange, folder() / "file", "truncate"));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  ASSERT_NE(::signal(SIGXFSZ, SIG_DFL), SIG_ERR);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(folder().Content("file") == content.substr(0, kMost));
  EXPECT_TRUE(folder().Content("log") == content.substr(0, kMost));
  EXPECT_TRUE(folder().Content("ordered") == content.substr(0, kMost));
}

TEST_P(FileTest, AnExecutorWithoutAReactorIsNamedAsWhatIsMissing) {
  const std::string path = folder().Write("file", "x");
  ThreadPool pool({.threads = 1});
  const auto body = [&]() -> Task<absl::Status> {
    const absl::StatusOr<File> opened = co_await OpenFile(path);
    EXPECT_TRUE(
        IsError(opened.status(), absl::StatusCode::kFailedPrecondition, path, "no reactor"));
    const File adopted = File::Adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC), "adopted");
    GuardedBuffer buffer(1);
    const absl::StatusOr<size_t> read = co_await adopted.ReadAt(buffer.span(), 0);
    co_return read.status();
  };
  EXPECT_TRUE(IsError(BlockOn(pool, body()), absl::StatusCode::kFailedPrecondition, "adopted",
                      "no reactor"));
}

}  // namespace
}  // namespace plait
