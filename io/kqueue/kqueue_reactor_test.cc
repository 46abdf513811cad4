#include "plait/io/kqueue/kqueue_reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "plait/io/reactor/reactor_under_faults.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/reactor_task_suite.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using sys::FaultInjection;

const ReactorFactory kKqueue{
    "Kqueue", [](Executor* blocking) { return MakeKqueueReactor({.blocking = blocking}); }};

INSTANTIATE_TEST_SUITE_P(Kqueue, ReactorSuite, testing::Values(kKqueue), ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(Kqueue, ReactorTaskSuite, testing::ValuesIn(EventLoopsOver({kKqueue})),
                         ReactorTaskExecutor::Name);

// A reactor under faults. What it shares with epoll's is tested there.
class KqueueReactorTest : public ReactorUnderFaults {
 protected:
  KqueueReactorTest()
      : ReactorUnderFaults(
            [](Executor* blocking) { return MakeKqueueReactor({.blocking = blocking}); }) {}
};

// --- making one ---

TEST(MakeKqueueReactorTest, SaysWhichCallTheSystemRefused) {
  struct Case {
    FaultInjection::Call call;
    const char* name;
    int closes;
  };
  for (const Case& refused : {Case{FaultInjection::kKqueue, "reactor: kqueue", 0},
                              Case{FaultInjection::kKqueueEvents, "reactor: kevent", 1}}) {
    SCOPED_TRACE(refused.name);
    FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    faults.FailNext(refused.call, EMFILE);
    const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeKqueueReactor();
    EXPECT_EQ(reactor.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(absl::StrContains(reactor.status().message(), refused.name)) << reactor.status();
    EXPECT_TRUE(absl::StrContains(reactor.status().message(), "EMFILE")) << reactor.status();
    EXPECT_EQ(faults.count(FaultInjection::kClose), refused.closes) << "it leaks descriptors";
  }
}

TEST(MakeKqueueReactorTest, ClosesWhatItOpened) {
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  {
    const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeKqueueReactor();
    ASSERT_TRUE(reactor.ok()) << reactor.status();
    EXPECT_EQ((*reactor)->name(), "kqueue");
  }
  EXPECT_EQ(faults.count(FaultInjection::kClose), 1);
}

TEST(MakeKqueueReactorTest, AForkedChildMakesItsOwn) {
  absl::StatusOr<std::unique_ptr<Reactor>> parents = MakeKqueueReactor();
  ASSERT_TRUE(parents.ok()) << parents.status();
  const pid_t child = ::fork();
  if (child == 0) {
    absl::StatusOr<std::unique_ptr<Reactor>> own = MakeKqueueReactor();
    if (!own.ok()) ::_exit(1);
    (*own)->Wake();
    WorkQueue ready;
    (*own)->Poll(Deadline::Infinite(), Clock::Real(), ready);
    *own = nullptr;
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  (*parents)->Wake();
  WorkQueue ready;
  (*parents)->Poll(Deadline::Infinite(), Clock::Real(), ready);
}

// --- when memory is short ---

TEST_F(KqueueReactorTest, WhatCouldNotBeTakenOutAtItsCloseIsNotTakenForTheNextWithItsNumber) {
  GuardedBuffer buffer(1);
  FdPair pair = MakeTcpPair();
  const int number = pair.first.get();
  ReadOperation before(number, buffer.span());
  Submit(before);
  WriteAll(pair.second.get(), "x");
  ASSERT_EQ(Await(before), 1);
  PollTillQuiet();
  faults_.FailNext(FaultInjection::kKqueueEvents, ENOMEM);
  CloseOperation close(pair.first.Release());
  Submit(close);
  ASSERT_EQ(Await(close), 0);
  FdPair next = MakeTcpPair();
  if (next.first.get() == number) {
    next.first.Release();
  } else {
    ASSERT_EQ(::dup2(next.first.get(), number), number);
  }
  ReadOperation after(number, buffer.span());
  Submit(after);
  PollTillQuiet();
  WriteAll(next.second.get(), "y");
  EXPECT_EQ(Await(after), 1);  // or never
  CloseOperation end(number);
  Submit(end);
  EXPECT_EQ(Await(end), 0);
}

// --- cost, in system calls ---

TEST_F(KqueueReactorTest, ADescriptorIsRegisteredWithOneCallAndOnce) {
  FdPair pair = MakeTcpPair();
  GuardedBuffer buffer(1);
  const auto round = [&] {
    ReadOperation read(pair.first.get(), buffer.span());
    Submit(read);
    WriteAll(pair.second.get(), "x");
    ASSERT_EQ(Await(read), 1);
  };
  round();
  // One to register, one or more to wait.
  const int64_t registered = faults_.count(FaultInjection::kSetNonBlocking);
  for (int i = 0; i < 100; ++i) round();
  EXPECT_EQ(registered, 1);
  EXPECT_EQ(faults_.count(FaultInjection::kSetNonBlocking), 1);
  EXPECT_EQ(faults_.count(FaultInjection::kAlwaysReady), 0) << "a socket needs no such look";
  PollTillQuiet();
  const int64_t before = faults_.count(FaultInjection::kKqueueEvents);
  CloseOperation close(pair.first.Release());
  Submit(close);
  EXPECT_EQ(faults_.count(FaultInjection::kKqueueEvents) - before, 1);
  EXPECT_EQ(Await(close), 0);
}

TEST_F(KqueueReactorTest, APingPongOverTcpMakesOneReceivePerMessage) {
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

TEST_F(KqueueReactorTest, AReadThatStopsAtUrgentDataIsTriedAgainForWhatIsBehindIt) {
  FdPair pair = MakeTcpPair();
  GuardedBuffer buffer(100);
  ReadOperation first(pair.first.get(), buffer.span());
  Submit(first);
  PollTillQuiet();
  WriteAll(pair.second.get(), "before");
  ASSERT_EQ(::send(pair.second.get(), "!", 1, MSG_OOB), 1);
  WriteAll(pair.second.get(), "behind");
  std::string received;
  ASSERT_GT(Await(first), 0);
  received += std::string(buffer.text(static_cast<size_t>(first.result)));
  while (received.size() < 12) {
    ReadOperation next(pair.first.get(), buffer.span());
    const int32_t count = Do(next);
    ASSERT_GT(count, 0);
    received += std::string(buffer.text(static_cast<size_t>(count)));
  }
  EXPECT_EQ(received, "beforebehind");
}

TEST_F(KqueueReactorTest, Line48AHangUpIsToldOnceAndPollSleepsAfterwards) {
  FdPair pair = MakeTcpPair();
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  CloseWithReset(std::move(pair.second));
  EXPECT_EQ(Await(read), -ECONNRESET);
  PollTillQuiet();
  const int64_t before = faults_.count(FaultInjection::kKqueueEvents);
  PollOnce(Clock::Real().Now() + absl::Milliseconds(5));
  EXPECT_EQ(faults_.count(FaultInjection::kKqueueEvents) - before, 1);
}

// --- faults. Trap: park ---

TEST_F(KqueueReactorTest, Line14InterruptedCallsLoseNothing) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  for (const int error : {EINTR, ENOMEM}) {
    faults_.Fail(FaultInjection::kKqueueEvents, error, {.times = 3});
    WriteAll(pair.second.get(), "hello");
    EXPECT_EQ(Await(read), 5);
    read.deliveries = 0;
    Submit(read);
  }
  WriteAll(pair.second.get(), "hello");
  EXPECT_EQ(Await(read), 5);
}

TEST_F(KqueueReactorTest, ADescriptorThatCannotBeWatchedFailsAndMayBeTriedAgain) {
  FdPair pipe = MakePipe();
  WriteAll(pipe.second.get(), "x");
  GuardedBuffer buffer(1);
  for (const auto call : {FaultInjection::kKqueueEvents, FaultInjection::kSetNonBlocking,
                          FaultInjection::kSocketProtocol, FaultInjection::kAlwaysReady}) {
    ReadOperation read(pipe.first.get(), buffer.span());
    faults_.FailNext(call, ENOMEM);
    EXPECT_EQ(Do(read), -ENOMEM);
  }
  ReadOperation read(pipe.first.get(), buffer.span());
  EXPECT_EQ(Do(read), 1);
}

// A device that is always ready, or one that kqueue has no filter for.
TEST_F(KqueueReactorTest, WhatCannotBeWaitedForIsReadWhereItMayBlock) {
  OwnedFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  GuardedBuffer buffer(1);
  ReadOperation read(null.get(), buffer.span());
  EXPECT_EQ(Do(read), 0);
  WriteOperation write(null.get(), "x");
  EXPECT_EQ(Do(write), 1);
  FdPair pipe = MakePipe();
  WriteAll(pipe.second.get(), "x");
  faults_.FailNext(FaultInjection::kKqueueEvents, EINVAL);
  ReadOperation unknown(pipe.first.get(), buffer.span());
  EXPECT_EQ(Do(unknown), 1);
}

}  // namespace
}  // namespace plait
