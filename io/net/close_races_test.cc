// A close against operations of every kind that are about to complete, on every executor that waits
// for I/O: of what an operation is on, and of what is at its other end. Each comes to one end,
// which is a cancel or its true outcome; nothing that arrived is lost or told twice, and nothing
// hits who has the descriptor's number next. Cancels are in cancel_races_test.cc.
//
// Traps: a cancel that races the completion, a buffer freed while the kernel owns it, a wake-up
// lost between check and park.
#include <fcntl.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/file/file.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/net_races_fixture.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/send_file.h"
#include "plait/io/net/server.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/races.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

class CloseRaces : public NetRaces {};

INSTANTIATE_TEST_SUITE_P(AllExecutors, CloseRaces, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

TEST_P(CloseRaces, ClosesOfStreamsListenersAndDatagramSockets) {
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(500); i < races; ++i) {
      FdPair ends = MakeSocketPair();
      Stream stream = Own(ends.first);
      Listener listener = *Listen(NewAddress());
      auto datagrams = *DatagramSocket::Pair();
      // Eager: once they have begun they need what they are of no more.
      JoinHandle<Text> reading = Spawn(Read(stream, 8), {.eager = true});
      JoinHandle<absl::StatusOr<Stream>> accepting = Spawn(listener.Accept(), {.eager = true});
      JoinHandle<Text> receiving = Spawn(Receive(datagrams.first), {.eager = true});
      if (jitter_(2) != 0) WriteAll(ends.second.get(), "x");
      if (jitter_(2) != 0) {
        const absl::Status sent = co_await datagrams.second.Send("x");
        EXPECT_TRUE(sent.ok()) << sent;
      }
      if (jitter_(2) != 0) {
        const absl::StatusOr<Stream> client = co_await Connect(listener.local_address());
        EXPECT_TRUE(client.ok()) << client.status();
      }
      co_await LetSomeTimePass();
      for (const absl::Status& closed :
           {co_await stream.Close(), co_await listener.Close(), co_await datagrams.first.Close(),
            co_await datagrams.second.Close()}) {
        EXPECT_TRUE(closed.ok()) << closed;
      }
      const Text read = co_await reading;
      EXPECT_TRUE(read.ok() ? *read == "x" : absl::IsCancelled(read.status())) << read.status();
      const absl::StatusOr<Stream> accepted = co_await accepting;
      EXPECT_TRUE(accepted.ok() || absl::IsCancelled(accepted.status())) << accepted.status();
      const Text received = co_await receiving;
      EXPECT_TRUE(received.ok() ? *received == "x" : absl::IsCancelled(received.status()))
          << received.status();
    }
  };
  RunTask(body);
}

Task<void> AskOnce(SocketAddress address) {
  absl::StatusOr<Stream> stream = co_await Connect(address);
  if (!stream.ok()) co_return;  // it has gone
  const absl::Status written = co_await stream->Write("x");
  const Text answer = co_await stream->Read(1);
  EXPECT_TRUE(!answer.ok() || !written.ok() || answer->empty() || *answer == "x");
}

Task<absl::Status> AnswerOnce(Stream stream) {
  const std::string question = co_await OrReturn(stream.Read(1));
  co_await OrReturn(stream.Write(question));
  co_return co_await stream.Close();
}

// Where the reactor has multishots, they come by one.
TEST_P(CloseRaces, AServerThatStopsOrIsCancelledWhileClientsCome) {
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(100); i < races; ++i) {
      const SocketAddress address = NewAddress();
      ServerOptions options;
      options.on_error = [](const absl::Status&, const SocketAddress&) {};
      // Its listener goes with it where it was cancelled before it had begun.
      std::optional<Server> server(std::in_place, *Listen(address), AnswerOnce, options);
      JoinHandle<absl::Status> serving = Spawn(server->Serve());
      JoinHandle<void> clients[] = {Spawn(AskOnce(address)), Spawn(AskOnce(address)),
                                    Spawn(AskOnce(address))};
      for (unsigned pauses = jitter_(6); pauses > 0; --pauses) co_await LetSomeTimePass();
      const bool cancels = jitter_(2) != 0;
      if (cancels) {
        serving.Cancel();
      } else {
        server->Stop();
      }
      const absl::Status served = co_await serving;
      EXPECT_TRUE(served.ok() || (cancels && absl::IsCancelled(served))) << served;
      EXPECT_EQ(server->connections(), 0u);
      server.reset();
      for (JoinHandle<void>& client : clients) co_await client;
    }
  };
  RunTask(body);
}

// --- connections that are about to be made ---

Task<absl::Status> ConnectOnce(int fd, const TcpListener& to) {
  co_return co_await io::Connect(fd, to.name(), sizeof(to.address));
}

// The next socket has the number of the one before, mostly.
TEST_P(CloseRaces, ClosesOfTheSocketAgainstItsConnect) {
  const TcpListener open = MakeTcpListener();
  ASSERT_EQ(::fcntl(open.fd.get(), F_SETFL, O_NONBLOCK), 0);
  const FullListener full = MakeFullListener();
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(300); i < races; ++i) {
      // One is there at once, the other would never be.
      const bool hangs = jitter_(2) != 0;
      const int fd = MakeTcpSocket().Release();
      JoinHandle<absl::Status> connecting =
          Spawn(ConnectOnce(fd, hangs ? full.listener : open), {.eager = true});
      co_await LetSomeTimePass();
      if (jitter_(4) == 0) connecting.Cancel();
      const absl::Status closed = co_await io::Close(fd);
      EXPECT_TRUE(closed.ok()) << closed;
      const absl::Status connected = co_await connecting;
      EXPECT_TRUE(absl::IsCancelled(connected) || (connected.ok() && !hangs)) << connected;
      while (OwnedFd(::accept4(open.fd.get(), nullptr, nullptr, SOCK_CLOEXEC)).get() >= 0) {
      }
    }
  };
  RunTask(body);
}

TEST_P(CloseRaces, CancelsAndTimeoutsOfAConnectThatHangs) {
  const FullListener full = MakeFullListener();
  const SocketAddress address =
      *SocketAddress::FromSystem(full.listener.name(), sizeof(sockaddr_in));
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(200); i < races; ++i) {
      JoinHandle<absl::StatusOr<Stream>> connecting = Spawn(Connect(address));
      JoinHandle<absl::StatusOr<Stream>> timed =
          Spawn(Timeout(absl::Nanoseconds(jitter_(60'000)), Connect(address)));
      co_await LetSomeTimePass();
      connecting.Cancel();
      const absl::StatusOr<Stream> cancelled = co_await connecting;
      EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
      const absl::StatusOr<Stream> late = co_await timed;
      EXPECT_TRUE(absl::IsDeadlineExceeded(late.status())) << late.status();
    }
  };
  RunTask(body);
}

TEST_P(CloseRaces, ClosesOfAListenerAgainstWhoConnects) {
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(200); i < races; ++i) {
      Listener listener = *Listen(SocketAddress::Loopback(0));
      const SocketAddress address = listener.local_address();
      JoinHandle<absl::StatusOr<Stream>> connecting[] = {Spawn(Connect(address)),
                                                         Spawn(Connect(address))};
      JoinHandle<absl::StatusOr<Stream>> accepting = Spawn(listener.Accept(), {.eager = true});
      co_await LetSomeTimePass();
      const absl::Status closed = co_await listener.Close();
      EXPECT_TRUE(closed.ok()) << closed;
      const absl::StatusOr<Stream> accepted = co_await accepting;
      EXPECT_TRUE(accepted.ok() || absl::IsCancelled(accepted.status())) << accepted.status();
      for (JoinHandle<absl::StatusOr<Stream>>& each : connecting) {
        const absl::StatusOr<Stream> connected = co_await each;
        EXPECT_TRUE(connected.ok() || absl::IsUnavailable(connected.status()))
            << connected.status();
      }
    }
  };
  RunTask(body);
}

// --- files that are sent ---

// A socket of either kind, or a pipe, to which bytes are copied.
FdPair MakeWay(unsigned kind) {
  if (kind == 0) return MakeSocketPair();
  if (kind == 1) return MakeTcpPair();
  FdPair pipe = MakePipe();
  return {.first = std::move(pipe.second), .second = std::move(pipe.first)};
}

TEST_P(CloseRaces, ClosesAbortsAndDropsOfAStreamAgainstAFileThatIsSent) {
  const TestFolder folder;
  constexpr uint64_t kSize = 200'000;
  const std::string path = folder.Write("file", BytesAt(0, kSize));
  const auto body = [&]() -> Task<void> {
    File file = *co_await OpenFile(path);
    for (int i = 0, races = Races(200); i < races; ++i) {
      const unsigned kind = jitter_(3);
      // There Close is a second writer beside the one that copies: either may be refused.
      const bool copies = kind == 2;
      FdPair way = MakeWay(kind);
      std::optional<Stream> sender = Own(way.first);
      Stream receiver = Own(way.second);
      JoinHandle<uint64_t> reading = Spawn(ReadToTheEnd(receiver));
      const bool eager = jitter_(2) != 0;
      JoinHandle<absl::StatusOr<int64_t>> sending =
          Spawn(SendFile(*sender, file), {.eager = eager});
      for (unsigned pauses = jitter_(4); pauses > 0; --pauses) co_await LetSomeTimePass();
      if (jitter_(4) == 0) sending.Cancel();
      const unsigned how = jitter_(3);
      bool all_comes = false;
      if (how == 0) {
        const absl::Status closed = co_await sender->Close();
        EXPECT_TRUE(closed.ok() || (copies && absl::IsFailedPrecondition(closed))) << closed;
        all_comes = closed.ok();
      } else if (how == 1) {
        sender->Abort();
      } else {
        sender.reset();
      }
      const absl::StatusOr<int64_t> sent = co_await sending;
      // One that had not begun found it closed.
      EXPECT_TRUE(sent.ok() || absl::IsCancelled(sent.status()) ||
                  ((!eager || (copies && how == 0)) && absl::IsFailedPrecondition(sent.status())))
          << sent.status();
      const uint64_t received = co_await reading;
      const uint64_t accepted = sent.ok() ? kSize : AcceptedBytes(sent.status()).value_or(0);
      EXPECT_LE(received, accepted);
      if (all_comes) {
        EXPECT_EQ(received, accepted) << sent.status();
      }
      const absl::Status closed = co_await receiver.Close();
      EXPECT_TRUE(closed.ok() || how != 0) << closed;
    }
    const absl::Status closed = co_await file.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

// The receiver goes: the kernel says so in the middle, or at the end.
TEST_P(CloseRaces, AnEndOfTheReceiverAgainstAFileThatIsSent) {
  const TestFolder folder;
  constexpr uint64_t kSize = 200'000;
  const std::string path = folder.Write("file", BytesAt(0, kSize));
  const auto body = [&]() -> Task<void> {
    File file = *co_await OpenFile(path);
    for (int i = 0, races = Races(200); i < races; ++i) {
      FdPair way = MakeWay(jitter_(3));
      Stream sender = Own(way.first);
      Stream receiver = Own(way.second);
      JoinHandle<absl::StatusOr<int64_t>> sending = Spawn(SendFile(sender, file));
      if (jitter_(2) != 0) {
        const Text some = co_await Read(receiver, 4096);
        EXPECT_TRUE(some.ok() && *some == BytesAt(0, some->size())) << some.status();
      }
      co_await LetSomeTimePass();
      receiver.Abort();
      const absl::StatusOr<int64_t> sent = co_await sending;
      if (sent.ok()) {
        EXPECT_EQ(*sent, int64_t{kSize});
      } else {
        EXPECT_FALSE(absl::IsCancelled(sent.status())) << sent.status();
        EXPECT_LE(AcceptedBytes(sent.status()).value_or(kSize + 1), kSize) << sent.status();
      }
      sender.Abort();
    }
    const absl::Status closed = co_await file.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

}  // namespace
}  // namespace plait
