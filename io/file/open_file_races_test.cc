// Traps: a buffer that is freed while the kernel owns it (buffers are guarded, and released as soon
// as the co_await has returned); a cancel, a close or a drop that races completion; a descriptor's
// number that is another's by the time something comes for it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/file/file_fixture.h"
#include "plait/io/file/open_file.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sanitized.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

constexpr OpenOptions kNew{.read = true, .write = true, .create = true};

// --- large files, many tasks ---

// Writes `content` to `file` in pieces, from `begin` on and only every `stride`th.
Task<absl::Status> WriteEvery(const File& file, const std::string& content, size_t piece,
                              size_t begin, size_t stride) {
  for (size_t at = begin * piece; at < content.size(); at += stride * piece) {
    const GuardedBuffer data(absl::string_view(content).substr(at, piece));
    co_await OrReturn(file.WriteAllAt(data.text(data.size()), static_cast<int64_t>(at)));
  }
  co_return absl::OkStatus();
}

// Reads pieces of many sizes from all over `file` and expects `content` there.
Task<absl::Status> ReadAround(const File& file, const std::string& content, unsigned seed) {
  std::mt19937 numbers(seed);
  for (int i = 0; i < 50; ++i) {
    const size_t at = numbers() % content.size();
    GuardedBuffer buffer(1 + numbers() % 70'000);
    const size_t expected = std::min(buffer.size(), content.size() - at);
    const size_t count =
        co_await OrReturn(file.ReadFullyAt(buffer.span(), static_cast<int64_t>(at)));
    EXPECT_EQ(count, expected);
    EXPECT_TRUE(buffer.text(count) == absl::string_view(content).substr(at, count))
        << count << " bytes at " << at;
  }
  co_return absl::OkStatus();
}

TEST_P(FileTest, ALargeFileIsWrittenInPiecesAndReadFromAllOverByManyTasksAtOnce) {
  const std::string content = Pattern(kSanitized ? 4 << 20 : 24 << 20, 7);
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(folder() / "large", kNew));
    constexpr size_t kWriters = 4;
    std::vector<Task<absl::Status>> writers;
    for (size_t i = 0; i < kWriters; ++i) {
      writers.push_back(WriteEvery(file, content, 100'000 + 1, i, kWriters));
    }
    co_await OrReturn(Gather(std::move(writers)));
    std::vector<Task<absl::Status>> readers;
    for (unsigned i = 0; i < 16; ++i) readers.push_back(ReadAround(file, content, i));
    co_await OrReturn(Gather(std::move(readers)));
    const std::string all = co_await OrReturn(file.ReadAll());
    EXPECT_TRUE(all == content);
    co_return co_await file.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(folder().Content("large") == content);
}

TEST_P(FileTest, WhatOneReactorWritesEveryOtherReads) {
  const std::string content = Pattern(3'000'001, 3);
  const std::string path = folder() / "file";
  const auto write = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(path, kNew));
    co_await OrReturn(file.WriteAll(absl::string_view(content).substr(0, 1'000'000)));
    co_await OrReturn(file.WriteAllAt(absl::string_view(content).substr(2'000'000), 2'000'000));
    co_await OrReturn(file.WriteAll(absl::string_view(content).substr(1'000'000, 1'000'000)));
    co_return co_await file.Close();
  };
  const absl::Status written = RunTask(write);
  ASSERT_TRUE(written.ok()) << written;
  const auto read = [&]() -> Task<absl::StatusOr<std::string>> {
    File file = co_await OrReturn(OpenFile(path));
    absl::StatusOr<std::string> all = co_await file.ReadAll();
    GuardedBuffer piece(1'000'000);
    const size_t count = co_await OrReturn(file.ReadFullyAt(piece.span(), 1'500'000));
    EXPECT_TRUE(piece.text(count) == absl::string_view(content).substr(1'500'000, 1'000'000));
    co_return all;
  };
  for (const ReactorFactory& factory : AllReactors()) {
    SCOPED_TRACE(factory.name);
    const std::unique_ptr<Executor> other = IoExecutor{.reactor = factory}.Make(&blocking());
    const absl::StatusOr<std::string> all = BlockOn(*other, read());
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_TRUE(*all == content);
  }
}

TEST_P(FileTest, ManyTasksReadOneFileInOrderAndGetEveryByteOnce) {
  using Pieces = std::vector<std::string>;
  constexpr size_t kPiece = 1000;
  // Each begins with its number.
  Pieces pieces;
  for (int i = 1000; i < 1200; ++i) pieces.push_back(absl::StrCat(i, Pattern(kPiece - 4, i)));
  folder().Write("file", absl::StrJoin(pieces, ""));
  const auto read = [&](const File& file, Pieces& got) -> Task<absl::Status> {
    for (;;) {
      GuardedBuffer buffer(kPiece);
      const size_t count = co_await OrReturn(file.Read(buffer.span()));
      if (count == 0) co_return absl::OkStatus();
      got.push_back(std::string(buffer.text(count)));
    }
  };
  Pieces got[4];
  const auto body = [&]() -> Task<absl::Status> {
    const File file = co_await OrReturn(OpenFile(folder() / "file"));
    co_return co_await Gather(read(file, got[0]), read(file, got[1]), read(file, got[2]),
                              read(file, got[3]));
  };
  const absl::Status status = RunTask(body);
  ASSERT_TRUE(status.ok()) << status;
  Pieces all;
  for (const Pieces& some : got) {
    EXPECT_TRUE(std::is_sorted(some.begin(), some.end())) << "one task's come in order";
    all.insert(all.end(), some.begin(), some.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_TRUE(all == pieces);
}

// --- pipes: what a file may be, and where waits are long ---

TEST_P(FileTest, ANamedPipeIsOpenedWithoutWaitingForItsOtherEnd) {
  const std::string path = folder() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto body = [&]() -> Task<absl::Status> {
    const absl::StatusOr<File> nobody_reads = co_await OpenFile(path, {.write = true});
    EXPECT_TRUE(IsError(nobody_reads.status(), absl::StatusCode::kNotFound, path, "ENXIO"));
    File reader = co_await OrReturn(OpenFile(path));
    File writer = co_await OrReturn(OpenFile(path, {.write = true}));
    co_await OrReturn(writer.WriteAll("through"));
    GuardedBuffer buffer(100);
    const size_t count = co_await OrReturn(reader.Read(buffer.span()));
    EXPECT_EQ(buffer.text(count), "through");
    const absl::StatusOr<size_t> at = co_await reader.ReadAt(buffer.span(), 0);
    EXPECT_TRUE(IsError(at.status(), absl::StatusCode::kInvalidArgument, path, "ESPIPE"));
    const absl::Status synced = co_await writer.Sync();
    EXPECT_TRUE(IsError(synced, absl::StatusCode::kInvalidArgument, path, "fsync"));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// Writes come back short here, and so do reads, on every reactor.
TEST_P(FileTest, MoreThanAPipeHoldsGoesThroughWhole) {
  const std::string path = folder() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const std::string content = Pattern(3 << 20);
  const auto write = [&](File writer) -> Task<absl::Status> {
    co_await OrReturn(writer.WriteAll(content));
    co_return co_await writer.Close();
  };
  const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
    File reader = co_await OrReturn(OpenFile(path));
    File writer = co_await OrReturn(OpenFile(path, {.write = true}));
    JoinHandle<absl::Status> writing = Spawn(write(std::move(writer)));
    absl::StatusOr<std::string> all = co_await reader.ReadAll();
    co_await OrReturn(writing);
    co_return all;
  };
  const absl::StatusOr<std::string> all = RunTask(body);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_TRUE(*all == content);
}

TEST_P(FileTest, ACancelEndsAReadThatWaitsAndSoDoesClose) {
  const std::string path = folder() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  GuardedBuffer first(10);
  GuardedBuffer second(10);
  const auto read = [&](const File& file, GuardedBuffer& buffer) -> Task<absl::Status> {
    const absl::StatusOr<size_t> count = co_await file.Read(buffer.span());
    buffer.Release();
    co_return count.status();
  };
  const auto body = [&]() -> Task<absl::Status> {
    File reader = co_await OrReturn(OpenFile(path));
    const File writer = co_await OrReturn(OpenFile(path, {.write = true}));
    JoinHandle<absl::Status> one = Spawn(read(reader, first), {.eager = true});
    for (int i = 0; i < 10; ++i) co_await Yield();
    one.Cancel();
    const absl::Status cancelled = co_await one;
    EXPECT_TRUE(IsError(cancelled, absl::StatusCode::kCancelled, path, "read"));
    JoinHandle<absl::Status> two = Spawn(read(reader, second), {.eager = true});
    for (int i = 0; i < 10; ++i) co_await Yield();
    const absl::Status closed = co_await reader.Close();
    const absl::Status ended = co_await two;
    EXPECT_TRUE(IsError(ended, absl::StatusCode::kCancelled, path, "read"));
    co_return closed;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(FileTest, AWriteThatWasCancelledOnTheWaySaysHowFarItCame) {
  const std::string path = folder() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const std::string content = Pattern(3 << 20);
  const auto write = [&](const File& file) -> Task<absl::Status> {
    co_return co_await file.WriteAll(content);
  };
  std::string got;
  const auto body = [&]() -> Task<absl::Status> {
    const File reader = co_await OrReturn(OpenFile(path));
    File writer = co_await OrReturn(OpenFile(path, {.write = true}));
    JoinHandle<absl::Status> writing = Spawn(write(writer));
    GuardedBuffer buffer(100'000);
    for (int i = 0; i < 10; ++i) {
      const size_t count = co_await OrReturn(reader.Read(buffer.span()));
      got += std::string(buffer.text(count));
    }
    writing.Cancel();
    const absl::Status cancelled = co_await writing;
    EXPECT_TRUE(IsError(cancelled, absl::StatusCode::kCancelled, path)) << cancelled;
    co_await OrReturn(writer.Close());
    got += co_await OrReturn(reader.ReadAll());
    co_return cancelled;
  };
  const absl::Status cancelled = RunTask(body);
  EXPECT_TRUE(content.substr(0, got.size()) == got);
  EXPECT_TRUE(absl::StrContains(
      cancelled.message(), absl::StrCat("after ", got.size(), " of ", content.size(), " bytes")))
      << cancelled << " where " << got.size() << " bytes came";
}

// --- cancelling ---

TEST_P(FileTest, ATaskThatWasCancelledBeforeDoesNothing) {
  const std::string path = folder().Write("file", "content");
  const auto child = [&](const File& file) -> Task<absl::Status> {
    while (!CurrentStopToken().stop_requested()) co_await Yield();
    const absl::StatusOr<size_t> written = co_await file.WriteAt("CONTENT", 0);
    EXPECT_TRUE(IsError(written.status(), absl::StatusCode::kCancelled, path));
    const absl::Status all = co_await file.WriteAll("CONTENT");
    EXPECT_TRUE(IsError(all, absl::StatusCode::kCancelled, path, "after 0 of 7 bytes"));
    const absl::Status truncated = co_await file.Truncate(1);
    EXPECT_TRUE(absl::IsCancelled(truncated) || truncated.ok());
    const absl::StatusOr<File> opened =
        co_await OpenFile(folder() / "new", {.write = true, .create = true});
    EXPECT_TRUE(IsError(opened.status(), absl::StatusCode::kCancelled, folder() / "new"));
    co_return absl::OkStatus();
  };
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(path, {.write = true}));
    JoinHandle<absl::Status> running = Spawn(child(file), {.eager = true});
    running.Cancel();
    co_return co_await running;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(PathExists(folder() / "new"));
}

TEST_P(FileTest, ACancelFromAnotherThreadRacesReadsAndLosesNoByte) {
  const std::string content = Pattern(4096);
  const std::string path = folder().Write("file", content);
  for (int i = 0; i < Repeats(200); ++i) {
    absl::Notification begun;
    JoinHandle<absl::Status> handle;
    const auto child = [&](const File& file) -> Task<absl::Status> {
      begun.Notify();
      size_t done = 0;
      for (;;) {
        GuardedBuffer buffer(512);
        const absl::StatusOr<size_t> count = co_await file.Read(buffer.span());
        if (!count.ok() || *count == 0) {
          // What was read in order is what was read before, no more: the next goes on there.
          const absl::StatusOr<std::string> rest = co_await Uncancellable(file.ReadAll());
          EXPECT_TRUE(rest.ok() && *rest == content.substr(done));
          co_return count.status();
        }
        EXPECT_TRUE(buffer.text(*count) == absl::string_view(content).substr(done, *count));
        buffer.Release();
        done += *count;
      }
    };
    const auto body = [&]() -> Task<absl::Status> {
      const File file = co_await OrReturn(OpenFile(path));
      handle = Spawn(child(file));
      Thread canceller = StartThread("canceller", [&] {
        begun.WaitForNotification();
        handle.Cancel();
      });
      const absl::Status status = co_await handle;
      canceller.join();
      co_return status;
    };
    const absl::Status status = RunTask(body);
    ASSERT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
  }
}

// --- closing ---

TEST_P(FileTest, CloseWaitsForWhatHasBegunAndNothingBeginsAfterwards) {
  const std::string path = folder().Write("file", Pattern(1000));
  const auto read = [&](const File& file, GuardedBuffer& buffer) -> Task<absl::Status> {
    const absl::StatusOr<size_t> count = co_await file.ReadAt(buffer.span(), 0);
    buffer.Release();
    co_return count.status();
  };
  for (const int i : ShareOf(50)) {
    GuardedBuffer buffers[2] = {GuardedBuffer(1000), GuardedBuffer(1000)};
    const auto body = [&]() -> Task<absl::Status> {
      File file = co_await OrReturn(OpenFile(path, {.read = true, .write = true}));
      JoinHandle<absl::Status> one = Spawn(read(file, buffers[0]));
      JoinHandle<absl::Status> two = Spawn(read(file, buffers[1]));
      for (int turn = 0; turn < i % 5; ++turn) co_await Yield();
      co_await OrReturn(file.Close());
      for (JoinHandle<absl::Status>* handle : {&one, &two}) {
        const absl::Status ended = co_await *handle;
        EXPECT_TRUE(ended.ok() || absl::IsCancelled(ended) || absl::IsFailedPrecondition(ended))
            << ended;
      }
      co_return absl::OkStatus();
    };
    const absl::Status status = RunTask(body);
    ASSERT_TRUE(status.ok()) << status;
  }
}

// The operation was asked for before, and begins when its number is another's.
TEST_P(FileTest, AnOperationThatIsAwaitedAfterTheCloseHitsNoOther) {
  const std::string path = folder().Write("file", "0123456789");
  folder().Write("other", "abcdefghij");
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(path, {.read = true, .write = true}));
    const int number = file.fd();
    GuardedBuffer buffer(10);
    const auto reading = file.ReadAt(buffer.span(), 0);
    const auto writing = file.WriteAt("stray", 0);
    const auto syncing = file.Sync();
    co_await OrReturn(file.Close());
    const OwnedFd other(::open((folder() / "other").c_str(), O_RDWR | O_CLOEXEC));
    if (is_loop()) {  // a pool's spare threads may have taken it
      EXPECT_EQ(other.get(), number);
    }
    const absl::StatusOr<size_t> read = co_await reading;
    EXPECT_TRUE(IsError(read.status(), absl::StatusCode::kCancelled, path, "read"))
        << read.status();
    const absl::StatusOr<size_t> written = co_await writing;
    EXPECT_TRUE(absl::IsCancelled(written.status())) << written.status();
    const absl::Status synced = co_await syncing;
    EXPECT_TRUE(absl::IsCancelled(synced)) << synced;
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(folder().Content("other"), "abcdefghij");
}

// The number that the file had is another's by the time the truncation runs.
TEST_P(FileTest, AFileThatIsClosedWhileItIsToBeCutOffHitsNoOther) {
  const std::string path = folder().Write("file", "0123456789");
  folder().Write("other", "0123456789");
  const auto truncate = [](const File& file) -> Task<absl::Status> {
    co_return co_await file.Truncate(3);
  };
  const auto body = [&]() -> Task<absl::Status> {
    File file = co_await OrReturn(OpenFile(path, {.read = true, .write = true}));
    const int number = file.fd();
    blocking().Pause();
    JoinHandle<absl::Status> cutting = Spawn(truncate(file), {.eager = true});
    co_await OrReturn(file.Close());
    const OwnedFd other(::open((folder() / "other").c_str(), O_RDWR | O_CLOEXEC));
    if (is_loop()) {  // a pool's spare threads may have taken it
      EXPECT_EQ(other.get(), number);
    }
    blocking().Resume();
    co_return co_await cutting;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(folder().Content("file"), "012");
  EXPECT_EQ(folder().Content("other"), "0123456789");
}

TEST_P(FileTest, AFileThatIsDroppedIsClosedAndItsNumberWorksForTheNext) {
  const std::string path = folder().Write("file", "content");
  const int before = OpenDescriptors();
  const auto body = [&]() -> Task<absl::Status> {
    for (int i = 0; i < Repeats(100); ++i) {
      const int open = OpenFiles();
      std::optional<File> file = co_await OrReturn(OpenFile(path));
      GuardedBuffer buffer(7);
      const size_t read = co_await OrReturn(file->Read(buffer.span()));
      EXPECT_EQ(read, 7u);
      file.reset();
      while (OpenFiles() > open) co_await Yield();
      // Most likely of the same number.
      FdPair pair = MakeSocketPair();
      WriteAll(pair.second.get(), "socket!");
      const File socket = File::Adopt(pair.first.Release(), "socket");
      const size_t received = co_await OrReturn(socket.Read(buffer.span()));
      EXPECT_EQ(buffer.text(received), "socket!");
    }
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EndExecutor();
  EXPECT_LE(OpenDescriptors(), before);
}

TEST_P(FileTest, AFileThatOutlivesItsLoopIsClosedInTheEnd) {
  const std::string path = folder().Write("file", "content");
  const int before = OpenDescriptors();
  {
    absl::StatusOr<File> file = absl::UnknownError("");
    const auto body = [&]() -> Task<void> { file = co_await OpenFile(path); };
    RunTask(body);
    ASSERT_TRUE(file.ok()) << file.status();
    EndExecutor();
    EXPECT_TRUE(file->is_open());
  }
  EXPECT_LT(OpenDescriptors(), before);
}

TEST_P(FileTest, FilesOfTasksThatAreCancelledAreClosed) {
  const std::string path = folder().Write("file", Pattern(100'000));
  const int before = OpenDescriptors();
  const auto child = [&]() -> Task<absl::Status> {
    for (;;) {
      File file = co_await OrReturn(OpenFile(path));
      co_await OrReturn(file.ReadAll());
    }
  };
  const auto body = [&]() -> Task<void> {
    for (int i = 0; i < 20; ++i) Spawn(child());
    for (int i = 0; i < 50; ++i) co_await Yield();
  };
  RunTask(body);
  EndExecutor();  // which cancels them
  EXPECT_LE(OpenDescriptors(), before);
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, FileTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
