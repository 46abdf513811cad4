// Streams whose peers, or whose systems, do not behave: resets, peers that never read or say a byte
// a second, transfers that are short or interrupted.
//
// Traps: a cancel that races completion (of deadlines that come in the middle of a line); a buffer
// that is freed while the kernel owns it (of a large Write that a reset ends).
#include <errno.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/net/stream_talk.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

using sys::FaultInjection;

// Of what the kernel takes, and the stream, this is more.
constexpr size_t kALot = size_t{2} << 20;

class StreamBadPeersTest : public StreamLoopTest {
 protected:
  // Runs on a loop whose clock jumps.
  template <class Body>
  auto RunOnTestClock(Body body) {
    EventLoop loop(GetParam().make(nullptr), {.clock = &clock_});
    return BlockOn(loop, body());
  }
  TestClock& clock() { return clock_; }

 private:
  TestClock clock_;
};

TEST_P(StreamBadPeersTest, AResetEndsAReadThatWaitsAndAllLaterOnes) {  // conformance 33
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(stream.Read(10));
    co_await Yield();
    CloseWithReset(std::move(pair.second));
    absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(absl::IsUnavailable(read.status())) << read.status();
    EXPECT_TRUE(absl::StrContains(read.status().message(), "ECONNRESET")) << read.status();
    // The system says it once; it is not to be taken for the end.
    read = co_await stream.Read(10);
    EXPECT_TRUE(absl::IsUnavailable(read.status())) << read.status();
    read = co_await stream.ReadLine();
    EXPECT_TRUE(absl::IsUnavailable(read.status())) << read.status();
    const absl::Status written = co_await stream.Write("x");  // conformance 32
    EXPECT_TRUE(absl::IsFailedPrecondition(written) || absl::IsUnavailable(written)) << written;
  };
  RunTask(body);
}

TEST_P(StreamBadPeersTest, AnErrorNamesThePeerThatIsGone) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    absl::StatusOr<SocketAddress> peer = SocketAddress::Parse("[2001:db8::7]:4711");
    Stream stream(io::OwnedDescriptor(pair.first.Release()), *peer);
    EXPECT_EQ(*stream.peer_address(), *peer);
    CloseWithReset(std::move(pair.second));
    const absl::StatusOr<std::string> read = co_await stream.Read(10);
    EXPECT_TRUE(absl::StrContains(read.status().message(), "[2001:db8::7]:4711")) << read.status();
  };
  RunTask(body);
}

TEST_P(StreamBadPeersTest, AResetEndsAWriteThatWaits) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    JoinHandle<absl::Status> writing = Spawn(WriteText(stream, Pattern(kALot)));
    co_await Yield();
    EXPECT_FALSE(writing.done());
    CloseWithReset(std::move(pair.second));
    const absl::Status written = co_await writing;
    EXPECT_TRUE(absl::IsUnavailable(written) || absl::IsFailedPrecondition(written)) << written;
    EXPECT_LT(*AcceptedBytes(written), kALot);
    const absl::Status closed = co_await stream.Close();
    EXPECT_FALSE(closed.ok());
  };
  RunTask(body);
}

TEST_P(StreamBadPeersTest, APeerThatNeverReadsCostsNoMoreThanTheHighWaterMark) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    const std::string some = Pattern(10'000);
    absl::Status written;
    while (written.ok()) {
      written = co_await Timeout(absl::Milliseconds(5), stream.Write(some));
      EXPECT_LE(stream.unsent(), Stream::kDefaultHighWaterMark);
    }
    EXPECT_TRUE(absl::IsDeadlineExceeded(written)) << written;
    const absl::Status flushed = co_await Timeout(absl::Milliseconds(1), stream.Flush());
    EXPECT_TRUE(absl::IsDeadlineExceeded(flushed)) << flushed;
    EXPECT_GT(stream.unsent(), 0u);
  };
  RunTask(body);
}

TEST_P(StreamBadPeersTest, AByteASecondMakesALineInTheEnd) {
  const std::string text = "a line that takes its time\n";
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    Stream stream = MakeStream(pair.first);
    Stream peer = MakeStream(pair.second);
    const auto trickle = [&]() -> Task<absl::Status> {
      for (const char byte : text) {
        co_await OrReturn(Sleep(absl::Seconds(1)));
        co_await OrReturn(peer.Write(absl::string_view(&byte, 1)));
      }
      co_return absl::OkStatus();
    };
    JoinHandle<absl::Status> trickling = Spawn(trickle());
    const absl::StatusOr<std::string> line = co_await stream.ReadLine();
    EXPECT_TRUE(line.ok() && *line + "\n" == text) << line.status();
    const absl::Status trickled = co_await trickling;
    EXPECT_TRUE(trickled.ok()) << trickled;
  };
  RunOnTestClock(body);
  EXPECT_EQ(clock().elapsed(), absl::Seconds(text.size()));
}

TEST_P(StreamBadPeersTest, ADeadlineInTheMiddleOfALineLosesNothingOfIt) {
  const std::string text = "hello, again\n";
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    Stream stream = MakeStream(pair.first);
    Stream peer = MakeStream(pair.second);
    const auto trickle = [&]() -> Task<absl::Status> {
      for (const char byte : text) {
        co_await OrReturn(Sleep(absl::Seconds(1)));
        co_await OrReturn(peer.Write(absl::string_view(&byte, 1)));
      }
      co_return absl::OkStatus();
    };
    JoinHandle<absl::Status> trickling = Spawn(trickle());
    int deadlines = 0;
    absl::StatusOr<std::string> line;
    for (;;) {
      line = co_await Timeout(absl::Milliseconds(3'500), stream.ReadLine());
      if (!absl::IsDeadlineExceeded(line.status())) break;
      ++deadlines;
    }
    EXPECT_TRUE(line.ok() && *line + "\n" == text) << line.status();
    EXPECT_EQ(deadlines, 3);
    const absl::Status trickled = co_await trickling;
    EXPECT_TRUE(trickled.ok()) << trickled;
  };
  RunOnTestClock(body);
}

TEST_P(StreamBadPeersTest, ShortAndInterruptedTransfersLoseNothing) {  // conformance 14, 26, 27
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    SetBufferSizes(pair.first.get(), 8192);
    Stream stream = MakeStream(pair.first);
    Stream peer = MakeStream(pair.second);
    const std::string text = Pattern(300'000);
    JoinHandle<absl::Status> writing = Spawn(WriteText(stream, text));
    const absl::StatusOr<std::string> read = co_await peer.ReadExactly(text.size());
    EXPECT_TRUE(read.ok() && *read == text) << read.status();
    const absl::Status written = co_await writing;
    EXPECT_TRUE(written.ok()) << written;
  };
  for (const bool interrupt : {false, true}) {
    FaultInjection faults;
    sys::ScopedSystemCalls scope(faults);
    if (interrupt) {
      faults.Fail(FaultInjection::kSend, EINTR, {.skip = 1, .times = 5});
      faults.Fail(FaultInjection::kReceive, EINTR, {.skip = 1, .times = 5});
    } else {
      faults.Shorten(FaultInjection::kSend, 777, {.times = FaultInjection::kAlways});
      faults.Shorten(FaultInjection::kReceive, 501, {.times = FaultInjection::kAlways});
    }
    RunTask(body);
    EXPECT_GT(faults.hits(FaultInjection::kSend), 0);
    EXPECT_GT(faults.hits(FaultInjection::kReceive), 0);
  }
}

TEST_P(StreamBadPeersTest, AnErrorOfTheSystemIsTold) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    Stream stream = MakeStream(pair.first);
    const absl::Status written = co_await stream.Write("x");
    EXPECT_TRUE(absl::IsResourceExhausted(written)) << written;
    EXPECT_TRUE(absl::StrContains(written.message(), "ENOBUFS")) << written;
  };
  FaultInjection faults;
  sys::ScopedSystemCalls scope(faults);
  faults.FailNext(FaultInjection::kSend, ENOBUFS);
  RunTask(body);
}

INSTANTIATE_TEST_SUITE_P(AllReactors, StreamBadPeersTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST(StreamOutsideTest, WithoutAReactorWhatNeedNotWaitWorksAndTheRestSaysSo) {
  FdPair pair = MakeSocketPair();
  Stream stream = MakeStream(pair.first);
  const auto body = [&]() -> Task<void> {
    absl::Status written = co_await stream.Write("x");
    EXPECT_TRUE(written.ok()) << written;
    EXPECT_EQ(ReadExactly(pair.second.get(), 1), "x");
    const absl::StatusOr<std::string> read = co_await stream.Read(1);
    EXPECT_TRUE(absl::IsFailedPrecondition(read.status())) << read.status();
    written = co_await stream.Write(std::string(kALot, 'x'));
    EXPECT_TRUE(absl::IsFailedPrecondition(written)) << written;
    EXPECT_GT(*AcceptedBytes(written), 0u);
    const absl::Status closed = co_await stream.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  ThreadExecutor executor;
  BlockOn(executor, body());
}

}  // namespace
}  // namespace plait
