// ReactorSuite: ends of streams, resets and hang-ups.
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include <cstdint>
#include <utility>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// --- the end of the conversation. Lines 28, 29, 32, 33, 48 ---

TEST_P(ReactorSuite, Line28TheEndIsReadAfterAllTheDataAndAgainWhenAskedAgain) {
  for (const bool tcp : {false, true}) {
    FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
    GuardedBuffer buffer(100);
    ReadOperation first(pair.first.get(), buffer.span());
    Submit(first);
    WriteAll(pair.second.get(), "last");
    pair.second.Reset();
    Await(first);
    EXPECT_EQ(first.result, 4);
    for (int i = 0; i < 3; ++i) {
      ReadOperation end(pair.first.get(), buffer.span());
      EXPECT_EQ(Do(end), 0);
    }
    ExpectNothingMore();
    Close(pair.first);
  }
}

TEST_P(ReactorSuite, Line29AHalfClosedConnectionStillReadsAndWrites) {
  FdPair pair = MakeTcpPair();
  GuardedBuffer buffer(100);
  ASSERT_EQ(::shutdown(pair.second.get(), SHUT_WR), 0);
  ReadOperation end(pair.first.get(), buffer.span());
  EXPECT_EQ(Do(end), 0);
  WriteOperation write(pair.first.get(), "still here");
  EXPECT_EQ(Do(write), 10);
  EXPECT_EQ(ReadExactly(pair.second.get(), 10), "still here");

  FdPair other = MakeTcpPair();
  ASSERT_EQ(::shutdown(other.first.get(), SHUT_WR), 0);
  ReadOperation read(other.first.get(), buffer.span());
  Submit(read);
  WriteAll(other.second.get(), "hello");
  Await(read);
  EXPECT_EQ(read.result, 5);
  WriteOperation refused(other.first.get(), "x");
  EXPECT_EQ(Do(refused), -EPIPE);
}

class SigpipeIsFatal {
 public:
  SigpipeIsFatal() { before_ = ::signal(SIGPIPE, SIG_DFL); }
  ~SigpipeIsFatal() {
    sigset_t pending;
    ::sigpending(&pending);
    EXPECT_FALSE(::sigismember(&pending, SIGPIPE));
    ::signal(SIGPIPE, before_);
  }

 private:
  sighandler_t before_;
};

TEST_P(ReactorSuite, Line32WritingToAPeerThatIsGoneFailsAndRaisesNoSignal) {
  const SigpipeIsFatal fatal;
  {
    FdPair pair = MakeSocketPair();
    pair.second.Reset();
    WriteOperation write(pair.first.get(), "x");
    EXPECT_EQ(Do(write), -EPIPE);
    Close(pair.first);
  }
  {
    FdPair pipe = MakePipe();
    pipe.first.Reset();
    WriteOperation write(pipe.second.get(), "x");
    EXPECT_EQ(Do(write), -EPIPE);
    Close(pipe.second);
  }
  {
    FdPair pair = MakeTcpPair();
    CloseWithReset(std::move(pair.second));
    WriteOperation write(pair.first.get(), "x");
    const int32_t result = Do(write);
    EXPECT_TRUE(result == -ECONNRESET || result == -EPIPE) << result;
    WriteOperation again(pair.first.get(), "x");
    EXPECT_EQ(Do(again), -EPIPE);
  }
}

TEST_P(ReactorSuite, Line32AWriteThatIsWaitingFailsWhenThePeerGoes) {
  const SigpipeIsFatal fatal;
  for (int kind = 0; kind < 3; ++kind) {
    SCOPED_TRACE(kind);
    FdPair pair = kind == 0 ? MakeSocketPair() : kind == 1 ? MakeTcpPair() : MakePipe();
    if (kind == 2) std::swap(pair.first, pair.second);
    FillUp(pair.first.get());
    GuardedBuffer data("waiting");
    WriteOperation write(pair.first.get(), data.text(7));
    Submit(write);
    ExpectNothingMore();
    if (kind == 1) {
      CloseWithReset(std::move(pair.second));
    } else {
      pair.second.Reset();
    }
    Await(write);
    EXPECT_TRUE(write.result == -EPIPE || write.result == -ECONNRESET) << write.result;
    Close(pair.first);
  }
}

TEST_P(ReactorSuite, Line33AResetIsReadAsEconnreset) {
  for (const bool waiting : {false, true}) {
    FdPair pair = MakeTcpPair();
    GuardedBuffer buffer(10);
    ReadOperation read(pair.first.get(), buffer.span());
    if (waiting) {
      Submit(read);
      ExpectNothingMore();
    }
    CloseWithReset(std::move(pair.second));
    if (!waiting) Submit(read);
    Await(read);
    EXPECT_EQ(read.result, -ECONNRESET);
    buffer.Release();
    ExpectNothingMore();
    Close(pair.first);
  }
}

TEST_P(ReactorSuite, Line48AHangUpDoesNotMakePollSpin) {
  FdPair pair = MakeSocketPair();
  FdPair tcp = MakeTcpPair();
  FdPair pipe = MakePipe();
  OwnedFd unconnected = MakeTcpSocket();
  GuardedBuffer buffer(1);
  // Each is known to the reactor, and then hangs up.
  for (const int fd : {pair.first.get(), tcp.first.get(), pipe.second.get()}) {
    WriteOperation write(fd, "x");
    EXPECT_EQ(Do(write), 1);
  }
  PollOperation poll(unconnected.get(), 0);  // hung up as it is
  EXPECT_GT(Do(poll), 0);
  pair.second.Reset();
  CloseWithReset(std::move(tcp.second));
  pipe.first.Reset();
  const Deadline deadline = In(absl::Milliseconds(20));
  int polls = 0;
  while (Clock::Real().Now() < deadline) {
    PollOnce(deadline);
    ++polls;
  }
  EXPECT_LT(polls, 50);
}

}  // namespace
}  // namespace plait
