// What goes wrong in a Server: its handlers' errors and exceptions, peers that reset, and who is
// told.
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/server.h"
#include "plait/io/net/server_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/core/report.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(AllReactors, ServerTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(ServerTest, AHandlersErrorIsToldAndEndsItsConnectionOnly) {
  const auto body = [&]() -> Task<absl::Status> {
    std::vector<std::string> errors;
    std::vector<SocketAddress> peers;
    ServerOptions options;
    options.on_error = [&](const absl::Status& error, const SocketAddress& peer) {
      errors.push_back(error.ToString());
      peers.push_back(peer);
    };
    const auto handler = [](Stream stream) -> Task<absl::Status> {
      const std::string text = co_await OrReturn(ReadText(stream));
      if (text == "fail") co_return absl::DataLossError("what was asked for");
      co_await OrReturn(stream.Write(text));
      co_return co_await stream.Close();
    };
    Server server(ListenLocally(), handler, options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream client = co_await OrReturn(Connect(server.local_address()));
    const SocketAddress own = *client.local_address();
    co_await OrReturn(client.Write("fail"));
    const std::string end = co_await OrReturn(ReadText(client));
    EXPECT_EQ(end, "");
    co_await YieldUntil([&] { return !errors.empty(); });
    EXPECT_THAT(errors, ElementsAre("DATA_LOSS: what was asked for"));
    EXPECT_THAT(peers, ElementsAre(own));
    const std::string answer = co_await OrReturn(Ask(server.local_address(), "fine"));
    EXPECT_EQ(answer, "fine");
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ServerTest, Line33APeerThatResetsIsTheErrorOfItsHandler) {
  const auto body = [&]() -> Task<absl::Status> {
    std::vector<absl::Status> errors;
    ServerOptions options;
    options.on_error = [&](const absl::Status& error, const SocketAddress&) {
      errors.push_back(error);
    };
    Server server(ListenLocally(), Echo, options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    OwnedFd client = Dial(server.local_address());
    co_await YieldUntil([&] { return server.connections() == 1; });
    CloseWithReset(std::move(client));
    co_await YieldUntil([&] { return server.connections() == 0; });
    EXPECT_EQ(errors.size(), 1u);
    if (!errors.empty()) {
      EXPECT_TRUE(absl::IsUnavailable(errors[0])) << errors[0];
      EXPECT_THAT(errors[0].message(), HasSubstr("ECONNRESET"));
    }
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ServerTest, WithoutAnEarForErrorsTheyAreReported) {
  std::vector<std::string> reports;
  EventLoopOptions loop_options;
  loop_options.hooks.on_report = [&](const Report& report) { reports.push_back(report.message); };
  EventLoop own(GetParam().make(nullptr), loop_options);
  const auto body = [&]() -> Task<absl::Status> {
    const auto handler = [](Stream) -> Task<absl::Status> {
      co_return absl::DataLossError("it is gone");
    };
    Server server(ListenLocally(), handler);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    const Stream client = co_await OrReturn(Connect(server.local_address()));
    co_await YieldUntil([&] { return !reports.empty(); });
    EXPECT_EQ(reports[0],
              absl::StrCat("the handler of a connection from ", client.local_address()->ToString(),
                           " failed: DATA_LOSS: it is gone"));
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = BlockOn(own, body());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(reports.size(), 1u);
}

// Of a burst, which is taken at once where the reactor can do that.
TEST_P(ServerTest, AConnectionThatWasResetBeforeItWasTakenKeepsNobodyFromAccepting) {
  const auto body = [&]() -> Task<absl::Status> {
    ServerOptions options;
    options.on_error = [](const absl::Status& error, const SocketAddress& peer) {
      EXPECT_TRUE(peer.is_ip()) << error;
    };
    Server server(ListenLocally(), Echo, options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    const OwnedFd first = Dial(server.local_address());
    co_await YieldUntil([&] { return server.connections() == 1; });
    for (int i = 0; i < 3; ++i) CloseWithReset(Dial(server.local_address()));
    const OwnedFd last = Dial(server.local_address());
    WriteAll(last.get(), "x");
    co_await YieldUntil([&] { return Drain(last.get()) == "x"; });
    server.AbortClients();
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ServerTest, AHandlerThatFailsWithItsStreamClosedIsNotTakenForAFailureToAccept) {
  for (const bool unix_socket : {false, true}) {
    const auto body = [&]() -> Task<absl::Status> {
      std::vector<SocketAddress> peers;
      ServerOptions options;
      options.on_error = [&](const absl::Status& error, const SocketAddress& peer) {
        EXPECT_EQ(error, absl::DataLossError("it is gone"));
        peers.push_back(peer);
      };
      const auto handler = [](Stream stream) -> Task<absl::Status> {
        co_await OrReturn(stream.Close());
        co_return absl::DataLossError("it is gone");
      };
      const SocketAddress address =
          unix_socket ? Must(SocketAddress::UnixAbstract(absl::StrCat("plait-test-", ::getpid())))
                      : SocketAddress::Loopback(0);
      Server server(Must(Listen(address)), handler, options);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      const OwnedFd client = Dial(server.local_address());
      co_await YieldUntil([&] { return !peers.empty(); });
      EXPECT_EQ(peers[0].family() == SocketAddress::Family::kUnix, unix_socket) << peers[0];
      EXPECT_EQ(peers[0].is_ip(), !unix_socket) << peers[0];
      server.Stop();
      co_return co_await serving;
    };
    const absl::Status status = RunTask(body);
    EXPECT_TRUE(status.ok()) << status;
  }
}

#if defined(__cpp_exceptions)
TEST_P(ServerTest, AHandlerThatThrowsBeforeItGivesATaskEndsItsConnectionOnly) {
  const auto body = [&]() -> Task<absl::Status> {
    std::vector<std::string> errors;
    ServerOptions options;
    options.on_error = [&](const absl::Status& error, const SocketAddress&) {
      errors.push_back(error.ToString());
    };
    bool throws = false;
    const auto handler = [&](Stream stream) -> Task<absl::Status> {
      if (throws) throw std::runtime_error("no task today");
      return Echo(std::move(stream));
    };
    Server server(ListenLocally(), handler, options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream beside = co_await OrReturn(Connect(server.local_address()));
    co_await YieldUntil([&] { return server.connections() == 1; });
    throws = true;
    Stream client = co_await OrReturn(Connect(server.local_address()));
    const std::string end = co_await OrReturn(ReadText(client));
    EXPECT_EQ(end, "");
    co_await YieldUntil([&] { return !errors.empty(); });
    EXPECT_THAT(errors, ElementsAre(HasSubstr("no task today")));
    throws = false;
    co_await OrReturn(beside.Write("still here"));
    const std::string text = co_await OrReturn(ReadText(beside));
    EXPECT_EQ(text, "still here");
    const std::string answer = co_await OrReturn(Ask(server.local_address(), "fine"));
    EXPECT_EQ(answer, "fine");
    co_await OrReturn(beside.Close());
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ServerTest, AnEarForErrorsThatThrowsEndsNothingAndIsReported) {
  std::vector<std::string> reports;
  EventLoopOptions loop_options;
  loop_options.hooks.on_report = [&](const Report& report) { reports.push_back(report.message); };
  EventLoop own(GetParam().make(nullptr), loop_options);
  const auto body = [&]() -> Task<absl::Status> {
    ServerOptions options;
    options.on_error = [](const absl::Status&, const SocketAddress&) {
      throw std::runtime_error("not now");
    };
    const auto handler = [](Stream stream) -> Task<absl::Status> {
      const std::string text = co_await OrReturn(ReadText(stream));
      if (text == "fail") co_return absl::DataLossError("it is gone");
      co_await OrReturn(stream.Write(text));
      co_return co_await stream.Close();
    };
    Server server(ListenLocally(), handler, options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream client = co_await OrReturn(Connect(server.local_address()));
    co_await OrReturn(client.Write("fail"));
    co_await YieldUntil([&] { return !reports.empty(); });
    EXPECT_THAT(reports[0], HasSubstr("DATA_LOSS: it is gone, and on_error threw"));
    EXPECT_THAT(reports[0], HasSubstr("not now"));
    const std::string answer = co_await OrReturn(Ask(server.local_address(), "fine"));
    EXPECT_EQ(answer, "fine");
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = BlockOn(own, body());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(reports.size(), 1u);
}
#endif

}  // namespace
}  // namespace plait
