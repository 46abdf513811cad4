// ReactorTaskSuite: closing, connecting, and other
// kinds of descriptors.
#include <errno.h>
#include <netinet/in.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_task_programs.h"
#include "plait/runtime/testing/reactor_task_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/task_programs.h"

namespace plait {
namespace {

using testing_programs::Turns;

// --- close. Lines 34 to 37 ---

TEST_P(ReactorTaskSuite, Line35CloseEndsThePendingOperationsOfOtherTasksWithCancelled) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    std::vector<JoinHandle<absl::StatusOr<std::string>>> readers;
    for (int i = 0; i < 5; ++i) readers.push_back(Spawn(ReadSome(pair.first.get(), 10)));
    co_await Turns(1);
    const absl::Status closed = co_await io::Close(pair.first.Release());
    EXPECT_TRUE(closed.ok()) << closed;
    for (auto& reader : readers) {
      // Line 36: they were delivered before the close was; on several threads they may still be
      // about to look at that.
      EXPECT_TRUE(reader.done() || !ordered());
      const absl::StatusOr<std::string> read = co_await reader;
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
    }
  };
  RunTask(body);
}

TEST_P(ReactorTaskSuite, Line34CloseDuringAConnectEndsItOnceAsCancelled) {
  FullListener full = MakeFullListener();
  OwnedFd client = MakeTcpSocket();
  const auto body = [&]() -> Task<void> {
    int ends = 0;
    const auto connect = [&]() -> Task<absl::Status> {
      absl::Status status =
          co_await io::Connect(client.get(), full.listener.name(), sizeof(sockaddr_in));
      ++ends;
      co_return status;
    };
    JoinHandle<absl::Status> connecting = Spawn(connect(), {.eager = true});
    co_await Turns(1);
    EXPECT_FALSE(connecting.done());
    const absl::Status closed = co_await io::Close(client.Release());
    EXPECT_TRUE(closed.ok()) << closed;
    const absl::Status connected = co_await connecting;
    EXPECT_TRUE(absl::IsCancelled(connected)) << connected;
    EXPECT_EQ(ends, 1);
  };
  RunTask(body);
}

// Traps: buffer (ReadSome's is gone when its read has ended), reuse
TEST_P(ReactorTaskSuite, Line36NothingComesOnADescriptorThatWasClosed) {
  const auto body = [&]() -> Task<void> {
    for (const int i : ShareOf(50)) {
      FdPair pair = MakeSocketPair();
      JoinHandle<absl::StatusOr<std::string>> reading =
          Spawn(ReadSome(pair.first.get(), 10), {.eager = true});
      if (i % 2 == 0) co_await Turns(1);
      const int number = pair.first.Release();
      const absl::Status closed = co_await io::Close(number);
      EXPECT_TRUE(closed.ok()) << closed;
      // Something else has the number, and something to read.
      FdPair next = MakeSocketPair();
      EXPECT_TRUE(next.first.get() == number || !ordered());
      WriteAll(next.second.get(), "another's");
      co_await Turns(1);
      const absl::StatusOr<std::string> read = co_await reading;
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
      EXPECT_EQ(ReadExactly(next.first.get(), 9), "another's");
    }
  };
  RunTask(body);
}

TEST_P(ReactorTaskSuite, ACancelledTaskStillCloses) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    const auto close_at_end = [&]() -> Task<absl::Status> {
      const absl::StatusOr<std::string> read = co_await ReadSome(pair.first.get(), 10);
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
      co_return co_await io::Close(pair.first.Release());
    };
    JoinHandle<absl::Status> handle = Spawn(close_at_end());
    co_await Turns(1);
    handle.Cancel();
    const absl::Status closed = co_await handle;
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
  EXPECT_EQ(ReadExactly(pair.second.get(), 1), "");
}

TEST_P(ReactorTaskSuite, Line37ConnectionsThatComeAndGoOnTheSameNumbersHearOnlyTheirOwn) {
  const auto body = [&]() -> Task<void> {
    for (const int i : ShareOf(300)) {
      FdPair pair = MakeSocketPair();
      const std::string own = Pattern(10, static_cast<unsigned>(i));
      JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(pair.first.get(), 10));
      if (i % 2 == 0) co_await Yield();
      const absl::Status written = co_await WriteEverything(pair.second.get(), own);
      EXPECT_TRUE(written.ok()) << written;
      const absl::StatusOr<std::string> read = co_await reader;
      EXPECT_TRUE(read.ok() && *read == own);
      // Some are left with data, some with the end, some with both.
      if (i % 3 != 0) {
        const absl::Status left = co_await WriteEverything(pair.second.get(), "left behind");
        EXPECT_TRUE(left.ok()) << left;
      }
      const int first = i % 5 < 2 ? pair.first.Release() : pair.second.Release();
      const int second = i % 5 < 2 ? pair.second.Release() : pair.first.Release();
      const absl::Status first_closed = co_await io::Close(first);
      EXPECT_TRUE(first_closed.ok()) << first_closed;
      const absl::Status second_closed = co_await io::Close(second);
      EXPECT_TRUE(second_closed.ok()) << second_closed;
    }
  };
  RunTask(body);
}

TEST_P(ReactorTaskSuite, EndingTheExecutorCancelsAndJoinsWhatWaitsForInput) {
  FdPair pair = MakeSocketPair();
  JoinHandle<absl::StatusOr<std::string>> reader =
      Spawn(ReadSome(pair.first.get(), 10), {.executor = &executor()});
  RunTask([]() -> Task<void> { co_await Turns(1); });
  EXPECT_FALSE(reader.done());
  EndExecutor();
  ASSERT_TRUE(reader.done());
  EXPECT_TRUE(absl::IsCancelled(reader.result().status()));
}

// --- connections. Lines 28, 39, 42 ---

TEST_P(ReactorTaskSuite, Line28TheEndComesAfterAllTheDataAndAgainWhenAskedAgain) {
  for (const bool tcp : {false, true}) {
    FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
    const std::string all = Pattern(300'000, 28);
    const auto body = [&]() -> Task<void> {
      JoinHandle<absl::Status> writing = Spawn(WriteAndShutDown(pair.second.get(), all));
      const absl::StatusOr<std::string> read = co_await ReadToEnd(pair.first.get(), 4096);
      EXPECT_TRUE(read.ok() && *read == all) << read.status();
      for (int i = 0; i < 3; ++i) {
        const absl::StatusOr<std::string> end = co_await ReadSome(pair.first.get(), 10);
        EXPECT_TRUE(end.ok() && end->empty()) << end.status();
      }
      const absl::Status written = co_await writing;
      EXPECT_TRUE(written.ok()) << written;
      for (OwnedFd* const end : {&pair.first, &pair.second}) {
        const absl::Status closed = co_await io::Close(end->Release());
        EXPECT_TRUE(closed.ok()) << closed;
      }
    };
    RunTask(body);
  }
}

TEST_P(ReactorTaskSuite, Line39ARefusedConnectionIsUnavailable) {
  TcpListener refusing = MakeRefusingPort();
  OwnedFd client = MakeTcpSocket();
  bool returned = false;
  const auto connect = [&]() -> Task<absl::Status> {
    absl::Status status = co_await io::Connect(client.get(), refusing.name(), sizeof(sockaddr_in));
    returned = true;
    co_return status;
  };
  const absl::Status status = RunTask(connect);
  EXPECT_TRUE(returned);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(status.message(), "connect")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "ECONNREFUSED")) << status;
}

TEST_P(ReactorTaskSuite, UnixSocketsAndPipesCarryData) {
  UnixListener listener = MakeUnixListener();
  OwnedFd client = MakeUnixSocket();
  FdPair pipe = MakePipe();
  const std::string data = Pattern(500'000);
  const auto body = [&]() -> Task<void> {
    const absl::Status connected =
        co_await io::Connect(client.get(), listener.name(), listener.size);
    EXPECT_TRUE(connected.ok()) << connected;
    const absl::StatusOr<int> server = co_await io::Accept(listener.fd.get());
    if (!server.ok()) {
      ADD_FAILURE() << server.status();
      co_return;
    }
    JoinHandle<absl::Status> writer = Spawn(WriteAndShutDown(client.get(), data));
    const absl::StatusOr<std::string> received = co_await ReadToEnd(*server, 1000);
    EXPECT_TRUE(received.ok() && *received == data);
    const absl::Status written = co_await writer;
    EXPECT_TRUE(written.ok()) << written;
    static_cast<void>(co_await io::Close(*server));

    JoinHandle<absl::Status> pipe_writer = Spawn(WriteEverything(pipe.second.get(), data));
    const absl::StatusOr<std::string> piped = co_await ReadThisMuch(pipe.first.get(), data.size());
    EXPECT_TRUE(piped.ok() && *piped == data);
    const absl::Status pipe_written = co_await pipe_writer;
    EXPECT_TRUE(pipe_written.ok()) << pipe_written;
  };
  RunTask(body);
}

TEST_P(ReactorTaskSuite, FilesAreReadAndWrittenByTasks) {
  OwnedFd file = MakeFile("0123456789");
  const auto body = [&]() -> Task<void> {
    GuardedBuffer buffer(4);
    const absl::StatusOr<size_t> read = co_await io::ReadAt(file.get(), buffer.span(), 3);
    EXPECT_TRUE(read.ok() && buffer.text(*read) == "3456");
    const GuardedBuffer data("abc");
    const absl::StatusOr<size_t> written = co_await io::WriteAt(file.get(), data.span(), 8);
    EXPECT_TRUE(written.ok() && *written == 3);
    const absl::StatusOr<std::string> all = co_await ReadToEnd(file.get(), 3);
    EXPECT_TRUE(all.ok() && *all == "01234567abc");
    const absl::Status closed = co_await io::Close(file.Release());
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

}  // namespace
}  // namespace plait
