// Operations on descriptors, by tasks on every executor that waits for I/O: what they say of what
// cannot be, and of what the system refuses. What they do is in the reactors' suites.
#include "plait/io/ops/operations.h"

#include <errno.h>
#include <fcntl.h>

#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait::io {
namespace {

using sys::FaultInjection;

class OperationsTest : public IoTest {
 protected:
  OperationsTest() {
    executor();  // what it has open is there before a test closes something
  }
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, OperationsTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

// What each operation says of `fd`, in the order read, write, accept, connect, poll.
struct Answers {
  absl::Status read, write, accept, connect, poll;
};

Task<Answers> AskEverything(int fd) {
  GuardedBuffer byte("x");
  sockaddr_in address{};
  Answers answers;
  const absl::StatusOr<size_t> read = co_await Read(fd, byte.span());
  answers.read = read.status();
  const absl::StatusOr<size_t> write = co_await Write(fd, byte.span());
  answers.write = write.status();
  const absl::StatusOr<int> accept = co_await Accept(fd);
  answers.accept = accept.status();
  answers.connect =
      co_await Connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const absl::StatusOr<uint32_t> poll = co_await Poll(fd, kPollReadable | kPollWritable);
  answers.poll = poll.status();
  co_return answers;
}

Task<absl::Status> CloseIt(int fd) { co_return co_await Close(fd); }

TEST_P(OperationsTest,
       AClosedOrNegativeDescriptorIsAFailedPreconditionThatNamesOperationAndDescriptor) {
  // Far from the numbers that a pool's spare threads may take.
  OwnedFd closed(::fcntl(MakeTcpSocket().get(), F_DUPFD_CLOEXEC, 900));
  const int number = closed.get();
  ASSERT_GE(number, 900);
  closed.Reset();
  for (const int fd :
       {-1, std::numeric_limits<int>::min(), number, std::numeric_limits<int>::max()}) {
    const Answers answers = BlockOn(executor(), AskEverything(fd));
    const auto expect = [fd](const absl::Status& status, absl::string_view operation) {
      EXPECT_EQ(status, absl::FailedPreconditionError(absl::StrCat(
                            operation, " (fd ", fd, "): Bad file descriptor (EBADF)")));
    };
    expect(answers.read, "read");
    expect(answers.write, "write");
    expect(answers.accept, "accept");
    expect(answers.connect, "connect");
    expect(answers.poll, "poll");
    const absl::Status close = BlockOn(executor(), CloseIt(fd));
    expect(close, "close");
  }
}

TEST_P(OperationsTest, Line47ADescriptorThatCannotDoItIsAClearStatus) {
  OwnedFd file = MakeFile("hello");
  Answers answers = BlockOn(executor(), AskEverything(file.get()));
  EXPECT_TRUE(answers.read.ok() && answers.write.ok()) << answers.read << answers.write;
  EXPECT_EQ(answers.accept.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(answers.connect.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(answers.poll.ok()) << answers.poll;

  FdPair pipe = MakePipe();
  answers = BlockOn(executor(), AskEverything(pipe.second.get()));
  EXPECT_EQ(answers.read.code(), absl::StatusCode::kFailedPrecondition) << "not open for reading";
  EXPECT_TRUE(answers.write.ok()) << answers.write;
  EXPECT_EQ(answers.accept.code(), absl::StatusCode::kInvalidArgument);
}

TEST(OperationsOutsideTest, AnExecutorWithoutAReactorIsAFailedPrecondition) {
  ThreadExecutor executor;
  FdPair pair = MakeSocketPair();
  const Answers answers = BlockOn(executor, AskEverything(pair.first.get()));
  for (const absl::Status& status :
       {answers.read, answers.write, answers.accept, answers.connect, answers.poll}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "this executor has no reactor")) << status;
  }
}

TEST_P(OperationsTest, AnOperationMayBeKeptAndAwaitedMoreThanOnce) {
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), "ab");
  GuardedBuffer byte(1);
  const auto body = [&]() -> Task<std::string> {
    const auto read = Read(pair.first.get(), byte.span());
    std::string received;
    for (int i = 0; i < 2; ++i) {
      const absl::StatusOr<size_t> count = co_await read;
      EXPECT_TRUE(count.ok()) << count.status();
      received += *byte.data();
    }
    co_return received;
  };
  EXPECT_EQ(RunTask(body), "ab");
}

// Where a reactor tries calls at once, a turn of the loop is not spent on each; nor is the thread
// kept from the others for as long as there is something to read.
TEST_P(OperationsTest, WhatIsReadyGoesOnAtOnceWithinTheBudgetOfAwaits) {
  constexpr int kReads = 1000;
  FdPair pipe = MakePipe();
  WriteAll(pipe.second.get(), std::string(kReads, 'x'));
  GuardedBuffer byte(1);
  bool done = false;
  int turns = 0;
  const auto read = [&]() -> Task<absl::Status> {
    for (int i = 0; i < kReads; ++i) co_await OrReturn(Read(pipe.first.get(), byte.span()));
    done = true;
    co_return absl::OkStatus();
  };
  const auto count = [&]() -> Task<absl::Status> {
    while (!done) {
      ++turns;
      co_await Yield();
    }
    co_return absl::OkStatus();
  };
  bool at_once = false;
  const auto body = [&]() -> Task<absl::Status> {
    at_once = Worker::Current()->reactor()->prefers_await_input();
    if (GetParam().threads > 1) co_return co_await read();  // others would count meanwhile
    co_return co_await Gather(read(), count());
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
  if (GetParam().threads > 1) return;
  EXPECT_GE(turns, kReads / plait::internal::kReadyAwaits);
  if (at_once) {
    EXPECT_LE(turns, kReads / 10);
  }
}

// A task of a strand that never waits does not keep the strand's base.
TEST_P(OperationsTest, WhatIsReadyOnAStrandLeavesItsBaseTheOthersTurns) {
  if (GetParam().threads > 1) return;  // others have theirs elsewhere
  constexpr int kReads = 5000;
  FdPair pipe = MakePipe();
  WriteAll(pipe.second.get(), std::string(kReads, 'x'));
  GuardedBuffer byte(1);
  Strand strand(executor());
  bool done = false;
  const auto read = [&]() -> Task<absl::Status> {
    for (int i = 0; i < kReads; ++i) co_await OrReturn(Read(pipe.first.get(), byte.span()));
    done = true;
    co_return absl::OkStatus();
  };
  int turns = 0;
  const auto body = [&]() -> Task<absl::Status> {
    JoinHandle<absl::Status> reading = Spawn(read(), {.executor = &strand});
    while (!done) {
      ++turns;
      co_await Yield();
    }
    co_return co_await reading;
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
  EXPECT_GE(turns, kReads / plait::internal::kReadyAwaits / 2);
}

TEST_P(OperationsTest, WhoHasGoneOnAtOnceIsNotShownAsWaiting) {
  FdPair pipe = MakePipe();
  WriteAll(pipe.second.get(), "x");
  GuardedBuffer byte(1);
  const auto body = [&]() -> Task<std::string> {
    const absl::StatusOr<size_t> read = co_await Read(pipe.first.get(), byte.span());
    EXPECT_TRUE(read.ok()) << read.status();
    co_return DumpTasks(executor());
  };
  const std::string dump = RunTask(body);
  EXPECT_FALSE(absl::StrContains(dump, "waits for the operating system")) << dump;
}

// Trap: a cancel that races completion. The read has its byte at once, and a stop is on its way to
// it, or it was stopped before it began.
TEST_P(OperationsTest, ACancelOfWhatIsReadyLosesNothing) {
  FdPair pair = MakeSocketPair();
  for (int round = 0; round < Repeats(2000); ++round) {
    GuardedBuffer byte(1);
    WriteAll(pair.second.get(), "x");
    const auto read = [&]() -> Task<absl::StatusOr<size_t>> {
      co_return co_await Read(pair.first.get(), byte.span());
    };
    const auto body = [&]() -> Task<absl::Status> {
      JoinHandle<absl::StatusOr<size_t>> reading = Spawn(read(), {.eager = round % 2 == 0});
      if (round % 4 < 2) co_await Yield();
      reading.Cancel();
      const absl::StatusOr<size_t> count = co_await reading;
      if (count.ok()) co_return absl::OkStatus();
      if (!absl::IsCancelled(count.status())) co_return count.status();
      // Then it is still there.
      co_return (co_await Read(pair.first.get(), byte.span())).status();
    };
    const absl::Status ran = RunTask(body);
    ASSERT_TRUE(ran.ok()) << ran;
  }
}

TEST_P(OperationsTest, ConnectAndAcceptTellTheAddressesOfEachOther) {
  TcpListener listener = MakeTcpListener();
  OwnedFd client = MakeTcpSocket();
  const auto body = [&]() -> Task<void> {
    const absl::Status connected =
        co_await Connect(client.get(), listener.name(), sizeof(sockaddr_in));
    EXPECT_TRUE(connected.ok()) << connected;
    sockaddr_in peer{};
    uint32_t size = sizeof(peer);
    const absl::StatusOr<int> server =
        co_await Accept(listener.fd.get(), reinterpret_cast<sockaddr*>(&peer), &size);
    EXPECT_TRUE(server.ok()) << server.status();
    const OwnedFd accepted(server.value_or(-1));
    sockaddr_in own{};
    socklen_t own_size = sizeof(own);
    EXPECT_EQ(::getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &own_size), 0);
    EXPECT_EQ(size, own_size);
    EXPECT_EQ(peer.sin_port, own.sin_port);
  };
  RunTask(body);
}

TEST_P(OperationsTest, AFullUnixListenerIsUnavailable) {
  UnixListener listener = MakeUnixListener(/*backlog=*/0);
  const auto body = [&]() -> Task<absl::Status> {
    absl::Status last;
    for (int i = 0; i < 10 && last.ok(); ++i) {
      const int fd = MakeUnixSocket().Release();
      last = co_await Connect(fd, listener.name(), listener.size);
      // The connection stays in the listener's queue.
      static_cast<void>(co_await Close(fd));
    }
    co_return last;
  };
  const absl::Status status = RunTask(body);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "EAGAIN")) << status;
}

TEST_P(OperationsTest, EveryErrorOfTheSystemComesOutAsItsStatus) {
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  TcpListener listener = MakeTcpListener();
  const auto accept = [&]() -> Task<absl::StatusOr<int>> {
    co_return co_await Accept(listener.fd.get());
  };
  faults.FailNext(FaultInjection::kAccept, EMFILE);
  const absl::StatusOr<int> accepted = RunTask(accept);
  EXPECT_EQ(accepted.status(),
            absl::ResourceExhaustedError(
                absl::StrCat("accept (fd ", listener.fd.get(), "): Too many open files (EMFILE)")));
}

}  // namespace
}  // namespace plait::io
