#include "plait/io/epoll/epoll_reactor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/reactor/reactor_under_faults.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/reactor_task_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {
namespace {

using internal::kAcquire;
using internal::kRelease;
using sys::FaultInjection;

const ReactorFactory kEpoll{
    "Epoll", [](Executor* blocking) { return MakeEpollReactor({.blocking = blocking}); }};

INSTANTIATE_TEST_SUITE_P(Epoll, ReactorSuite, testing::Values(kEpoll), ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(Epoll, ReactorTaskSuite, testing::ValuesIn(EventLoopsOver({kEpoll})),
                         ReactorTaskExecutor::Name);

// A reactor under faults.
class EpollReactorTest : public ReactorUnderFaults {
 protected:
  EpollReactorTest()
      : ReactorUnderFaults(
            [](Executor* blocking) { return MakeEpollReactor({.blocking = blocking}); }) {}
};

// --- making one ---

TEST(MakeEpollReactorTest, SaysWhichCallTheSystemRefused) {
  struct Case {
    FaultInjection::Call call;
    const char* name;
    int closes;
  };
  for (const Case& refused : {Case{FaultInjection::kEpollCreate, "epoll_create1", 0},
                              Case{FaultInjection::kEventFd, "eventfd", 1},
                              Case{FaultInjection::kEpollControl, "epoll_ctl", 2}}) {
    SCOPED_TRACE(refused.name);
    FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    faults.FailNext(refused.call, EMFILE);
    const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeEpollReactor();
    EXPECT_EQ(reactor.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(absl::StrContains(reactor.status().message(), refused.name)) << reactor.status();
    EXPECT_TRUE(absl::StrContains(reactor.status().message(), "EMFILE")) << reactor.status();
    EXPECT_EQ(faults.count(FaultInjection::kClose), refused.closes) << "it leaks descriptors";
  }
}

TEST(MakeEpollReactorTest, ClosesWhatItOpened) {
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  {
    const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeEpollReactor();
    ASSERT_TRUE(reactor.ok()) << reactor.status();
    EXPECT_EQ((*reactor)->name(), "epoll");
  }
  EXPECT_EQ(faults.count(FaultInjection::kClose), 2);
}

// --- cost, in system calls ---

TEST_F(EpollReactorTest, ADescriptorIsRegisteredOnce) {
  FdPair pair = MakeTcpPair();
  const int64_t before = faults_.count(FaultInjection::kEpollControl);
  for (int i = 0; i < 1000; ++i) {
    GuardedBuffer buffer(1);
    ReadOperation read(pair.first.get(), buffer.span());
    Submit(read);
    WriteAll(pair.second.get(), "x");
    ASSERT_EQ(Await(read), 1);
  }
  EXPECT_EQ(faults_.count(FaultInjection::kEpollControl) - before, 1);
  EXPECT_EQ(faults_.count(FaultInjection::kSetNonBlocking), 1);
  CloseOperation close(pair.first.Release());
  EXPECT_EQ(Do(close), 0);
  EXPECT_EQ(faults_.count(FaultInjection::kEpollControl) - before, 2);
}

TEST_F(EpollReactorTest, APingPongOverTcpMakesOneReceivePerMessage) {
  FdPair pair = MakeTcpPair();
  constexpr int kRounds = 1000;
  const auto round = [&] {
    GuardedBuffer buffer(100);
    ReadOperation read(pair.first.get(), buffer.span());
    Submit(read);
    PollTillQuiet();
    EXPECT_FALSE(read.delivered());
    WriteAll(pair.second.get(), "ping");
    ASSERT_EQ(Await(read), 4);
  };
  round();  // the first read on a descriptor is tried at once
  const int64_t before = faults_.count(FaultInjection::kReceive);
  for (int i = 0; i < kRounds; ++i) round();
  EXPECT_EQ(faults_.count(FaultInjection::kReceive) - before, kRounds);
}

TEST_F(EpollReactorTest, Line48AHangUpIsToldOnceAndPollSleepsAfterwards) {
  FdPair pair = MakeTcpPair();
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  CloseWithReset(std::move(pair.second));
  EXPECT_EQ(Await(read), -ECONNRESET);
  PollTillQuiet();
  const int64_t before = faults_.count(FaultInjection::kEpollWait);
  PollOnce(Clock::Real().Now() + absl::Milliseconds(5));
  EXPECT_EQ(faults_.count(FaultInjection::kEpollWait) - before, 1);
}

TEST_F(EpollReactorTest, OperationsThatCompleteAtOnceDoNotWaitForTheSystem) {
  FdPair pair = MakeSocketPair();
  for (int i = 0; i < 8; ++i) {
    WriteOperation write(pair.first.get(), "x");
    EXPECT_EQ(Do(write), 1);
  }
  EXPECT_LE(faults_.count(FaultInjection::kEpollWait), 1);
}

// --- faults. Trap: park ---

TEST_F(EpollReactorTest, Line14InterruptedCallsAreMadeAgain) {
  FdPair pair = MakeSocketPair();
  FdPair pipe = MakePipe();
  OwnedFd file = MakeFile("hello");
  TcpListener listener = MakeTcpListener();
  OwnedFd client = MakeTcpSocket();
  for (const FaultInjection::Call call :
       {FaultInjection::kRead, FaultInjection::kWrite, FaultInjection::kReadAt,
        FaultInjection::kWriteAt, FaultInjection::kReceive, FaultInjection::kSend,
        FaultInjection::kAccept, FaultInjection::kConnect, FaultInjection::kPollNow,
        FaultInjection::kEpollWait}) {
    faults_.Fail(call, EINTR, {.times = 3});
  }
  GuardedBuffer buffer(5);
  WriteOperation send(pair.first.get(), "hello");
  EXPECT_EQ(Do(send), 5);
  ReadOperation receive(pair.second.get(), buffer.span());
  EXPECT_EQ(Do(receive), 5);
  WriteOperation write(pipe.second.get(), "hello");
  EXPECT_EQ(Do(write), 5);
  ReadOperation read(pipe.first.get(), buffer.span());
  EXPECT_EQ(Do(read), 5);
  ReadOperation read_at(file.get(), buffer.span(), 0);
  EXPECT_EQ(Do(read_at), 5);
  WriteOperation write_at(file.get(), "x", 0);
  EXPECT_EQ(Do(write_at), 1);
  ConnectOperation connect(client.get(), listener.name(), sizeof(sockaddr_in));
  EXPECT_EQ(Do(connect), 0);
  AcceptOperation accept(listener.fd.get());
  EXPECT_GE(Do(accept), 0);
  accept.Take();
  PollOperation poll(pair.first.get(), kPollWritable);
  EXPECT_EQ(Do(poll), static_cast<int32_t>(kPollWritable));
  ReadOperation later(pair.second.get(), buffer.span());
  Submit(later);
  WriteAll(pair.first.get(), "later");
  EXPECT_EQ(Await(later), 5);
}

TEST_F(EpollReactorTest, AnInterruptedConnectGoesOn) {
  TcpListener listener = MakeTcpListener();
  FullListener full = MakeFullListener();
  OwnedFd stuck = MakeTcpSocket();
  ConnectOperation waits(stuck.get(), full.listener.name(), sizeof(sockaddr_in));
  faults_.FailNext(FaultInjection::kConnect, EINTR);
  Submit(waits);
  PollTillQuiet();
  EXPECT_FALSE(waits.delivered());
  // An event that turns out to be none, and a look that is interrupted: it still waits.
  faults_.Fail(FaultInjection::kPollNow, EINTR, {.times = 2});
  full.listener.fd.Reset();
  EXPECT_EQ(Await(waits), -ECONNREFUSED);
}

TEST_F(EpollReactorTest, FailedCallsAreTheOperationsResults) {
  FdPair pair = MakeSocketPair();
  FdPair pipe = MakePipe();
  OwnedFd file = MakeFile("hello");
  TcpListener listener = MakeTcpListener();
  OwnedFd client = MakeTcpSocket();
  GuardedBuffer buffer(5);
  WriteAll(pair.second.get(), "hello");
  for (const int error : {EIO, ENOMEM, ENOBUFS, ECONNRESET, EINVAL}) {
    SCOPED_TRACE(error);
    WriteOperation send(pair.first.get(), "x");
    faults_.FailNext(FaultInjection::kSend, error);
    EXPECT_EQ(Do(send), -error);
    ReadOperation receive(pair.first.get(), buffer.span());
    faults_.FailNext(FaultInjection::kReceive, error);
    EXPECT_EQ(Do(receive), -error);
    WriteOperation write(pipe.second.get(), "x");
    faults_.FailNext(FaultInjection::kWrite, error);
    EXPECT_EQ(Do(write), -error);
    ReadOperation read(pipe.first.get(), buffer.span());
    faults_.FailNext(FaultInjection::kRead, error);
    EXPECT_EQ(Do(read), -error);
    ReadOperation read_at(file.get(), buffer.span(), 0);
    faults_.FailNext(FaultInjection::kReadAt, error);
    EXPECT_EQ(Do(read_at), -error);
    WriteOperation write_at(file.get(), "x", 0);
    faults_.FailNext(FaultInjection::kWriteAt, error);
    EXPECT_EQ(Do(write_at), -error);
    AcceptOperation accept(listener.fd.get());
    faults_.FailNext(FaultInjection::kAccept, error);
    EXPECT_EQ(Do(accept), -error);
    ConnectOperation connect(client.get(), listener.name(), sizeof(sockaddr_in));
    faults_.FailNext(FaultInjection::kConnect, error);
    EXPECT_EQ(Do(connect), -error);
    PollOperation poll(pair.first.get(), kPollReadable);
    faults_.FailNext(FaultInjection::kPollNow, error);
    EXPECT_EQ(Do(poll), -error);
  }
  // None of it has hurt the descriptors.
  ReadOperation receive(pair.first.get(), buffer.span());
  EXPECT_EQ(Do(receive), 5);
  EXPECT_EQ(FileContent(file.get()), "hello");
}

TEST_F(EpollReactorTest, AnErrorOfAWaitingOperationComesThroughPollAndTheNextOneWaitsOn) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  ReadOperation first(pair.first.get(), buffer.span());
  ReadOperation second(pair.first.get(), buffer.span());
  Submit(first);
  Submit(second);
  PollTillQuiet();
  faults_.FailNext(FaultInjection::kReceive, EIO);
  WriteAll(pair.second.get(), "hello");
  EXPECT_EQ(Await(first), -EIO);
  EXPECT_EQ(Await(second), 5);
}

TEST_F(EpollReactorTest, Line42AcceptErrorsKeepTheListener) {
  TcpListener listener = MakeTcpListener();
  AcceptOperation waiting(listener.fd.get());
  Submit(waiting);
  PollTillQuiet();
  OwnedFd client = MakeTcpSocket();
  faults_.FailNext(FaultInjection::kAccept, ECONNABORTED);
  ASSERT_EQ(::connect(client.get(), listener.name(), sizeof(sockaddr_in)), 0);
  EXPECT_EQ(Await(waiting), -ECONNABORTED);
  for (const int error : {EMFILE, ENFILE, ENOBUFS, EPROTO}) {
    AcceptOperation fails(listener.fd.get());
    faults_.FailNext(FaultInjection::kAccept, error);
    EXPECT_EQ(Do(fails), -error);
  }
  AcceptOperation works(listener.fd.get());
  EXPECT_GE(Do(works), 0);
  works.Take();
}

TEST_F(EpollReactorTest, ShortTransfersAreGoneOnWith) {
  FdPair pipe = MakePipe();
  FdPair pair = MakeSocketPair();
  for (const auto call : {FaultInjection::kRead, FaultInjection::kWrite, FaultInjection::kReceive,
                          FaultInjection::kSend}) {
    faults_.Shorten(call, 3, {.times = FaultInjection::kAlways});
  }
  const std::string data = Pattern(1000);
  for (FdPair* each : {&pipe, &pair}) {
    const int to = each->second.get();
    const int from = each->first.get();
    std::string received;
    size_t sent = 0;
    while (received.size() < data.size()) {
      if (sent < data.size()) {
        WriteOperation write(to, absl::string_view(data).substr(sent));
        const int32_t count = Do(write);
        ASSERT_GT(count, 0);
        ASSERT_LE(count, 3);
        sent += static_cast<size_t>(count);
      }
      GuardedBuffer buffer(2);
      ReadOperation read(from, buffer.span());
      const int32_t count = Do(read);
      ASSERT_GT(count, 0);
      received += std::string(buffer.text(static_cast<size_t>(count)));
    }
    EXPECT_TRUE(received == data);
  }
}

TEST_F(EpollReactorTest, ADescriptorThatCannotBeWatchedFailsAndMayBeTriedAgain) {
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), "x");
  GuardedBuffer buffer(1);
  for (const auto call : {FaultInjection::kEpollControl, FaultInjection::kSetNonBlocking,
                          FaultInjection::kSocketProtocol}) {
    ReadOperation read(pair.first.get(), buffer.span());
    faults_.FailNext(call, ENOMEM);
    EXPECT_EQ(Do(read), -ENOMEM);
  }
  ReadOperation read(pair.first.get(), buffer.span());
  EXPECT_EQ(Do(read), 1);
}

TEST_F(EpollReactorTest, APollOfWhatTheSystemWillTellNothingOfEndsAtOnce) {
  FdPair pair = MakeSocketPair();
  PollOperation poll(pair.first.get(), kPollReadable);
  faults_.FailNext(FaultInjection::kEpollControl, EPERM);
  EXPECT_EQ(Do(poll), -EPERM);
}

TEST_F(EpollReactorTest, AnEpollWaitThatFailsLosesNothing) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  faults_.Fail(FaultInjection::kEpollWait, ENOMEM, {.times = 5});
  WriteAll(pair.second.get(), "hello");
  EXPECT_EQ(Await(read), 5);
}

TEST_F(EpollReactorTest, ACloseThatIsInterruptedOrFailsHasClosedAllTheSame) {
  for (const int error : {EINTR, EIO}) {
    FdPair pair = MakeSocketPair();
    CloseOperation close(pair.first.Release());
    faults_.FailNext(FaultInjection::kClose, error);
    EXPECT_EQ(Do(close), error == EINTR ? 0 : -error);
    EXPECT_EQ(ReadExactly(pair.second.get(), 1), "");
  }
}

// --- the end of a reactor. Trap: race ---

// Holds a thread inside of Wake, and looks whether the eventfd is closed under its feet.
class SlowWake final : public sys::SystemCalls {
 public:
  int SignalEventFd(int fd) noexcept override {
    inside_.store(fd, kRelease);
    for (int spin = 0; spin < 2000; ++spin) internal::SpinWait(1000);  // gives up its time slice
    const int result = SystemCalls::SignalEventFd(fd);
    inside_.store(-1, kRelease);
    ++wakes_;
    return result;
  }
  int Close(int fd) noexcept override {
    if (fd == inside_.load(kAcquire)) closed_under_a_wake_.store(true, kRelease);
    return SystemCalls::Close(fd);
  }

  int wakes() const { return wakes_.load(kAcquire); }
  bool closed_under_a_wake() const { return closed_under_a_wake_.load(kAcquire); }

 private:
  internal::Atomic<int> inside_{-1};
  internal::Atomic<int> wakes_{0};
  internal::Atomic<bool> closed_under_a_wake_{false};
};

TEST(EpollReactorEndTest, ABlockingThreadThatIsStillWakingTheReactorIsWaitedFor) {
  SlowWake calls;
  const sys::ScopedSystemCalls scope(calls);
  ThreadExecutor blocking;
  OwnedFd file = MakeFile("hello");
  for (int round = 0; round < 1000 && calls.wakes() < Repeats(20); ++round) {
    std::unique_ptr<Reactor> reactor = *MakeEpollReactor({.blocking = &blocking});
    GuardedBuffer buffer(5);
    int64_t turn = 0;
    ReadOperation read(file.get(), buffer.span(), 0);
    read.next_turn = &turn;
    reactor->Submit(read);
    while (!read.delivered()) {
      WorkQueue ready;
      // Short: it is not the wake-up that ends the wait.
      reactor->Poll(Clock::Real().Now() + absl::Microseconds(100), Clock::Real(), ready);
      while (WorkItem* item = ready.Pop()) item->run(*item);
    }
    EXPECT_EQ(read.result, 5);
  }
  EXPECT_GT(calls.wakes(), 0) << "no thread was ever in Wake: this test says nothing";
  EXPECT_FALSE(calls.closed_under_a_wake());
}

}  // namespace
}  // namespace plait
