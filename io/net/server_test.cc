// Traps: a lambda coroutine that outlives its captures (the handler), a reference parameter of a
// lazy task (what Serve is given may be gone when it is awaited).
#include "plait/io/net/server.h"

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/server_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {
namespace {

using ::testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(AllReactors, ServerTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(ServerTest, EveryConnectionIsServedSideBySide) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const SocketAddress address = listener.local_address();
    JoinHandle<absl::Status> serving = Spawn(Serve(std::move(listener), Echo));
    std::vector<Stream> clients;
    for (int i = 0; i < 50; ++i) clients.push_back(co_await OrReturn(Connect(address)));
    for (int i = 49; i >= 0; --i) {
      co_await OrReturn(clients[i].Write(absl::StrCat("number ", i)));
    }
    for (int i = 0; i < 50; ++i) {
      const std::string text = co_await OrReturn(ReadText(clients[i]));
      EXPECT_EQ(text, absl::StrCat("number ", i));
    }
    serving.Cancel();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST_P(ServerTest, AHandlerWithCapturesLivesUntilItsLastConnectionHasEnded) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const SocketAddress address = listener.local_address();
    // Of a temporary, whose captures would be gone: an allocation, for the sanitizers to see.
    const auto serve = [&](std::string greeting) {
      return Serve(std::move(listener),
                   [greeting = std::make_unique<std::string>(greeting)](
                       Stream stream) -> Task<absl::Status> {
                     const std::string name = co_await OrReturn(ReadText(stream));
                     co_await OrReturn(stream.Write(absl::StrCat(*greeting, ", ", name)));
                     co_return co_await stream.Close();
                   });
    };
    JoinHandle<absl::Status> serving = Spawn(serve("a greeting too long for the string itself"));
    Stream client = co_await OrReturn(Connect(address));
    co_await OrReturn(client.Write("Ada"));
    const std::string answer = co_await OrReturn(ReadText(client));
    EXPECT_EQ(answer, "a greeting too long for the string itself, Ada");
    serving.Cancel();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST_P(ServerTest, AHandlerMayGiveNothing) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    int served = 0;
    const auto handler = [&served](Stream stream) -> Task<void> {
      ++served;
      const absl::Status closed = co_await stream.Close();
      EXPECT_TRUE(closed.ok()) << closed;
    };
    JoinHandle<absl::Status> serving = Spawn(Serve(listener, handler));
    for (int i = 0; i < 3; ++i) {
      Stream client = co_await OrReturn(Connect(listener.local_address()));
      const std::string text = co_await OrReturn(ReadText(client));
      EXPECT_EQ(text, "");
    }
    EXPECT_EQ(served, 3);
    serving.Cancel();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST_P(ServerTest, ConnectionsThatEndedLeaveNothingBehind) {
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), Echo);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    co_await Yield();
    const int descriptors = OpenDescriptors();
    const size_t tasks = AllTasks().size();
    for (int i = 0; i < 200; ++i) {
      const std::string answer = co_await OrReturn(Ask(server.local_address(), "hello"));
      EXPECT_EQ(answer, "hello");
    }
    co_await YieldUntil([&] { return server.connections() == 0; });
    co_await YieldUntil([&] { return OpenDescriptors() == descriptors; });
    EXPECT_EQ(AllTasks().size(), tasks);
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ServerTest, ALimitBeyondAllBoundsIsNone) {
  const auto body = [&]() -> Task<absl::Status> {
    ServerOptions options;
    options.max_connections = std::numeric_limits<size_t>::max();
    Server server(ListenLocally(), Echo, options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream client = co_await OrReturn(Connect(server.local_address()));
    co_await OrReturn(client.Write("x"));
    const std::string answer = co_await OrReturn(client.ReadExactly(1));
    EXPECT_EQ(answer, "x");
    co_await OrReturn(client.Close());
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ServerTest, AtTheLimitOthersWaitUntilOneHasEnded) {
  const auto body = [&]() -> Task<absl::Status> {
    ServerOptions options;
    options.max_connections = 2;
    size_t most = 0;
    Server* self = nullptr;
    const auto handler = [&](Stream stream) -> Task<absl::Status> {
      most = std::max(most, self->connections());
      co_return co_await Echo(std::move(stream));
    };
    Server server(ListenLocally(), handler, options);
    self = &server;
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    std::vector<Stream> clients;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(co_await OrReturn(Connect(server.local_address())));
      co_await OrReturn(clients[i].Write("x"));
    }
    for (int i = 0; i < 2; ++i) {
      const std::string text = co_await OrReturn(ReadText(clients[i]));
      EXPECT_EQ(text, "x");
    }
    const absl::StatusOr<std::string> waits =
        co_await Timeout(absl::Seconds(10), ReadText(clients[2]));
    EXPECT_TRUE(absl::IsDeadlineExceeded(waits.status())) << "it is not accepted yet";
    co_await OrReturn(clients[0].Close());
    const std::string text = co_await OrReturn(ReadText(clients[2]));
    EXPECT_EQ(text, "x");
    EXPECT_EQ(most, 2u);
    server.Stop();
    clients.clear();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST(ServerOutsideTest, AnExecutorWithoutAReactorIsAFailedPrecondition) {
  ThreadExecutor executor;
  const absl::Status status = BlockOn(executor, Serve(ListenLocally(), Echo));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("no reactor"));
}

}  // namespace
}  // namespace plait
