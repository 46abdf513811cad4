// ReactorTaskSuite: transfers, fairness, many and
// cost.
#include <errno.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_task_programs.h"
#include "plait/runtime/testing/reactor_task_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/task_programs.h"

namespace plait {
namespace {

using internal::Atomic;
using testing_programs::Turns;

// --- transfers. Traps: buffer, park. Lines 26 to 33 ---

TEST_P(ReactorTaskSuite, Line26SixteenMebibytesArriveWholeThroughSmallBuffers) {
  const std::string data = Pattern(static_cast<size_t>(Repeats(16 << 20)));
  for (const bool tcp : {false, true}) {
    SCOPED_TRACE(tcp ? "TCP" : "Unix");
    FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
    if (!tcp) {
      SetBufferSizes(pair.first.get(), 4096);
      SetBufferSizes(pair.second.get(), 4096);
    }
    const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
      JoinHandle<absl::Status> writer = Spawn(WriteAndShutDown(pair.first.get(), data));
      absl::StatusOr<std::string> received = co_await ReadToEnd(pair.second.get(), 65'521);
      const absl::Status written = co_await writer;
      EXPECT_TRUE(written.ok()) << written;
      static_cast<void>(co_await io::Close(pair.first.Release()));
      static_cast<void>(co_await io::Close(pair.second.Release()));
      co_return received;
    };
    const absl::StatusOr<std::string> received = RunTask(body);
    ASSERT_TRUE(received.ok()) << received.status();
    EXPECT_TRUE(*received == data);
  }
}

TEST_P(ReactorTaskSuite, Line44BothDirectionsOfAConnectionCarryALotAtOnce) {
  FdPair pair = MakeTcpPair();
  const std::string there = Pattern(1 << 20, 1);
  const std::string back = Pattern(1 << 20, 2);
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::Status> first = Spawn(WriteAndShutDown(pair.first.get(), there));
    JoinHandle<absl::Status> second = Spawn(WriteAndShutDown(pair.second.get(), back));
    JoinHandle<absl::StatusOr<std::string>> at_second = Spawn(ReadToEnd(pair.second.get(), 10'000));
    const absl::StatusOr<std::string> at_first = co_await ReadToEnd(pair.first.get(), 10'000);
    const absl::StatusOr<std::string> received = co_await at_second;
    EXPECT_TRUE(received.ok() && *received == there);
    EXPECT_TRUE(at_first.ok() && *at_first == back);
    const absl::Status first_written = co_await first;
    EXPECT_TRUE(first_written.ok()) << first_written;
    const absl::Status second_written = co_await second;
    EXPECT_TRUE(second_written.ok()) << second_written;
  };
  RunTask(body);
}

TEST_P(ReactorTaskSuite, Line27AShortReadIsNormalAndZeroBytesAreTheEndOnlyOnce) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    WriteAll(pair.second.get(), "abc");
    const absl::StatusOr<std::string> some = co_await ReadSome(pair.first.get(), 1000);
    EXPECT_TRUE(some.ok() && *some == "abc");
    JoinHandle<absl::StatusOr<std::string>> waiting = Spawn(ReadSome(pair.first.get(), 1000));
    co_await Turns(1);
    EXPECT_FALSE(waiting.done());
    pair.second.Reset();
    const absl::StatusOr<std::string> end = co_await waiting;
    EXPECT_TRUE(end.ok() && end->empty());
  };
  RunTask(body);
}

TEST_P(ReactorTaskSuite, Line30AShutdownComesAfterWhatWasWritten) {
  FdPair pair = MakeTcpPair();
  const std::string data = Pattern(300'000);
  std::string received;
  Thread peer = StartThread("peer", [&] { received = ReadExactly(pair.second.get(), 1 << 30); });
  const absl::Status written =
      RunTask([&]() -> Task<absl::Status> { return WriteAndShutDown(pair.first.get(), data); });
  peer.join();
  EXPECT_TRUE(written.ok()) << written;
  EXPECT_TRUE(received == data);
}

TEST_P(ReactorTaskSuite, Line33AResetIsAStatusThatNamesItself) {
  FdPair pair = MakeTcpPair();
  const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
    JoinHandle<absl::StatusOr<std::string>> waiting = Spawn(ReadSome(pair.first.get(), 10));
    co_await Turns(1);
    CloseWithReset(std::move(pair.second));
    co_return co_await waiting;
  };
  const absl::StatusOr<std::string> read = RunTask(body);
  EXPECT_EQ(read.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(read.status().message(), "read (fd ")) << read.status();
  EXPECT_TRUE(absl::StrContains(read.status().message(), "ECONNRESET")) << read.status();
}

Task<absl::Status> EchoUntilTheEnd(int fd) {
  for (;;) {
    const absl::StatusOr<std::string> part = co_await ReadSome(fd, 4096);
    if (!part.ok()) co_return part.status();
    if (part->empty()) break;
    absl::Status written = co_await WriteEverything(fd, *part);
    if (!written.ok()) co_return written;
  }
  co_return co_await io::Close(fd);
}

Task<absl::Status> SayAndHear(const TcpListener* listener, int number) {
  const int fd = MakeTcpSocket().Release();
  absl::Status connected = co_await io::Connect(fd, listener->name(), sizeof(sockaddr_in));
  if (!connected.ok()) co_return connected;
  for (int round = 0; round < 20; ++round) {
    const std::string said = Pattern(1 + static_cast<size_t>(number * 31 + round * 97) % 5000,
                                     static_cast<unsigned>(number + 1));
    absl::Status written = co_await WriteEverything(fd, said);
    if (!written.ok()) co_return written;
    const absl::StatusOr<std::string> heard = co_await ReadThisMuch(fd, said.size());
    if (!heard.ok()) co_return heard.status();
    EXPECT_TRUE(*heard == said);
  }
  co_return co_await io::Close(fd);
}

TEST_P(ReactorTaskSuite, SixtyFourConnectionsAreEchoedOverTcp) {
  constexpr int kConnections = 64;
  TcpListener listener = MakeTcpListener();
  const auto serve = [&](TaskGroup& group) -> Task<absl::Status> {
    for (int i = 0; i < kConnections; ++i) group.Spawn(SayAndHear(&listener, i));
    for (int i = 0; i < kConnections; ++i) {
      const absl::StatusOr<int> connection = co_await io::Accept(listener.fd.get());
      if (!connection.ok()) co_return connection.status();
      group.Spawn(EchoUntilTheEnd(*connection));
    }
    co_return absl::OkStatus();
  };
  const absl::Status served = RunTask([&]() -> Task<absl::Status> { return WithTaskGroup(serve); });
  EXPECT_TRUE(served.ok()) << served;
  EndExecutor();
}

// --- fairness. Lines 10, 25, 48, 65 ---

Task<void> KeepBusy(int to, int from, const Atomic<bool>* ended) {
  GuardedBuffer byte("x");
  while (!ended->load(internal::kRelaxed)) {
    static_cast<void>(co_await io::Write(to, byte.span()));
    static_cast<void>(co_await io::Read(from, byte.span()));
  }
}

TEST_P(ReactorTaskSuite, Line25ATimerFiresWhileInputAndOutputAreSaturated) {
  FdPair pair = MakeSocketPair();
  Atomic<bool> ended{false};
  const auto body = [&]() -> Task<void> {
    std::vector<JoinHandle<void>> busy;
    for (int i = 0; i < 4; ++i) {
      busy.push_back(Spawn(KeepBusy(pair.first.get(), pair.second.get(), &ended)));
    }
    const absl::Status slept = co_await Sleep(absl::Milliseconds(5));  // or never
    EXPECT_TRUE(slept.ok()) << slept;
    ended.store(true, internal::kRelaxed);
    for (JoinHandle<void>& handle : busy) co_await handle;
  };
  RunTask(body);
}

TEST_P(ReactorTaskSuite, Line10WorkThatYieldsForEverDoesNotStarveInput) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(pair.first.get(), 1));
    co_await Turns(1);
    WriteAll(pair.second.get(), "x");
    while (!reader.done()) co_await Yield();  // or never
  };
  RunTask(body);
}

TEST_P(ReactorTaskSuite, ALongLoopOfReadyOperationsDoesNotGrowTheStack) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    GuardedBuffer byte("x");
    for (int i = 0; i < Repeats(20'000); ++i) {
      const absl::StatusOr<size_t> written = co_await io::Write(pair.first.get(), byte.span());
      const absl::StatusOr<size_t> read = co_await io::Read(pair.second.get(), byte.span());
      if (!written.ok() || !read.ok()) {
        ADD_FAILURE() << written.status() << read.status();
        co_return;
      }
    }
  };
  RunTask(body);
}

// --- many, and cost ---

TEST_P(ReactorTaskSuite, AThousandTasksWaitForAThousandDescriptors) {
  constexpr int kPairs = 1000;
  std::vector<FdPair> pairs;
  for (int i = 0; i < kPairs; ++i) pairs.push_back(MakeSocketPair());
  const auto body = [&]() -> Task<int> {
    std::vector<JoinHandle<absl::StatusOr<std::string>>> readers;
    for (FdPair& pair : pairs) readers.push_back(Spawn(ReadSome(pair.first.get(), 8)));
    co_await Yield();
    for (int i = kPairs - 1; i >= 0; --i) WriteAll(pairs[i].second.get(), std::to_string(i));
    int right = 0;
    for (int i = 0; i < kPairs; ++i) {
      const absl::StatusOr<std::string> read = co_await readers[i];
      if (read.ok() && *read == std::to_string(i)) ++right;
    }
    co_return right;
  };
  EXPECT_EQ(RunTask(body), kPairs);
}

TEST_P(ReactorTaskSuite, Line46ManyTasksReadOneDescriptorInTheOrderInWhichTheyCame) {
  FdPair pair = MakeSocketPair();
  constexpr int kReaders = 200;
  std::string data = Pattern(kReaders);
  const auto body = [&]() -> Task<std::string> {
    std::vector<JoinHandle<absl::StatusOr<std::string>>> readers;
    for (int i = 0; i < kReaders; ++i) readers.push_back(Spawn(ReadSome(pair.first.get(), 1)));
    co_await Turns(1);
    WriteAll(pair.second.get(), data);
    std::string received;
    for (auto& reader : readers) {
      const absl::StatusOr<std::string> read = co_await reader;
      if (read.ok()) received += *read;
    }
    co_return received;
  };
  std::string received = RunTask(body);
  if (!ordered()) {
    // Which came first is not for the test to know: but each has one of the bytes.
    std::sort(received.begin(), received.end());
    std::sort(data.begin(), data.end());
  }
  EXPECT_TRUE(received == data);
}

TEST_P(ReactorTaskSuite, AnAwaitedOperationAllocatesNothing) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<int64_t> {
    co_await Turns(1);  // all threads have begun
    GuardedBuffer byte("x");
    int64_t before = 0;
    for (int i = 0; i < 1100; ++i) {
      if (i == 100) before = AllocationCount();
      static_cast<void>(co_await io::Write(pair.first.get(), byte.span()));
      static_cast<void>(co_await io::Poll(pair.second.get(), kPollReadable));
      static_cast<void>(co_await io::Read(pair.second.get(), byte.span()));
    }
    co_return AllocationCount() - before;
  };
  EXPECT_EQ(RunTask(body), 0);
}

}  // namespace
}  // namespace plait
