// ReactorSuite, the other half: through coroutines on an EventLoop over the reactor.
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcquire;
using internal::kRelease;

// One read into a buffer that is gone when this returns: what still writes to it then is found out.
Task<absl::StatusOr<std::string>> ReadSome(int fd, size_t size) {
  GuardedBuffer buffer(size);
  const absl::StatusOr<size_t> count = co_await io::Read(fd, buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

Task<absl::StatusOr<std::string>> ReadToEnd(int fd, size_t size_per_read) {
  std::string all;
  for (;;) {
    const absl::StatusOr<std::string> part = co_await ReadSome(fd, size_per_read);
    if (!part.ok()) co_return part.status();
    if (part->empty()) co_return all;
    all += *part;
  }
}

Task<absl::StatusOr<std::string>> ReadThisMuch(int fd, size_t size) {
  std::string all;
  while (all.size() < size) {
    const absl::StatusOr<std::string> part = co_await ReadSome(fd, size - all.size());
    if (!part.ok()) co_return part.status();
    if (part->empty()) break;
    all += *part;
  }
  co_return all;
}

Task<absl::Status> WriteEverything(int fd, std::string data) {
  const GuardedBuffer buffer(data);
  absl::string_view rest = buffer.text(data.size());
  while (!rest.empty()) {
    const absl::StatusOr<size_t> count =
        co_await io::Write(fd, absl::MakeConstSpan(rest.data(), rest.size()));
    if (!count.ok()) co_return count.status();
    rest.remove_prefix(*count);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> WriteAndShutDown(int fd, std::string data) {
  absl::Status written = co_await WriteEverything(fd, std::move(data));
  ::shutdown(fd, SHUT_WR);
  co_return written;
}

// --- transfers. Traps: buffer, park. Lines 26 to 33 ---

TEST_P(ReactorSuite, Line26SixteenMebibytesArriveWholeThroughSmallBuffers) {
  const std::string data = Pattern(16 << 20);
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

TEST_P(ReactorSuite, Line44BothDirectionsOfAConnectionCarryALotAtOnce) {
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

TEST_P(ReactorSuite, Line27AShortReadIsNormalAndZeroBytesAreTheEndOnlyOnce) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    WriteAll(pair.second.get(), "abc");
    const absl::StatusOr<std::string> some = co_await ReadSome(pair.first.get(), 1000);
    EXPECT_TRUE(some.ok() && *some == "abc");
    JoinHandle<absl::StatusOr<std::string>> waiting = Spawn(ReadSome(pair.first.get(), 1000));
    co_await Yield();
    EXPECT_FALSE(waiting.done());
    pair.second.Reset();
    const absl::StatusOr<std::string> end = co_await waiting;
    EXPECT_TRUE(end.ok() && end->empty());
  };
  RunTask(body);
}

TEST_P(ReactorSuite, Line30AShutdownComesAfterWhatWasWritten) {
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

TEST_P(ReactorSuite, Line33AResetIsAStatusThatNamesItself) {
  FdPair pair = MakeTcpPair();
  const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
    JoinHandle<absl::StatusOr<std::string>> waiting = Spawn(ReadSome(pair.first.get(), 10));
    co_await Yield();
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

TEST_P(ReactorSuite, SixtyFourConnectionsAreEchoedOverTcp) {
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
  EXPECT_EQ(loop().io().in_flight(), 0u);
}

// --- fairness. Lines 10, 25, 48, 65 ---

Task<void> KeepBusy(int to, int from, const bool* ended) {
  char byte = 'x';
  while (!*ended) {
    static_cast<void>(co_await io::Write(to, absl::MakeConstSpan(&byte, 1)));
    static_cast<void>(co_await io::Read(from, absl::MakeSpan(&byte, 1)));
  }
}

TEST_P(ReactorSuite, Line25ATimerFiresWhileInputAndOutputAreSaturated) {
  FdPair pair = MakeSocketPair();
  bool ended = false;
  const auto body = [&]() -> Task<void> {
    std::vector<JoinHandle<void>> busy;
    for (int i = 0; i < 4; ++i) {
      busy.push_back(Spawn(KeepBusy(pair.first.get(), pair.second.get(), &ended)));
    }
    const absl::Status slept = co_await Sleep(absl::Milliseconds(5));  // or never
    EXPECT_TRUE(slept.ok()) << slept;
    ended = true;
    for (JoinHandle<void>& handle : busy) co_await handle;
  };
  RunTask(body);
}

TEST_P(ReactorSuite, Line10WorkThatYieldsForEverDoesNotStarveInput) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(pair.first.get(), 1));
    co_await Yield();
    WriteAll(pair.second.get(), "x");
    while (!reader.done()) co_await Yield();  // or never
  };
  RunTask(body);
}

TEST_P(ReactorSuite, ALongLoopOfReadyOperationsDoesNotGrowTheStack) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    char byte = 'x';
    for (int i = 0; i < 20'000; ++i) {
      const absl::StatusOr<size_t> written =
          co_await io::Write(pair.first.get(), absl::MakeConstSpan(&byte, 1));
      const absl::StatusOr<size_t> read =
          co_await io::Read(pair.second.get(), absl::MakeSpan(&byte, 1));
      if (!written.ok() || !read.ok()) {
        ADD_FAILURE() << written.status() << read.status();
        co_return;
      }
    }
  };
  RunTask(body);
}

// --- cancel. Traps: race, buffer. Lines 53, 54, 56, 59 ---

TEST_P(ReactorSuite, Line56ATaskThatWasCancelledBeforeItReadsDoesNotRead) {
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), "kept");
  const auto body = [&]() -> Task<void> {
    // A task that runs, is cancelled, and only then reads.
    Promise<void> go;
    const auto late = [&]() -> Task<absl::StatusOr<std::string>> {
      const absl::Status told = co_await Uncancellable(go.future());
      EXPECT_TRUE(told.ok()) << told;
      co_return co_await ReadSome(pair.first.get(), 10);
    };
    JoinHandle<absl::StatusOr<std::string>> handle = Spawn(late());
    co_await Yield();
    handle.Cancel();
    go.Set();
    const absl::StatusOr<std::string> read = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  };
  RunTask(body);
  EXPECT_EQ(Drain(pair.first.get()), "kept");
}

TEST_P(ReactorSuite, ACancelEndsEveryKindOfOperation) {
  FdPair pair = MakeSocketPair();
  TcpListener listener = MakeTcpListener();
  FullListener full = MakeFullListener();
  OwnedFd client = MakeTcpSocket();
  FillUp(pair.first.get());
  const auto read = [&]() -> Task<absl::Status> {
    const absl::StatusOr<std::string> result = co_await ReadSome(pair.first.get(), 10);
    co_return result.status();
  };
  const auto write = [&]() -> Task<absl::Status> { return WriteEverything(pair.first.get(), "x"); };
  const auto poll = [&]() -> Task<absl::Status> {
    const absl::StatusOr<uint32_t> result =
        co_await io::Poll(pair.first.get(), kPollReadable | kPollWritable);
    co_return result.status();
  };
  const auto accept = [&]() -> Task<absl::Status> {
    const absl::StatusOr<int> result = co_await io::Accept(listener.fd.get());
    co_return result.status();
  };
  const auto connect = [&]() -> Task<absl::Status> {
    co_return co_await io::Connect(client.get(), full.listener.name(), sizeof(sockaddr_in));
  };
  const auto body = [&]() -> Task<void> {
    std::vector<JoinHandle<absl::Status>> handles;
    handles.push_back(Spawn(read(), {.name = "read"}));
    handles.push_back(Spawn(write(), {.name = "write"}));
    handles.push_back(Spawn(poll(), {.name = "poll"}));
    handles.push_back(Spawn(accept(), {.name = "accept"}));
    handles.push_back(Spawn(connect(), {.name = "connect"}));
    for (int i = 0; i < 3; ++i) co_await Yield();
    for (JoinHandle<absl::Status>& handle : handles) {
      EXPECT_FALSE(handle.done()) << handle.name();
      EXPECT_TRUE(handle.Cancel());
    }
    for (JoinHandle<absl::Status>& handle : handles) {
      const absl::Status ended = co_await handle;
      EXPECT_TRUE(absl::IsCancelled(ended)) << handle.name() << ": " << ended;
      EXPECT_FALSE(handle.Cancel()) << "line 59: a cancel after the end does nothing";
    }
  };
  RunTask(body);
  EXPECT_EQ(loop().io().in_flight(), 0u);
}

// The data arrives and the cancel is asked for in the same turn, in either order.
TEST_P(ReactorSuite, Line54DataAndACancelInOneTurnLoseNothing) {
  FdPair pair = MakeSocketPair();
  int cancelled = 0;
  int arrived = 0;
  const auto body = [&]() -> Task<void> {
    for (int i = 0; i < 300; ++i) {
      JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(pair.first.get(), 10));
      co_await Yield();
      WriteAll(pair.second.get(), "hello");
      for (int yields = 0; yields < i % 5; ++yields) co_await Yield();
      reader.Cancel();
      const absl::StatusOr<std::string> read = co_await reader;
      if (read.ok()) {
        ++arrived;
        EXPECT_EQ(*read, "hello");
        EXPECT_EQ(Drain(pair.first.get()), "");
      } else {
        ++cancelled;
        EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
        EXPECT_EQ(Drain(pair.first.get()), "hello");
      }
    }
  };
  RunTask(body);
  EXPECT_GT(cancelled, 0);
  EXPECT_EQ(cancelled + arrived, 300);
}

// The cancel comes from another thread while the loop waits, or is about to, or delivers.
TEST_P(ReactorSuite, ACancelFromAnotherThreadRacesTheData) {
  FdPair pair = MakeSocketPair();
  constexpr int kRounds = 500;
  Atomic<int> asked{0};
  Atomic<int> done{0};
  TaskHandle to_cancel;
  Thread canceller = StartThread("canceller", [&] {
    for (int i = 1; i <= kRounds; ++i) {
      for (int spin = 0; asked.load(kAcquire) != i; ++spin) internal::SpinWait(spin);
      if (i % 2 == 0) WriteAll(pair.second.get(), "hello");
      to_cancel.Cancel();
      if (i % 2 != 0) WriteAll(pair.second.get(), "hello");
      done.store(i, kRelease);
    }
  });
  const auto body = [&]() -> Task<void> {
    for (int i = 1; i <= kRounds; ++i) {
      JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(pair.first.get(), 10));
      to_cancel = reader;
      if (i % 3 != 0) co_await Yield();
      asked.store(i, kRelease);
      const absl::StatusOr<std::string> read = co_await reader;
      // What the canceller writes is there, too, from here on.
      while (done.load(kAcquire) != i) co_await Yield();
      if (read.ok()) {
        EXPECT_EQ(*read, "hello");
        EXPECT_EQ(Drain(pair.first.get()), "");
      } else {
        EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
        EXPECT_EQ(Drain(pair.first.get()), "hello");
      }
    }
  };
  RunTask(body);
  canceller.join();
}

TEST_P(ReactorSuite, ACancelFromAnotherThreadWakesALoopThatSleepsInPoll) {
  FdPair pair = MakeSocketPair();
  for (int i = 0; i < 200; ++i) {
    absl::Notification about_to_sleep;
    JoinHandle<absl::StatusOr<std::string>> reader =
        Spawn(ReadSome(pair.first.get(), 10), {.executor = &loop()});
    Thread canceller =
        StartThread("canceller", [&about_to_sleep, handle = TaskHandle(reader)]() mutable {
          about_to_sleep.WaitForNotification();
          handle.Cancel();
        });
    const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
      // Nothing else is there to do then: the loop sleeps until the cancel comes, or is about to.
      about_to_sleep.Notify();
      co_return co_await reader;
    };
    const absl::StatusOr<std::string> read = RunTask(body);
    canceller.join();
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  }
}

// Timeouts and data meet at all distances: what does not arrive in one read arrives in the next.
TEST_P(ReactorSuite, Line54ATimeoutAgainstDataLosesNoByte) {
  FdPair pair = MakeTcpPair();
  const std::string data = Pattern(2000);
  Thread peer = StartThread("peer", [&] {
    for (const char c : data) WriteAll(pair.second.get(), absl::string_view(&c, 1));
    pair.second.Reset();
  });
  const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
    std::string received;
    for (int i = 0;; ++i) {
      const absl::StatusOr<std::string> part = co_await Timeout(
          absl::Microseconds(i % 20), ReadSome(pair.first.get(), 1 + static_cast<size_t>(i) % 3));
      if (absl::IsDeadlineExceeded(part.status())) continue;
      if (!part.ok()) co_return part.status();
      if (part->empty()) co_return received;
      received += *part;
    }
  };
  const absl::StatusOr<std::string> received = RunTask(body);
  peer.join();
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_TRUE(*received == data);
}

TEST_P(ReactorSuite, AReadThatIsCutShortByATimeoutLeavesItsBufferAlone) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    for (int i = 0; i < 20; ++i) {
      const absl::StatusOr<std::string> read =
          co_await Timeout(absl::Microseconds(50), ReadSome(pair.first.get(), 10));
      EXPECT_TRUE(absl::IsDeadlineExceeded(read.status())) << read.status();
      // Its buffer is gone by now.
      WriteAll(pair.second.get(), "late");
      for (int n = 0; n < 3; ++n) co_await Yield();
      const absl::StatusOr<std::string> next = co_await ReadSome(pair.first.get(), 10);
      EXPECT_TRUE(next.ok() && *next == "late");
    }
  };
  RunTask(body);
}

// --- close. Lines 34 to 37 ---

TEST_P(ReactorSuite, Line35CloseEndsThePendingOperationsOfOtherTasksWithCancelled) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    std::vector<JoinHandle<absl::StatusOr<std::string>>> readers;
    for (int i = 0; i < 5; ++i) readers.push_back(Spawn(ReadSome(pair.first.get(), 10)));
    co_await Yield();
    const absl::Status closed = co_await io::Close(pair.first.Release());
    EXPECT_TRUE(closed.ok()) << closed;
    // Line 36: they were delivered before the close was.
    for (auto& reader : readers) {
      EXPECT_TRUE(reader.done());
      const absl::StatusOr<std::string> read = co_await reader;
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
    }
  };
  RunTask(body);
}

TEST_P(ReactorSuite, ACancelledTaskStillCloses) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    const auto close_at_end = [&]() -> Task<absl::Status> {
      const absl::StatusOr<std::string> read = co_await ReadSome(pair.first.get(), 10);
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
      co_return co_await io::Close(pair.first.Release());
    };
    JoinHandle<absl::Status> handle = Spawn(close_at_end());
    co_await Yield();
    handle.Cancel();
    const absl::Status closed = co_await handle;
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
  EXPECT_EQ(ReadExactly(pair.second.get(), 1), "");
}

TEST_P(ReactorSuite, Line37ConnectionsThatComeAndGoOnTheSameNumbersHearOnlyTheirOwn) {
  const auto body = [&]() -> Task<void> {
    for (int i = 0; i < 300; ++i) {
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

TEST_P(ReactorSuite, EndingTheLoopCancelsAndJoinsWhatWaitsForInput) {
  FdPair pair = MakeSocketPair();
  JoinHandle<absl::StatusOr<std::string>> reader =
      Spawn(ReadSome(pair.first.get(), 10), {.executor = &loop()});
  const absl::Status turned = loop().RunReady();
  EXPECT_TRUE(turned.ok()) << turned;
  EXPECT_FALSE(reader.done());
  const absl::Status closed = loop().Close();
  EXPECT_TRUE(closed.ok()) << closed;
  ASSERT_TRUE(reader.done());
  EXPECT_TRUE(absl::IsCancelled(reader.result().status()));
  EXPECT_EQ(loop().io().in_flight(), 0u);
}

// --- connections. Lines 39, 42 ---

TEST_P(ReactorSuite, Line39ARefusedConnectionIsUnavailable) {
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

TEST_P(ReactorSuite, UnixSocketsAndPipesCarryData) {
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

TEST_P(ReactorSuite, FilesAreReadAndWrittenByTasks) {
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

// --- many, and cost ---

TEST_P(ReactorSuite, AThousandTasksWaitForAThousandDescriptors) {
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

TEST_P(ReactorSuite, Line46ManyTasksReadOneDescriptorInTheOrderInWhichTheyCame) {
  FdPair pair = MakeSocketPair();
  constexpr int kReaders = 200;
  const std::string data = Pattern(kReaders);
  const auto body = [&]() -> Task<std::string> {
    std::vector<JoinHandle<absl::StatusOr<std::string>>> readers;
    for (int i = 0; i < kReaders; ++i) readers.push_back(Spawn(ReadSome(pair.first.get(), 1)));
    co_await Yield();
    WriteAll(pair.second.get(), data);
    std::string received;
    for (auto& reader : readers) {
      const absl::StatusOr<std::string> read = co_await reader;
      if (read.ok()) received += *read;
    }
    co_return received;
  };
  EXPECT_TRUE(RunTask(body) == data);
}

TEST_P(ReactorSuite, AnAwaitedOperationAllocatesNothing) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<int64_t> {
    char byte = 'x';
    int64_t before = 0;
    for (int i = 0; i < 1100; ++i) {
      if (i == 100) before = AllocationCount();
      static_cast<void>(co_await io::Write(pair.first.get(), absl::MakeConstSpan(&byte, 1)));
      static_cast<void>(co_await io::Poll(pair.second.get(), kPollReadable));
      static_cast<void>(co_await io::Read(pair.second.get(), absl::MakeSpan(&byte, 1)));
    }
    co_return AllocationCount() - before;
  };
  EXPECT_EQ(RunTask(body), 0);
}

}  // namespace
}  // namespace plait
