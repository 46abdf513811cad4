// How a Server ends, and its connections: Stop, the grace, cancels, closing and aborting clients.
// Traps: a cancel that races completion (of handlers at the end of the grace), a wake-up lost
// between check and park (Stop, from other threads as well).
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/server.h"
#include "plait/io/net/server_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

using ::testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(AllReactors, ServerTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

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

TEST_P(ServerTest, ClientsMayStillBeClosedOrAbortedWhenTheirHandlersWereCutShort) {
  for (const auto& [cancels, aborts] : {std::pair(false, false), std::pair(false, true),
                                        std::pair(true, false), std::pair(true, true)}) {
    const auto body = [&, cancels = cancels, aborts = aborts]() -> Task<absl::Status> {
      bool cut_short = false;
      absl::Status ended;
      const auto handler = [&](Stream stream) -> Task<absl::Status> {
        const auto on_stop = [&] { cut_short = true; };
        const StopCallback stopped(CurrentStopToken(), on_stop);
        ended = (co_await Uncancellable(ReadText(stream))).status();
        co_return ended;
      };
      ServerOptions options;
      options.grace = absl::Seconds(7);
      Server server(ListenLocally(), handler, options);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      Stream client = co_await OrReturn(Connect(server.local_address()));
      co_await YieldUntil([&] { return server.connections() == 1; });
      if (cancels) {
        serving.Cancel();
      } else {
        server.Stop();
        co_await OrReturn(Sleep(absl::Seconds(8)));
      }
      co_await YieldUntil([&] { return cut_short; });
      co_await OrReturn(Sleep(absl::Seconds(1)));
      EXPECT_EQ(server.connections(), 1u);
      if (aborts) {
        server.AbortClients();
      } else {
        server.CloseClients();
      }
      co_await OrReturn(Sleep(absl::Seconds(1)));
      EXPECT_TRUE(serving.done()) << "its connection goes on";
      client.Abort();
      const absl::Status served = co_await serving;
      EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
      co_return served;
    };
    const absl::Status status = RunTask(body);
    EXPECT_EQ(status.code(),
              cancels ? absl::StatusCode::kCancelled : absl::StatusCode::kDeadlineExceeded)
        << status;
  }
}

TEST_P(ServerTest, ClientsThatAreClosedAfterTheEndOfTheGraceGetWhatWasAccepted) {
  const std::string much(12 << 20, 'm');
  const auto body = [&]() -> Task<absl::Status> {
    absl::Status flushed = absl::UnknownError("never");
    const auto handler = [&](Stream stream) -> Task<absl::Status> {
      stream.set_high_water_mark(much.size());
      co_await OrReturn(stream.Write(much));
      flushed = co_await Uncancellable(stream.Flush());
      co_return flushed;
    };
    ServerOptions options;
    options.grace = absl::Seconds(7);
    Server server(ListenLocally(), handler, options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    Stream client = co_await OrReturn(Connect(server.local_address()));
    co_await YieldUntil([&] { return server.connections() == 1; });
    server.Stop();
    co_await OrReturn(Sleep(absl::Seconds(8)));
    server.CloseClients();
    co_await OrReturn(Sleep(absl::Seconds(1)));
    EXPECT_FALSE(serving.done()) << "its peer has not got all";
    const std::string received = co_await OrReturn(client.ReadAll(much.size()));
    EXPECT_EQ(received.size(), much.size());
    const absl::Status served = co_await serving;
    EXPECT_TRUE(flushed.ok()) << flushed;
    co_return served;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
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

// Where it waits for a place, and not for a connection.
TEST_P(ServerTest, ClosingTheListenerIsAStopAtTheLimitToo) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    ServerOptions options;
    options.max_connections = 1;
    JoinHandle<absl::Status> serving = Spawn(Serve(listener, Echo, options));
    Stream client = co_await OrReturn(Connect(listener.local_address()));
    co_await OrReturn(client.Write("x"));
    const std::string answer = co_await OrReturn(client.ReadExactly(1));
    EXPECT_EQ(answer, "x");
    co_await OrReturn(listener.Close());
    co_await OrReturn(client.Close());
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// And no place frees meanwhile.
TEST_P(ServerTest, ClosingTheListenerAtTheLimitIsAStopAtOnce) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    ServerOptions options;
    options.max_connections = 1;
    options.grace = absl::Seconds(1);
    JoinHandle<absl::Status> serving = Spawn(Serve(listener, Echo, options));
    Stream client = co_await OrReturn(Connect(listener.local_address()));
    co_await OrReturn(client.Write("x"));
    const std::string answer = co_await OrReturn(client.ReadExactly(1));
    EXPECT_EQ(answer, "x");
    co_await OrReturn(listener.Close());
    // To the end of the grace, which begins with the stop.
    const absl::StatusOr<std::string> end = co_await Timeout(absl::Hours(1), ReadText(client));
    EXPECT_TRUE(end.ok() && end->empty()) << end.status();
    client.Abort();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(clock().elapsed(), absl::Seconds(1));
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

// A loop with a thread of its own.
class LoopElsewhere {
 public:
  explicit LoopElsewhere(const ReactorFactory& reactor) : loop_(reactor.make(nullptr)) {
    thread_ = StartThread("elsewhere", [this] { EXPECT_TRUE(loop_.RunForever().ok()); });
  }
  LoopElsewhere(const LoopElsewhere&) = delete;
  LoopElsewhere& operator=(const LoopElsewhere&) = delete;
  ~LoopElsewhere() {
    loop_.Stop();
    thread_.join();
  }

  EventLoop& loop() { return loop_; }

 private:
  EventLoop loop_;
  Thread thread_;
};

// Their numbers are known to that one's reactor, and it has what waits for them.
TEST_P(ServerTest, ClientsWhoseStreamsAnotherExecutorUsesAreClosedAndAbortedThere) {
  const int before = OpenSockets();
  const std::string much(12 << 20, 'm');
  for (const std::string does : {"close", "close with much to send", "abort"}) {
    SCOPED_TRACE(does);
    // By the machine's clock, as the other thread takes its time.
    EventLoop own(GetParam().make(nullptr));
    LoopElsewhere elsewhere(GetParam());
    internal::Atomic<bool> is_there{false};
    absl::Status ended;
    const auto use = [&](Stream stream) -> Task<absl::Status> {
      co_await OrReturn(stream.ReadExactly(1));
      std::optional<JoinHandle<absl::Status>> writing;
      const auto writes_more = [&]() -> Task<absl::Status> {
        co_return co_await stream.Write(much);
      };
      if (does == "close with much to send") {
        stream.set_high_water_mark(much.size());
        co_await OrReturn(stream.Write(much));
        EXPECT_GT(stream.unsent(), 0u) << "this says nothing";
        writing = Spawn(writes_more());  // which finds no room
        co_await Yield();
      }
      is_there.store(true);
      const auto second = co_await Timeout(absl::Seconds(20), stream.ReadExactly(1));
      if (writing.has_value()) {
        const absl::Status wrote = co_await *writing;
        EXPECT_TRUE(absl::IsCancelled(wrote)) << wrote;
      }
      // The next one with that number is not taken for it.
      FdPair pair = MakeSocketPair();
      Stream other(io::OwnedDescriptor(pair.first.Release()));
      WriteAll(pair.second.get(), "x");
      co_await OrReturn(other.ReadExactly(1));
      co_await OrReturn(other.Close());
      co_return second.status();
    };
    const auto handler = [&](Stream stream) -> Task<absl::Status> {
      ended = co_await On(elsewhere.loop(), use(std::move(stream)));
      co_return ended;
    };
    const auto body = [&]() -> Task<absl::Status> {
      Server server(ListenLocally(), handler);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      Stream client = co_await OrReturn(Connect(server.local_address()));
      co_await OrReturn(client.Write("x"));
      co_await YieldUntil([&] { return is_there.load(); });
      if (does == "abort") {
        server.AbortClients();
      } else {
        server.CloseClients();
      }
      const absl::StatusOr<std::string> received = co_await client.ReadAll(2 * much.size());
      if (does == "abort") {
        EXPECT_TRUE(absl::IsUnavailable(received.status())) << received.status();
      } else if (received.ok()) {
        EXPECT_EQ(received->size(), does == "close" ? 0 : much.size());
      } else {
        ADD_FAILURE() << received.status();
      }
      co_await YieldUntil([&] { return server.connections() == 0; });
      server.Stop();
      co_return co_await serving;
    };
    const absl::Status status = BlockOn(own, body());
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
  }
  EXPECT_EQ(OpenSockets(), before);
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

}  // namespace
}  // namespace plait
