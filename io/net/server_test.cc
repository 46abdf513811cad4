// Traps: a lambda coroutine that outlives its captures (the handler), a reference parameter of a
// lazy task (what Serve is given may be gone when it is awaited), a cancel that races completion
// (of handlers at the end of the grace), a wake-up lost between check and park (Stop, from other
// threads as well).
#include "plait/io/net/server.h"

#include <unistd.h>

#include <memory>
#include <stdexcept>
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
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/report.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ServerTest : public NetTest {};

INSTANTIATE_TEST_SUITE_P(AllReactors, ServerTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

Task<absl::Status> Echo(Stream stream) {
  for (;;) {
    const std::string text = co_await OrReturn(ReadText(stream));
    if (text.empty()) co_return co_await stream.Close();
    co_await OrReturn(stream.Write(text));
  }
}

// Until its peer says something or goes, or it is cancelled.
Task<absl::Status> Hold(Stream stream) {
  const absl::StatusOr<std::string> text = co_await ReadText(stream);
  co_return text.status();
}

Task<absl::StatusOr<std::string>> Ask(const SocketAddress& address, std::string question) {
  Stream stream = co_await OrReturn(Connect(address));
  co_await OrReturn(stream.Write(question));
  std::string answer = co_await OrReturn(stream.ReadExactly(question.size()));
  co_await OrReturn(stream.Close());
  co_return answer;
}

// --- serving ---

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

// --- the limit ---

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

// --- errors ---

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

// --- the end ---

TEST_P(ServerTest, StopLetsHandlersFinishAndTakesNoMore) {
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), Echo);
    const SocketAddress address = server.local_address();
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream client = co_await OrReturn(Connect(address));
    co_await OrReturn(client.Write("before"));
    const std::string before = co_await OrReturn(ReadText(client));
    EXPECT_EQ(before, "before");
    server.Stop();
    server.Stop();
    co_await OrReturn(Sleep(absl::Seconds(5)));
    const absl::StatusOr<Stream> late = co_await Connect(address);
    EXPECT_TRUE(absl::IsUnavailable(late.status())) << late.status();
    co_await OrReturn(client.Write("after"));
    const std::string after = co_await OrReturn(ReadText(client));
    EXPECT_EQ(after, "after");
    EXPECT_FALSE(serving.done());
    co_await OrReturn(client.Close());
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(clock().elapsed(), absl::Seconds(5)) << "it did not wait for the end of the grace";
}

TEST_P(ServerTest, AfterTheGraceHandlersAreCutShort) {
  const auto body = [&]() -> Task<absl::Status> {
    ServerOptions options;
    options.grace = absl::Seconds(7);
    Server server(ListenLocally(), Hold, options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream one = co_await OrReturn(Connect(server.local_address()));
    Stream two = co_await OrReturn(Connect(server.local_address()));
    co_await YieldUntil([&] { return server.connections() == 2; });
    server.Stop();
    const absl::Status ended = co_await serving;
    const std::string text = co_await OrReturn(ReadText(one));
    EXPECT_EQ(text, "") << "its stream is closed";
    EXPECT_EQ(server.connections(), 0u);
    co_return ended;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(status.message(),
            "serve: 2 of the connections did not end within 7s and were cut short");
  EXPECT_EQ(clock().elapsed(), absl::Seconds(7));
}

TEST_P(ServerTest, ACancelCutsHandlersShortAtOnceUnlessItDrains) {
  for (const bool drains : {false, true}) {
    const absl::Duration before = clock().elapsed();
    const auto body = [&]() -> Task<absl::Status> {
      ServerOptions options;
      options.drain_on_cancel = drains;
      bool cancelled = false;
      const auto handler = [&](Stream stream) -> Task<absl::Status> {
        absl::Status ended = co_await Hold(std::move(stream));
        cancelled = absl::IsCancelled(ended);
        co_return ended;
      };
      Server server(ListenLocally(), handler, options);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      Stream client = co_await OrReturn(Connect(server.local_address()));
      co_await YieldUntil([&] { return server.connections() == 1; });
      serving.Cancel();
      if (drains) {
        co_await OrReturn(Sleep(absl::Seconds(1)));
        EXPECT_FALSE(serving.done());
        co_await OrReturn(client.Write("done"));
      }
      absl::Status ended = co_await serving;
      EXPECT_EQ(cancelled, !drains);
      co_return ended;
    };
    const absl::Status status = RunTask(body);
    EXPECT_EQ(status.code(), drains ? absl::StatusCode::kOk : absl::StatusCode::kCancelled)
        << status;
    EXPECT_EQ(clock().elapsed() - before, absl::Seconds(drains ? 1 : 0));
  }
}

TEST_P(ServerTest, ClosingClientsSendsWhatTheirStreamsHaveAccepted) {
  const auto body = [&]() -> Task<absl::Status> {
    const std::string much(3 << 20, 'm');
    bool cancelled = false;
    const auto handler = [&](Stream stream) -> Task<absl::Status> {
      stream.set_high_water_mark(much.size());
      co_await OrReturn(stream.Write(much));
      const absl::StatusOr<std::string> text = co_await ReadText(stream);
      cancelled = absl::IsCancelled(text.status());
      co_return text.status();
    };
    Server server(ListenLocally(), handler);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream client = co_await OrReturn(Connect(server.local_address()));
    co_await YieldUntil([&] { return server.connections() == 1; });
    for (int i = 0; i < 100; ++i) co_await Yield();
    server.CloseClients();
    std::string received;
    for (;;) {
      const std::string text = co_await OrReturn(ReadText(client, 1 << 16));
      if (text.empty()) break;
      received += text;
    }
    EXPECT_EQ(received.size(), much.size());
    co_await YieldUntil([&] { return server.connections() == 0; });
    EXPECT_TRUE(cancelled);
    // It goes on serving.
    const Stream next = co_await OrReturn(Connect(server.local_address()));
    co_await YieldUntil([&] { return server.connections() == 1; });
    server.Stop();
    server.AbortClients();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ServerTest, ClosingClientsLosesNothingThatWasAcceptedWhateverTheirHandlersDo) {
  // More than the kernel takes at once.
  const std::string much(12 << 20, 'm');
  const std::string more(30 << 20, 'm');
  for (const std::string does : {"write", "write all", "flush", "close", "end"}) {
    const auto body = [&]() -> Task<absl::Status> {
      size_t accepted = 0;
      absl::Status ended;
      bool waits = false;
      bool has_ended = false;
      Event go_on;
      const auto act = [&](Stream& stream) -> Task<absl::Status> {
        waits = true;
        if (does == "write all") {
          stream.set_high_water_mark(0);
          const absl::Status written = co_await stream.Write(more);
          accepted = AcceptedBytes(written).value_or(0);
          co_return written;
        }
        stream.set_high_water_mark(much.size());
        co_await OrReturn(stream.Write(much));
        accepted = much.size();
        if (does == "flush") co_return co_await stream.Flush();
        if (does == "close") co_return co_await stream.Close();
        if (does == "end") {
          co_await OrReturn(go_on.Wait());
          const absl::Status read = (co_await ReadText(stream)).status();
          EXPECT_TRUE(absl::IsCancelled(read)) << read;
          co_return co_await stream.Write("too late");
        }
        const absl::Status written = co_await stream.Write(much);
        accepted += AcceptedBytes(written).value_or(0);
        co_return written;
      };
      const auto handler = [&](Stream stream) -> Task<absl::Status> {
        ended = co_await act(stream);
        has_ended = true;
        co_return ended;
      };
      Server server(ListenLocally(), handler);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      Stream client = co_await OrReturn(Connect(server.local_address()));
      co_await YieldUntil([&] { return waits; });
      for (int i = 0; i < 100; ++i) co_await Yield();
      EXPECT_FALSE(has_ended);
      server.CloseClients();
      for (int i = 0; i < 10; ++i) co_await Yield();
      server.CloseClients();
      go_on.Set();
      const bool at_once = does != "flush" && does != "close";
      if (at_once) co_await YieldUntil([&] { return has_ended; });
      for (int i = 0; i < 100; ++i) co_await Yield();
      if (does == "write all") {
        co_await YieldUntil([&] { return server.connections() == 0; });
      } else {
        EXPECT_EQ(server.connections(), 1u) << does << ": its peer has not got all";
      }
      std::string received;
      for (;;) {
        const std::string text = co_await OrReturn(ReadText(client, 1 << 16));
        if (text.empty()) break;
        received += text;
      }
      EXPECT_EQ(received.size(), accepted) << does;
      co_await YieldUntil([&] { return server.connections() == 0; });
      EXPECT_EQ(ended.code(), at_once ? absl::StatusCode::kCancelled : absl::StatusCode::kOk)
          << does << ": " << ended;
      server.Stop();
      co_return co_await serving;
    };
    const absl::Status status = RunTask(body);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST_P(ServerTest, APeerThatReadsNothingKeepsAConnectionThatIsClosedUntilItIsAborted) {
  // Whether its handler flushes, which goes on, or reads, which the close ends, and so the handler.
  for (const auto& [aborts, flushes] : {std::pair(false, false), std::pair(false, true),
                                        std::pair(true, false), std::pair(true, true)}) {
    const auto body = [&, aborts = aborts, flushes = flushes]() -> Task<absl::Status> {
      const std::string much(20 << 20, 'm');
      const auto handler = [&](Stream stream) -> Task<absl::Status> {
        stream.set_high_water_mark(much.size());
        co_await OrReturn(stream.Write(much));
        if (flushes) co_return co_await stream.Flush();
        co_return co_await Hold(std::move(stream));
      };
      ServerOptions options;
      options.grace = absl::Seconds(7);
      Server server(ListenLocally(), handler, options);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      const Stream client = co_await OrReturn(Connect(server.local_address()));
      co_await YieldUntil([&] { return server.connections() == 1; });
      co_await OrReturn(Sleep(absl::Seconds(1)));
      server.CloseClients();
      server.Stop();
      co_await OrReturn(Sleep(absl::Seconds(1)));
      EXPECT_EQ(server.connections(), 1u);
      if (aborts) server.AbortClients();
      co_return co_await serving;
    };
    const absl::Status status = RunTask(body);
    EXPECT_EQ(status.code(), aborts ? absl::StatusCode::kOk : absl::StatusCode::kDeadlineExceeded)
        << status;
  }
}

TEST_P(ServerTest, AbortingClientsResetsThem) {
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), Hold);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream client = co_await OrReturn(Connect(server.local_address()));
    co_await YieldUntil([&] { return server.connections() == 1; });
    server.AbortClients();
    const absl::StatusOr<std::string> text = co_await ReadText(client);
    EXPECT_TRUE(absl::IsUnavailable(text.status())) << text.status();
    EXPECT_THAT(text.status().message(), HasSubstr("ECONNRESET"));
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(clock().elapsed(), absl::ZeroDuration());
}

TEST_P(ServerTest, AbortingClientsResetsThemAlsoWhereAnotherDescriptorKeepsTheConnection) {
  const auto body = [&]() -> Task<absl::Status> {
    OwnedFd keeps;
    absl::Status ended;
    const auto handler = [&](Stream stream) -> Task<absl::Status> {
      keeps = OwnedFd(::dup(stream.descriptor()));
      ended = co_await Hold(std::move(stream));
      co_return ended;
    };
    Server server(ListenLocally(), handler);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream client = co_await OrReturn(Connect(server.local_address()));
    co_await YieldUntil([&] { return keeps.get() >= 0; });
    for (int i = 0; i < 10; ++i) co_await Yield();
    server.AbortClients();
    const absl::StatusOr<std::string> text = co_await Timeout(absl::Seconds(9), ReadText(client));
    EXPECT_TRUE(absl::IsUnavailable(text.status())) << text.status();
    server.Stop();
    const absl::Status served = co_await serving;
    EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
    co_return served;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ServerTest, ClosingTheListenerIsAStop) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    JoinHandle<absl::Status> serving = Spawn(Serve(listener, Echo));
    const std::string answer = co_await OrReturn(Ask(listener.local_address(), "x"));
    EXPECT_EQ(answer, "x");
    co_await OrReturn(listener.Close());
    co_await OrReturn(serving);
    // One that was closed before is an error.
    co_return co_await Serve(listener, Echo);
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("the listener is closed"));
}

TEST_P(ServerTest, AStopThatCameBeforeEndsItAtOnce) {
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), Echo);
    server.Stop();
    const OwnedFd waits = Dial(server.local_address());
    co_await OrReturn(server.Serve());
    const absl::Status again = co_await server.Serve();
    EXPECT_TRUE(absl::IsFailedPrecondition(again)) << again;
    ServerOptions wrong;
    wrong.grace = absl::Seconds(-1);
    Server other(ListenLocally(), Echo, wrong);
    const absl::Status refused = co_await other.Serve();
    EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ServerTest, AnotherThreadMayStopItAndCloseItsClients) {
  // By the machine's clock: another thread takes its time.
  EventLoop own(GetParam().make(nullptr));
  for (int round = 0; round < Repeats(20); ++round) {
    const auto body = [&]() -> Task<absl::Status> {
      Server server(ListenLocally(), Hold);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      const Stream client = co_await OrReturn(Connect(server.local_address()));
      Thread other([&server, round] {
        if (round % 2 == 0) server.CloseClients();
        server.Stop();
        if (round % 2 == 1) server.AbortClients();
      });
      // One that was accepted behind the request is a client that holds on.
      co_await YieldUntil([&] { return server.connections() == 1 || serving.done(); });
      while (!serving.done()) {
        server.CloseClients();
        co_await Yield();
      }
      other.join();
      co_return co_await serving;
    };
    const absl::Status status = BlockOn(own, body());
    EXPECT_TRUE(status.ok()) << status;
  }
}

// At each point where it can come.
TEST_P(ServerTest, ACancelAtAnyMomentLeavesNothingOpen) {
  const int before = OpenDescriptors();
  for (int turns = 0; turns < 200; turns += 7) {
    const auto body = [&]() -> Task<void> {
      Listener listener = ListenLocally();
      const SocketAddress address = listener.local_address();
      JoinHandle<absl::Status> serving = Spawn(Serve(std::move(listener), Echo));
      co_await Yield();
      const OwnedFd one = Dial(address);
      const OwnedFd two = Dial(address);
      WriteAll(one.get(), "x");
      for (int i = 0; i < turns; ++i) co_await Yield();
      serving.Cancel();
      const absl::Status ended = co_await serving;
      EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
    };
    RunTask(body);
    const absl::Status ran = loop().Run();
    EXPECT_TRUE(ran.ok()) << ran;
    EXPECT_EQ(OpenDescriptors(), before);
  }
}

TEST(ServerOutsideTest, AnExecutorWithoutAReactorIsAFailedPrecondition) {
  ThreadExecutor executor;
  const absl::Status status = BlockOn(executor, Serve(ListenLocally(), Echo));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("no reactor"));
}

}  // namespace
}  // namespace plait
