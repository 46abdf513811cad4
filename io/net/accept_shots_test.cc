// Connections that a multishot takes, where the reactor has those; what a server does is the same
// on all. Traps: a cancel that races completion (a connection that came with it is not lost), a
// wake-up lost between the look at what has come and the wait.
#include "plait/io/net/accept_shots.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/server.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/races.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using internal::AcceptShots;
using internal::Atomic;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Those of a reactor that has multishots.
class AcceptShotsTest : public testing::Test {
 protected:
  AcceptShotsTest() : loop_(MakeIoUringReactor()), listener_(ListenLocally()) {}

  template <class Body>
  void RunTask(Body body) {
    const auto whole = [&]() -> Task<void> {
      co_await body();
      taken_.store(true, internal::kRelease);
      const absl::Status closed = co_await listener_.Close();
      EXPECT_TRUE(closed.ok()) << closed;
      co_await shots_.Stop();
    };
    BlockOn(loop_, whole());
    EXPECT_EQ(MultishotUseOf(loop_.io()).armed, 0u);
  }
  Task<void> SomeTurns() {
    for (int turn = 0; turn < 30; ++turn) co_await Yield();
  }
  Task<int> Next() { co_return co_await shots_.Next(); }
  OwnedFd Dial() { return plait::Dial(listener_.local_address()); }

  EventLoop loop_;
  Listener listener_;
  Atomic<bool> taken_{false};
  AcceptShots shots_{listener_.descriptor(), taken_};
};

TEST_F(AcceptShotsTest, GivesConnectionsInTheirOrderHoweverManyComeAtOnce) {
  RunTask([&]() -> Task<void> {
    for (const size_t burst : {1, 40, 3}) {
      std::vector<OwnedFd> clients;
      for (size_t i = 0; i < burst; ++i) {
        clients.push_back(Dial());
        WriteAll(clients.back().get(), std::string(1, static_cast<char>('0' + i)));
      }
      for (size_t i = 0; i < burst; ++i) {
        const OwnedFd connection(co_await shots_.Next());
        EXPECT_GE(connection.get(), 0);
        EXPECT_EQ(ReadExactly(connection.get(), 1), std::string(1, static_cast<char>('0' + i)));
      }
    }
    EXPECT_EQ(MultishotUseOf(loop_.io()).armed, 1u) << "one request has brought them all";
  });
}

TEST_F(AcceptShotsTest, WhoeverTakesNoneDoesNotKeepItTakingThemForEver) {
  RunTask([&]() -> Task<void> {
    std::vector<OwnedFd> clients;
    for (int i = 0; i < 100; ++i) clients.push_back(Dial());
    const OwnedFd first(co_await shots_.Next());
    co_await SomeTurns();
    const int open = OpenDescriptors();
    for (int i = 0; i < 100; ++i) clients.push_back(Dial());
    co_await SomeTurns();
    EXPECT_EQ(OpenDescriptors(), open + 100) << "they wait in the system's queue";
    for (int i = 1; i < 200; ++i) {
      const OwnedFd connection(co_await shots_.Next());
      EXPECT_GE(connection.get(), 0);
    }
  });
}

TEST_F(AcceptShotsTest, WhatNobodyTookIsClosedWhenItStops) {
  const int before = OpenDescriptors();
  RunTask([&]() -> Task<void> {
    std::vector<OwnedFd> clients;
    for (int i = 0; i < 5; ++i) clients.push_back(Dial());
    const OwnedFd first(co_await shots_.Next());
    co_await SomeTurns();
    co_await shots_.Stop();
    for (int i = 1; i < 5; ++i) EXPECT_EQ(ReadExactly(clients[i].get(), 1), "");
  });
  EXPECT_EQ(OpenDescriptors(), before - 1) << "the listener's own";
}

TEST_F(AcceptShotsTest, AListenerThatClosesEndsItAndItsAddressIsFreeAtOnce) {
  const SocketAddress address = listener_.local_address();
  RunTask([&]() -> Task<void> {
    JoinHandle<int> next = Spawn(Next());
    co_await SomeTurns();
    taken_.store(true, internal::kRelease);
    EXPECT_TRUE((co_await listener_.Close()).ok());
    const absl::StatusOr<Listener> again = Listen(address, {.reuse_address = false});
    EXPECT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(co_await next, -ECANCELED);
    EXPECT_EQ(co_await shots_.Next(), -ECANCELED) << "it is not begun on another's number";
  });
}

TEST_F(AcceptShotsTest, ACancelThatRacesAConnectionLosesNeither) {
  RunTask([&]() -> Task<void> {
    Jitter jitter(RaceSeed());
    int dialled = 0;
    int came = 0;
    for (int i = 0; i < Races(500); ++i) {
      JoinHandle<int> next = Spawn(Next());
      for (unsigned turns = jitter(3); turns > 0; --turns) co_await Yield();
      const OwnedFd client = Dial();
      ++dialled;
      for (unsigned turns = jitter(4); turns > 0; --turns) co_await Yield();
      next.Cancel();
      const OwnedFd connection(co_await next);
      EXPECT_TRUE(connection.get() >= 0 || connection.get() == -ECANCELED) << connection.get();
      if (connection.get() >= 0) ++came;
    }
    for (; came < dialled; ++came) {
      const OwnedFd connection(co_await shots_.Next());
      EXPECT_GE(connection.get(), 0);
    }
  });
}

// What a server does with them.
class ServerBurstTest : public NetTest {
 protected:
  bool has_multishots() { return loop().io().name() == "io_uring"; }
  size_t armed() { return has_multishots() ? MultishotUseOf(loop().io()).armed : 0; }
};

INSTANTIATE_TEST_SUITE_P(AllReactors, ServerBurstTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

// Until its peer goes.
Task<absl::Status> Hold(Stream stream) {
  const absl::StatusOr<std::string> text = co_await ReadText(stream);
  co_return text.status();
}

TEST_P(ServerBurstTest, AServerWithoutALimitTakesThemByOneRequest) {
  RunTask([&]() -> Task<void> {
    Server server(ListenLocally(), Hold);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    std::vector<OwnedFd> clients;
    for (const size_t count : {1, 2, 60, 61, 200}) {
      while (clients.size() < count) clients.push_back(Dial(server.local_address()));
      co_await YieldUntil([&] { return server.connections() == count; });
    }
    EXPECT_EQ(armed(), has_multishots() ? 1u : 0u);
    clients.clear();
    server.Stop();
    const absl::Status served = co_await serving;
    EXPECT_TRUE(served.ok()) << served;
    EXPECT_EQ(server.connections(), 0u);
  });
}

TEST_P(ServerBurstTest, AServerWithALimitLeavesTheOthersInTheSystemsQueue) {
  RunTask([&]() -> Task<void> {
    Server server(ListenLocally(), Hold, {.max_connections = 2});
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    std::vector<OwnedFd> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(Dial(server.local_address()));
    const int before = OpenDescriptors();
    co_await YieldUntil([&] { return server.connections() == 2; });
    for (int turn = 0; turn < 30; ++turn) co_await Yield();
    EXPECT_EQ(OpenDescriptors(), before + 2);
    EXPECT_EQ(armed(), 0u);
    server.Stop();
    clients.clear();
    const absl::Status served = co_await serving;
    EXPECT_TRUE(served.ok()) << served;
  });
}

// Few descriptors for the whole process, all of which it can take.
class FewDescriptors {
 public:
  FewDescriptors() {
    PLAIT_CHECK(::getrlimit(RLIMIT_NOFILE, &limit_) == 0, "getrlimit");
    const OwnedFd next(::dup(0));
    PLAIT_CHECK(next.get() >= 0, "dup");
    const rlimit few{.rlim_cur = static_cast<rlim_t>(next.get()) + 40, .rlim_max = limit_.rlim_max};
    PLAIT_CHECK(::setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { PLAIT_CHECK(::setrlimit(RLIMIT_NOFILE, &limit_) == 0, "setrlimit"); }

  void TakeAll() {
    for (OwnedFd next(::dup(0)); next.get() >= 0; next = OwnedFd(::dup(0))) {
      taken_.push_back(std::move(next));
    }
  }
  void GiveBack() { taken_.clear(); }

 private:
  rlimit limit_{};
  std::vector<OwnedFd> taken_;
};

TEST_P(ServerBurstTest, WithoutDescriptorsItWaitsAndGoesOn) {
  RunTask([&]() -> Task<void> {
    // First of all: a request to the kernel keeps the limit that it began with.
    FewDescriptors descriptors;
    std::vector<std::string> errors;
    ServerOptions options;
    options.on_error = [&](const absl::Status& error, const SocketAddress&) {
      errors.push_back(error.ToString());
    };
    Server server(ListenLocally(), Hold, options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    std::vector<OwnedFd> clients;
    for (const size_t count : {1, 2, 3}) {
      while (clients.size() < count) clients.push_back(Dial(server.local_address()));
      co_await YieldUntil([&] { return server.connections() == count; });
    }
    clients.push_back(Dial(server.local_address()));
    descriptors.TakeAll();
    // The test's clock goes on only when there is nothing else to do.
    EXPECT_TRUE((co_await Sleep(absl::Seconds(2))).ok());
    EXPECT_EQ(server.connections(), 3u);
    EXPECT_THAT(errors, ElementsAre(HasSubstr("EMFILE"))) << "told once";
    descriptors.GiveBack();
    co_await YieldUntil([&] { return server.connections() == 4; });
    clients.push_back(Dial(server.local_address()));
    clients.push_back(Dial(server.local_address()));
    co_await YieldUntil([&] { return server.connections() == 6; });
    server.Stop();
    clients.clear();
    const absl::Status served = co_await serving;
    EXPECT_TRUE(served.ok()) << served;
  });
}

}  // namespace
}  // namespace plait
