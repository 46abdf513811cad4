// Listeners, servers and connections on executors with several threads. Traps: a lambda coroutine
// that outlives its captures (the handler), a cancel that races completion (of handlers, at the end
// of the grace), a wake-up lost between check and park (of the server that waits for its last
// connection; Stop from another thread).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/server.h"
#include "plait/io/net/server_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_pools.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_pool.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kRelaxed;

constexpr int kThreads = 3;

class ServerOnWorkersTest : public testing::TestWithParam<PoolFactory> {
 protected:
  ~ServerOnWorkersTest() override {
    pool_ = nullptr;  // what was dropped is closed by a task
    EXPECT_EQ(OpenSockets(), open_before_);
  }

  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(*pool_, body());
  }
  Executor& pool() { return *pool_; }
  void ReplacePool(int threads) {
    pool_ = nullptr;
    pool_ = GetParam().make(threads);
  }

 private:
  const int open_before_ = OpenSockets();
  std::unique_ptr<Executor> pool_ = GetParam().make(kThreads);
};

Task<absl::Status> AskManyTimes(SocketAddress address, int number) {
  Stream stream = co_await OrReturn(Connect(address));
  for (int i = 0; i < 10; ++i) {
    const std::string question = absl::StrCat(number, " asks ", i);
    co_await OrReturn(stream.Write(question));
    const std::string answer = co_await OrReturn(stream.ReadExactly(question.size()));
    if (answer != question) co_return absl::DataLossError(answer);
  }
  co_return co_await stream.Close();
}

TEST_P(ServerOnWorkersTest, ClientsAndHandlersTalkWhereverTheyAre) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const SocketAddress address = listener.local_address();
    Server server(std::move(listener), Echo);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    const auto ask = [&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < Repeats(40); ++i) group.Spawn(AskManyTimes(address, i));
      co_return absl::OkStatus();
    };
    co_await OrReturn(WithTaskGroup(ask));
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
}

TEST_P(ServerOnWorkersTest, ConnectionsAreSpreadOverTheWorkers) {
  internal::SpinLock lock;
  std::vector<Worker*> seen;
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    co_await OrReturn(ReadText(stream));
    {
      const internal::SpinLockHolder hold(lock);
      Worker& here = *Worker::Current();
      seen.push_back(&here.group()->HomeOf(stream.descriptor(), here));
    }
    co_return co_await stream.Close();
  };
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const SocketAddress address = listener.local_address();
    Server server(std::move(listener), handle);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    for (int i = 0; i < 2 * kThreads; ++i) {
      Stream stream = co_await OrReturn(Connect(address));
      co_await OrReturn(stream.Write("x"));
      const absl::StatusOr<std::string> end = co_await stream.ReadAll(10);
      EXPECT_TRUE(end.ok()) << end.status();
      co_await OrReturn(stream.Close());
    }
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
  ASSERT_EQ(seen.size(), static_cast<size_t>(2 * kThreads));
  for (Worker* const worker : seen) {
    EXPECT_EQ(std::count(seen.begin(), seen.end(), worker), 2);
  }
}

// Of many that come at once each would otherwise wait for a round over all that are busy already.
TEST_P(ServerOnWorkersTest, ABurstOfConnectionsIsTakenInAFewTurns) {
  constexpr int kConnections = 400;
  ReplacePool(/*threads=*/1);
  int served = 0;
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    ++served;
    co_return co_await stream.Close();
  };
  int turns = 0;
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const SocketAddress address = listener.local_address();
    std::vector<Stream> clients;
    for (int i = 0; i < kConnections; ++i) clients.push_back(co_await OrReturn(Connect(address)));
    Server server(std::move(listener), handle);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    while (served < kConnections) {
      ++turns;
      co_await Yield();
    }
    for (Stream& client : clients) co_await OrReturn(client.Close());
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
  EXPECT_LE(turns, kConnections);
}

TEST_P(ServerOnWorkersTest, AStopLetsTheLastConnectionsEnd) {
  for (int round = 0; round < Repeats(30); ++round) {
    const auto body = [&]() -> Task<absl::Status> {
      Listener listener = ListenLocally();
      const SocketAddress address = listener.local_address();
      Server server(std::move(listener), Echo);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      std::vector<Stream> clients;
      for (int i = 0; i < 4; ++i) clients.push_back(co_await OrReturn(Connect(address)));
      for (Stream& client : clients) {
        co_await OrReturn(client.Write("hello"));
        co_await OrReturn(client.ReadExactly(5));
      }
      server.Stop();
      for (Stream& client : clients) {
        co_await OrReturn(client.Write("again"));
        EXPECT_EQ(co_await OrReturn(client.ReadExactly(5)), "again");
        co_await OrReturn(client.Close());
      }
      co_await OrReturn(serving);
      EXPECT_EQ(server.connections(), 0u);
      co_return absl::OkStatus();
    };
    const absl::Status ran = RunTask(body);
    EXPECT_TRUE(ran.ok()) << ran;
  }
}

TEST_P(ServerOnWorkersTest, ClosingAndAbortingClientsEndsEveryConnectionOnce) {
  Atomic<int> ended{0};
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    const absl::Status held = co_await Hold(std::move(stream));
    ended.fetch_add(1, kRelaxed);
    co_return held;
  };
  for (int round = 0; round < Repeats(20); ++round) {
    const auto body = [&]() -> Task<absl::Status> {
      Listener listener = ListenLocally();
      const SocketAddress address = listener.local_address();
      ServerOptions options;
      options.on_error = [](const absl::Status& error, const SocketAddress&) {
        ADD_FAILURE() << "a handler that had not begun to read: " << error;
      };
      Server server(std::move(listener), handle, std::move(options));
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      std::vector<Stream> clients;
      for (int i = 0; i < 6; ++i) clients.push_back(co_await OrReturn(Connect(address)));
      while (server.connections() < 6) co_await Yield();
      // One of them goes by itself, perhaps meanwhile.
      auto gone = Spawn(clients.back().Close());
      clients.pop_back();
      if (round % 2 == 0) {
        server.CloseClients();
      } else {
        server.AbortClients();
      }
      for (Stream& client : clients) {
        const absl::StatusOr<std::string> end = co_await client.ReadAll(10);
        EXPECT_TRUE(end.ok() || absl::IsUnavailable(end.status())) << end.status();
        co_await OrReturn(client.Close());
      }
      co_await OrReturn(gone);
      server.Stop();
      co_return co_await serving;
    };
    const absl::Status ran = RunTask(body);
    EXPECT_TRUE(ran.ok()) << ran;
    EXPECT_EQ(ended.exchange(0, kRelaxed), 6);
  }
}

TEST_P(ServerOnWorkersTest, ACancelEndsTheServerAndItsHandlers) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const SocketAddress address = listener.local_address();
    JoinHandle<absl::Status> serving = Spawn(Serve(std::move(listener), Hold));
    std::vector<Stream> clients;
    for (int i = 0; i < 6; ++i) clients.push_back(co_await OrReturn(Connect(address)));
    serving.Cancel();
    const absl::Status served = co_await serving;
    EXPECT_TRUE(absl::IsCancelled(served)) << served;
    for (Stream& client : clients) co_await OrReturn(client.Close());
    co_return absl::OkStatus();
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
}

TEST_P(ServerOnWorkersTest, TheLimitOfConnectionsHolds) {
  Atomic<int> now{0};
  Atomic<int> most{0};
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    const int count = now.fetch_add(1, kRelaxed) + 1;
    int seen = most.load(kRelaxed);
    while (seen < count && !most.compare_exchange_weak(seen, count, kRelaxed)) {
    }
    const absl::Status echoed = co_await Echo(std::move(stream));
    now.fetch_sub(1, kRelaxed);
    co_return echoed;
  };
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const SocketAddress address = listener.local_address();
    ServerOptions options;
    options.max_connections = 3;
    Server server(std::move(listener), handle, std::move(options));
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    const auto ask = [&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < Repeats(20); ++i) group.Spawn(AskManyTimes(address, i));
      co_return absl::OkStatus();
    };
    co_await OrReturn(WithTaskGroup(ask));
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
  EXPECT_GE(most.load(kRelaxed), 1);
  EXPECT_LE(most.load(kRelaxed), 3);
}

TEST_P(ServerOnWorkersTest, SeveralAcceptAtOnceAndACloseEndsThemAll) {
  for (int round = 0; round < Repeats(30); ++round) {
    const auto body = [&]() -> Task<absl::Status> {
      Listener listener = ListenLocally();
      std::vector<JoinHandle<absl::StatusOr<Stream>>> accepting;
      for (int i = 0; i < 4; ++i) accepting.push_back(Spawn(listener.Accept()));
      Stream client = co_await OrReturn(Connect(listener.local_address()));
      if (round % 2 == 0) co_await Yield();
      // Two who close: one of them does.
      auto one = Spawn(listener.Close());
      auto other = Spawn(listener.Close());
      co_await OrReturn(one);
      co_await OrReturn(other);
      int accepted = 0;
      for (auto& each : accepting) {
        absl::StatusOr<Stream> stream = co_await each;
        if (stream.ok()) {
          ++accepted;
          co_await OrReturn(stream->Close());
        } else {
          // One that had not begun finds it closed.
          EXPECT_TRUE(absl::IsCancelled(stream.status()) ||
                      absl::IsFailedPrecondition(stream.status()))
              << stream.status();
        }
      }
      EXPECT_LE(accepted, 1);
      co_return co_await client.Close();
    };
    const absl::Status ran = RunTask(body);
    EXPECT_TRUE(ran.ok()) << ran;
  }
}

INSTANTIATE_TEST_SUITE_P(AllPools, ServerOnWorkersTest, testing::ValuesIn(AllPools()),
                         PoolFactory::Name);

}  // namespace
}  // namespace plait
