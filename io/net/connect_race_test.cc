// Traps: a cancel that races completion (the losers, the deadline, the task), a reference parameter
// of a lazy task (the race outlives its attempts).
#include "plait/io/net/connect_race.h"

#include <fcntl.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Addresses = std::vector<SocketAddress>;
using Connected = absl::StatusOr<ConnectedSocket>;

SocketAddress Parse(absl::string_view text) { return *SocketAddress::Parse(text); }

std::vector<std::string> Texts(const Addresses& addresses) {
  std::vector<std::string> texts;
  for (const SocketAddress& address : addresses) texts.push_back(address.ToString());
  return texts;
}

TEST(InterleaveFamiliesTest, TheFamiliesAlternateBeginningWithTheFirst) {
  EXPECT_THAT(Texts(InterleaveFamilies({Parse("[::1]:1"), Parse("[::2]:1"), Parse("[::3]:1"),
                                        Parse("1.1.1.1:1"), Parse("2.2.2.2:1")})),
              ElementsAre("[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"));
  EXPECT_THAT(Texts(InterleaveFamilies(
                  {Parse("1.1.1.1:1"), Parse("[::1]:1"), Parse("[::2]:1"), Parse("[::3]:1")})),
              ElementsAre("1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"));
}

TEST(InterleaveFamiliesTest, OfOneFamilyTheOrderStays) {
  EXPECT_THAT(Texts(InterleaveFamilies({Parse("3.3.3.3:1"), Parse("1.1.1.1:1")})),
              ElementsAre("3.3.3.3:1", "1.1.1.1:1"));
  EXPECT_THAT(InterleaveFamilies({}), ElementsAre());
}

class ConnectRaceTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  ~ConnectRaceTest() override { EXPECT_EQ(loop_.io().in_flight(), 0u); }

  static SocketAddress Of(const TcpListener& listener) {
    return *SocketAddress::FromSystem(listener.name(), sizeof(listener.address));
  }
  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(loop_, body());
  }
  static Task<absl::StatusOr<Addresses>> Known(Addresses addresses) {
    co_return std::move(addresses);
  }
  static Task<Connected> Connect(Addresses addresses,
                                 absl::Duration timeout = absl::InfiniteDuration(),
                                 ConnectRace::Options options = {}) {
    return RunWithin(timeout, "the.host:80", options, Known(std::move(addresses)));
  }
  Connected ConnectNow(Addresses addresses, absl::Duration timeout = absl::InfiniteDuration(),
                       ConnectRace::Options options = {}) {
    return BlockOn(loop_, Connect(std::move(addresses), timeout, options));
  }
  absl::Duration elapsed() const { return clock_.elapsed(); }
  EventLoop& loop() { return loop_; }

 private:
  TestClock clock_;
  EventLoop loop_{GetParam().make(nullptr), {.clock = &clock_}};
};

INSTANTIATE_TEST_SUITE_P(AllReactors, ConnectRaceTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(ConnectRaceTest, ConnectsToTheOnlyAddress) {
  const TcpListener listener = MakeTcpListener();
  const Connected connected = ConnectNow({Of(listener)});
  ASSERT_TRUE(connected.ok()) << connected.status();
  EXPECT_EQ(connected->peer, Of(listener));
  const int fd = connected->descriptor.get();
  EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  const OwnedFd accepted(::accept(listener.fd.get(), nullptr, nullptr));
  WriteAll(fd, "hello");
  EXPECT_EQ(ReadExactly(accepted.get(), 5), "hello");
}

TEST_P(ConnectRaceTest, ConnectsOverUnixSocketsAndSaysWhereNobodyIs) {
  const UnixListener listener = MakeUnixListener();
  const SocketAddress name = *SocketAddress::FromSystem(listener.name(), listener.size);
  const Connected connected = ConnectNow({name});
  ASSERT_TRUE(connected.ok()) << connected.status();
  const absl::Status missing = ConnectNow({Parse("unix:/there/is/no/such/socket")}).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_THAT(missing.message(), HasSubstr("connect to unix:/there/is/no/such/socket: "));
}

TEST_P(ConnectRaceTest, Line39ARefusalIsUnavailableAndNamesThePeer) {
  const TcpListener refusing = MakeRefusingPort();
  const SocketAddress address = Of(refusing);
  const auto alone = [&]() { return ConnectSocket(address, std::nullopt); };
  const absl::Status status = RunTask(alone).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(status.message(),
            absl::StrCat("connect to ", address.ToString(), ": Connection refused (ECONNREFUSED)"));
  const absl::Status of_host = ConnectNow({address}).status();
  EXPECT_THAT(of_host.message(), HasSubstr("connect to the.host:80: its address failed: "));
  EXPECT_THAT(of_host.message(), HasSubstr(status.message().data()));
}

TEST_P(ConnectRaceTest, WhereAllFailEachErrorIsReportedInTheOrderOfTheAddresses) {
  const TcpListener first = MakeRefusingPort();
  const TcpListener second = MakeRefusingPort();
  const absl::Status status = ConnectNow({Parse("unix:/nowhere"), Of(first), Of(second)}).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << "one of them may be there another time: " << status;
  EXPECT_EQ(status.message(),
            absl::StrCat("connect to the.host:80: all 3 addresses failed: "
                         "connect to unix:/nowhere: No such file or directory (ENOENT); "
                         "connect to ",
                         Of(first).ToString(), ": Connection refused (ECONNREFUSED); connect to ",
                         Of(second).ToString(), ": Connection refused (ECONNREFUSED)"));
  EXPECT_EQ(elapsed(), absl::ZeroDuration()) << "a failure does not wait for the delay";
}

TEST_P(ConnectRaceTest, AfterAFailureTheNextAddressIsTriedAtOnce) {
  const TcpListener refusing = MakeRefusingPort();
  const TcpListener listener = MakeTcpListener();
  const Connected connected = ConnectNow({Of(refusing), Of(listener)});
  ASSERT_TRUE(connected.ok()) << connected.status();
  EXPECT_EQ(connected->peer, Of(listener));
  EXPECT_EQ(elapsed(), absl::ZeroDuration());
}

TEST_P(ConnectRaceTest, ASilentAddressIsGivenAHeadStartAndThenOvertaken) {
  const FullListener silent = MakeFullListener();
  const TcpListener listener = MakeTcpListener();
  const int before = OpenDescriptors();
  {
    const Connected connected = ConnectNow({Of(silent.listener), Of(listener)});
    ASSERT_TRUE(connected.ok()) << connected.status();
    EXPECT_EQ(connected->peer, Of(listener));
    EXPECT_EQ(elapsed(), absl::Milliseconds(250));
    EXPECT_EQ(OpenDescriptors(), before + 1) << "the loser is closed";
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(ConnectRaceTest, WithoutADelayTwoThatAnswerLeaveOneConnection) {
  const TcpListener first = MakeTcpListener();
  const TcpListener second = MakeTcpListener();
  const int before = OpenDescriptors();
  for (int i = 0; i < Repeats(20); ++i) {
    Connected connected = ConnectNow({Of(first), Of(second)}, absl::InfiniteDuration(),
                                     {.attempt_delay = absl::ZeroDuration()});
    ASSERT_TRUE(connected.ok()) << connected.status();
    EXPECT_EQ(OpenDescriptors(), before + 1);
    // Where the reactor hears of it, as the next round has the number again.
    const absl::Status closed = BlockOn(loop(), connected->descriptor.Close());
    EXPECT_TRUE(closed.ok()) << closed;
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(ConnectRaceTest, AnInfiniteDelayTriesTheNextOnlyAfterAFailure) {
  const FullListener silent = MakeFullListener();
  const TcpListener listener = MakeTcpListener();
  const absl::Status status = ConnectNow({Of(silent.listener), Of(listener)}, absl::Hours(1),
                                         {.attempt_delay = absl::InfiniteDuration()})
                                  .status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST_P(ConnectRaceTest, TheDeadlineEndsItAndTellsWhatWasKnownByThen) {
  const FullListener silent = MakeFullListener();
  const TcpListener refusing = MakeRefusingPort();
  const int before = OpenDescriptors();
  const absl::Status status =
      ConnectNow({Of(refusing), Of(silent.listener)}, absl::Seconds(5)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(status.message(),
            absl::StrCat("connect to the.host:80: no connection within 5s: "
                         "connect to ",
                         Of(refusing).ToString(), ": Connection refused (ECONNREFUSED)"));
  EXPECT_EQ(elapsed(), absl::Seconds(5));
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(ConnectRaceTest, ACancelEndsItAndClosesTheSockets) {
  const FullListener silent = MakeFullListener();
  const FullListener other = MakeFullListener();
  const int before = OpenDescriptors();
  for (const bool alone : {true, false}) {
    const auto body = [&]() -> Task<absl::Status> {
      Addresses addresses = {Of(silent.listener)};
      if (!alone) addresses.push_back(Of(other.listener));
      JoinHandle<Connected> connecting = Spawn(Connect(std::move(addresses)));
      const absl::Status slept = co_await Sleep(absl::Seconds(1));
      EXPECT_TRUE(slept.ok()) << slept;
      EXPECT_EQ(OpenDescriptors(), before + (alone ? 1 : 2));
      connecting.Cancel();
      const Connected connected = co_await connecting;
      EXPECT_EQ(OpenDescriptors(), before) << "closed by the time it is over";
      co_return connected.status();
    };
    const absl::Status status = RunTask(body);
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  }
}

// At each point where it can come.
TEST_P(ConnectRaceTest, ACancelThatRacesTheConnectionLosesNeitherIt) {
  const TcpListener first = MakeTcpListener();
  const TcpListener second = MakeTcpListener();
  const int before = OpenDescriptors();
  int connections = 0;
  for (int turns = 0; turns < 600; turns += 12) {
    const auto body = [&]() -> Task<void> {
      JoinHandle<Connected> connecting = Spawn(Connect({Of(first), Of(second)}, absl::Hours(1),
                                                       {.attempt_delay = absl::ZeroDuration()}));
      for (int i = 0; i < turns; ++i) co_await Yield();
      connecting.Cancel();
      const Connected connected = co_await connecting;
      EXPECT_TRUE(connected.ok() || absl::IsCancelled(connected.status())) << connected.status();
      EXPECT_EQ(OpenDescriptors(), before + (connected.ok() ? 1 : 0));
      connections += connected.ok() ? 1 : 0;
    };
    RunTask(body);
    const absl::Status ran = loop().Run();
    EXPECT_TRUE(ran.ok()) << ran;
    EXPECT_EQ(OpenDescriptors(), before);
  }
  EXPECT_GT(connections, 0);
}

TEST_P(ConnectRaceTest, AnAddressForWhichThereIsNoSocketDoesNotSpoilTheOthers) {
  const TcpListener listener = MakeTcpListener();
  sys::FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  faults.FailNext(sys::FaultInjection::kSocket, EAFNOSUPPORT);
  const Connected connected = ConnectNow({Parse("[2001:db8::1]:80"), Of(listener)});
  ASSERT_TRUE(connected.ok()) << connected.status();
  EXPECT_EQ(connected->peer, Of(listener));
  faults.FailAll(sys::FaultInjection::kSocket, EMFILE);
  const absl::Status none = ConnectNow({Of(listener), Of(listener)}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(none)) << none;
}

TEST_P(ConnectRaceTest, TheConnectionComesFromWhereItIsTold) {
  const TcpListener listener = MakeTcpListener();
  const Connected connected =
      ConnectNow({Of(listener)}, absl::InfiniteDuration(), {.local = Parse("127.0.0.77:0")});
  ASSERT_TRUE(connected.ok()) << connected.status();
  SocketAddress peer;
  ::sockaddr* const room = peer.room();
  const OwnedFd accepted(::accept(listener.fd.get(), room, peer.room_size()));
  EXPECT_EQ(peer.ip(), "127.0.0.77");
  const TcpListener taken = MakeTcpListener();
  const absl::Status used =
      ConnectNow({Of(listener)}, absl::InfiniteDuration(), {.local = Of(taken)}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(used)) << used;
  EXPECT_THAT(used.message(), HasSubstr(absl::StrCat(" from ", Of(taken).ToString(), ": ")));
}

TEST_P(ConnectRaceTest, ASocketThatWouldBeConnectedToItselfIsARefusal) {
  SocketAddress free_port;
  {
    const TcpListener bound = MakeRefusingPort();
    free_port = Of(bound);
  }
  const Connected connected =
      ConnectNow({free_port}, absl::InfiniteDuration(), {.local = free_port});
  EXPECT_TRUE(absl::IsUnavailable(connected.status())) << connected.status();
  EXPECT_THAT(connected.status().message(), HasSubstr("ECONNREFUSED"));
}

TEST_P(ConnectRaceTest, WhatIsNoAddressIsRefused) {
  const absl::Status none = ConnectNow({}).status();
  EXPECT_TRUE(absl::IsNotFound(none)) << none;
  for (const SocketAddress& wrong : {SocketAddress(), Parse("127.0.0.1:0")}) {
    const absl::Status status = ConnectNow({wrong}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  }
  const TcpListener listener = MakeTcpListener();
  const absl::Status negative = ConnectNow({Of(listener)}, absl::Seconds(-1)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(negative)) << negative;
  EXPECT_THAT(negative.message(), HasSubstr("timeout is negative: -1s"));
  const absl::Status delay =
      ConnectNow({Of(listener)}, absl::Seconds(1), {.attempt_delay = absl::Seconds(-2)}).status();
  EXPECT_THAT(delay.message(), HasSubstr("attempt delay is negative: -2s"));
}

TEST(ConnectRaceOutsideTest, AnExecutorWithoutAReactorIsAFailedPrecondition) {
  ThreadExecutor executor;
  const TcpListener listener = MakeTcpListener();
  const SocketAddress address = *SocketAddress::FromSystem(listener.name(), sizeof(sockaddr_in));
  const absl::Status status = BlockOn(executor, ConnectSocket(address, std::nullopt)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("no reactor"));
}

}  // namespace
}  // namespace plait::internal
