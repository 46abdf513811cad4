// Traps: a buffer freed while the kernel owns it (guarded buffers; the header and the address are
// in the awaiter); a reference parameter of a lazy task (an address that was a temporary). Line 49
// of the conformance list.
#include "plait/io/net/datagram_socket.h"

#include <errno.h>
#include <sys/socket.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/io/net/datagram_fixture.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

using Family = SocketAddress::Family;

INSTANTIATE_TEST_SUITE_P(AllExecutors, DatagramSocketTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

// --- sending and receiving ---

TEST_P(DatagramSocketTest, ADatagramArrivesWholeWithTheAddressOfItsSenderAndCanBeAnswered) {
  const auto body = [&]() -> Task<void> {
    for (const SocketAddress& local : {SocketAddress::Loopback(0), SocketAddress::LoopbackIpv6(0),
                                       UnixSocket().local_address()}) {
      DatagramSocket server = Bound(local);
      EXPECT_EQ(server.local_address().family(), local.family());
      absl::StatusOr<DatagramSocket> client = DatagramSocket::BindAnywhere(local.family());
      EXPECT_TRUE(client.ok()) << client.status();
      absl::Status sent = co_await SendTo(*client, "question", server.local_address());
      EXPECT_TRUE(sent.ok()) << sent;
      const Arrived question = co_await ReceiveFrom(server);
      EXPECT_EQ(question.text, "question") << question.status;
      EXPECT_FALSE(question.datagram.truncated);
      EXPECT_EQ(question.datagram.full_size, 8u);
      EXPECT_EQ(question.datagram.from.port(), client->local_address().port());
      sent = co_await SendTo(server, "answer", question.datagram.from);
      EXPECT_TRUE(sent.ok()) << sent;
      const Arrived answer = co_await ReceiveFrom(*client);
      EXPECT_EQ(answer.text, "answer") << answer.status;
      EXPECT_EQ(answer.datagram.from, server.local_address());
    }
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, AReceiveWaitsForADatagram) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Udp();
    DatagramSocket client = Udp();
    JoinHandle<Arrived> receiving = Spawn(ReceiveFrom(server));
    for (int i = 0; i < 3; ++i) co_await Yield();
    EXPECT_FALSE(receiving.done());
    // The address is a temporary of the call.
    const absl::Status sent = co_await client.SendTo("late", SocketAddress(server.local_address()));
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived arrived = co_await receiving;
    EXPECT_EQ(arrived.text, "late");
    EXPECT_EQ(arrived.datagram.from, client.local_address());
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, Line49ADatagramThatFindsNoRoomSaysSoAndHurtsNoOther) {
  const auto body = [&]() -> Task<void> {
    for (const bool unix : {false, true}) {
      DatagramSocket server = unix ? UnixSocket() : Udp();
      DatagramSocket client = unix ? UnixSocket() : Udp();
      for (const char* text : {"0123456789", "next"}) {
        const absl::Status sent = co_await SendTo(client, text, server.local_address());
        EXPECT_TRUE(sent.ok()) << sent;
      }
      const Arrived cut = co_await ReceiveFrom(server, /*room=*/4);
      EXPECT_TRUE(cut.datagram.truncated);
      EXPECT_EQ(cut.text, "0123");
      EXPECT_EQ(cut.datagram.full_size, 10u);
      EXPECT_EQ(cut.datagram.from, client.local_address());
      const Arrived whole = co_await ReceiveFrom(server, /*room=*/4);
      EXPECT_FALSE(whole.datagram.truncated);
      EXPECT_EQ(whole.text, "next");
      EXPECT_EQ(whole.datagram.full_size, 4u);
    }
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, AnEmptyDatagramIsADatagram) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Udp();
    DatagramSocket client = Connected(server.local_address());
    absl::Status sent = co_await client.Send("");
    EXPECT_TRUE(sent.ok()) << sent;
    sent = co_await client.Send("more");
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived empty = co_await ReceiveFrom(server);
    EXPECT_TRUE(empty.status.ok()) << empty.status;
    EXPECT_EQ(empty.datagram.size, 0u);
    EXPECT_FALSE(empty.datagram.truncated);
    EXPECT_EQ(empty.datagram.from, client.local_address());
    const Arrived more = co_await ReceiveFrom(server);
    EXPECT_EQ(more.text, "more");
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, TheLongestDatagramArrivesAndALongerOneIsRefusedByItsLength) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Udp();
    DatagramSocket client = Udp();
    const std::string longest = Pattern(65507);
    absl::Status sent = co_await SendTo(client, longest, server.local_address());
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived arrived = co_await ReceiveFrom(server, /*room=*/70'000);
    EXPECT_EQ(arrived.text, longest);
    sent = co_await SendTo(client, Pattern(65508), server.local_address());
    EXPECT_EQ(sent, absl::InvalidArgumentError(absl::StrCat("send 65508 bytes to ",
                                                            server.local_address().ToString(),
                                                            ": Message too long (EMSGSIZE)")));
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, WhoWaitsFirstReceivesFirst) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Udp();
    DatagramSocket client = Connected(server.local_address());
    std::vector<JoinHandle<Arrived>> receivers;
    for (int i = 0; i < 5; ++i) receivers.push_back(Spawn(ReceiveFrom(server), {.eager = true}));
    co_await Yield();
    for (int i = 0; i < 5; ++i) {
      const absl::Status sent = co_await Send(client, absl::StrCat(i));
      EXPECT_TRUE(sent.ok()) << sent;
    }
    for (int i = 0; i < 5; ++i) {
      const Arrived arrived = co_await receivers[i];
      EXPECT_EQ(arrived.text, absl::StrCat(i));
    }
  };
  RunTask(body);
}

// --- connected sockets ---

TEST_P(DatagramSocketTest, AConnectedSocketSendsToItsPeerAndHearsNobodyElse) {
  const auto body = [&]() -> Task<void> {
    for (const bool unix : {false, true}) {
      DatagramSocket server = unix ? UnixSocket() : Udp();
      DatagramSocket stranger = unix ? UnixSocket() : Udp();
      DatagramSocket client = Connected(server.local_address());
      EXPECT_EQ(client.peer_address(), server.local_address());
      EXPECT_EQ(server.peer_address(), SocketAddress());
      EXPECT_NE(client.local_address().ToString(), "unix:") << "it could not be answered";
      absl::Status sent = co_await Send(client, "hello");
      EXPECT_TRUE(sent.ok()) << sent;
      const Arrived arrived = co_await ReceiveFrom(server);
      EXPECT_EQ(arrived.text, "hello");
      EXPECT_EQ(arrived.datagram.from, client.local_address());
      // UDP drops what a stranger sends; a Unix stranger is told.
      sent = co_await SendTo(stranger, "psst", client.local_address());
      EXPECT_EQ(sent.code(), unix ? absl::StatusCode::kPermissionDenied : absl::StatusCode::kOk)
          << sent;
      sent = co_await SendTo(server, "welcome", client.local_address());
      EXPECT_TRUE(sent.ok()) << sent;
      const Arrived answer = co_await Receive(client);
      EXPECT_EQ(answer.text, "welcome");
      EXPECT_EQ(answer.datagram.from, server.local_address());
    }
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, ASocketMaySayWhereItConnectsFrom) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Udp();
    const SocketAddress local = Udp().local_address();  // free again
    DatagramSocket client = Connected(server.local_address(), {.local = local});
    EXPECT_EQ(client.local_address(), local);
    co_return;
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, APairIsConnectedToEachOther) {
  const auto body = [&]() -> Task<void> {
    absl::StatusOr<std::pair<DatagramSocket, DatagramSocket>> pair = DatagramSocket::Pair();
    EXPECT_TRUE(pair.ok()) << pair.status();
    const absl::Status sent = co_await Send(pair->first, "there");
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived arrived = co_await Receive(pair->second);
    EXPECT_EQ(arrived.text, "there");
    EXPECT_EQ(arrived.datagram.from.family(), Family::kUnix);
    EXPECT_EQ(arrived.datagram.from.unix_path(), "");
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, ThatNobodyIsThereIsToldOnceAndTheSocketGoesOn) {
  const auto body = [&]() -> Task<void> {
    std::optional<DatagramSocket> server = Udp();
    const SocketAddress address = server->local_address();
    DatagramSocket client = Connected(address);
    const absl::Status closed = co_await server->Close();
    EXPECT_TRUE(closed.ok()) << closed;
    JoinHandle<Arrived> receiving = Spawn(Receive(client));
    co_await Yield();
    const absl::Status sent = co_await Send(client, "hello?");
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived refused = co_await receiving;
    EXPECT_EQ(refused.status,
              absl::UnavailableError(absl::StrCat("receive from ", address.ToString(),
                                                  ": Connection refused (ECONNREFUSED)")));
    server = Bound(address);
    const absl::Status again = co_await Send(client, "hello!");
    EXPECT_TRUE(again.ok()) << again;
    const Arrived arrived = co_await ReceiveFrom(*server);
    EXPECT_EQ(arrived.text, "hello!");
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, ASendTellsItToo) {
  const auto body = [&]() -> Task<void> {
    const SocketAddress address = Udp().local_address();
    DatagramSocket client = Connected(address);
    absl::Status sent = co_await Send(client, "hello?");
    EXPECT_TRUE(sent.ok()) << sent;
    // Over loopback the answer is there before the send returns.
    sent = co_await Send(client, "hello?");
    EXPECT_EQ(sent, absl::UnavailableError(absl::StrCat("send 6 bytes to ", address.ToString(),
                                                        ": Connection refused (ECONNREFUSED)")));
    const SocketAddress nowhere = *SocketAddress::UnixAbstract("nobody is here");
    EXPECT_EQ(DatagramSocket::Connect(nowhere).status(),
              absl::UnavailableError(
                  "connect to unix:@nobody is here: Connection refused (ECONNREFUSED)"));
    DatagramSocket unix = UnixSocket();
    sent = co_await SendTo(unix, "hello?", nowhere);
    EXPECT_EQ(sent, absl::UnavailableError(
                        "send 6 bytes to unix:@nobody is here: Connection refused (ECONNREFUSED)"));
  };
  RunTask(body);
}

// --- Unix sockets ---

TEST_P(DatagramSocketTest, AUnixPathIsAFileThatStaysAndKeepsOthersAway) {
  // From inside the folder, as its own path is longer than a socket's may be.
  const TestFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  const SocketAddress path = *SocketAddress::UnixPath("socket");
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Bound(path);
    EXPECT_EQ(server.local_address(), path);
    const absl::StatusOr<DatagramSocket> second = DatagramSocket::Bind(path);
    EXPECT_EQ(second.status(),
              absl::FailedPreconditionError(absl::StrCat("bind to ", path.ToString(),
                                                         ": Address already in use (EADDRINUSE)")));
    DatagramSocket client = UnixSocket();
    const absl::Status sent = co_await SendTo(client, "through a file", path);
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived arrived = co_await ReceiveFrom(server);
    EXPECT_EQ(arrived.text, "through a file");
    EXPECT_EQ(arrived.datagram.from.unix_abstract(), client.local_address().unix_abstract());
    const absl::Status closed = co_await server.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
  EXPECT_TRUE(PathExists(folder / "socket"));
  EXPECT_EQ(DatagramSocket::Connect(*SocketAddress::UnixPath("none")).status().code(),
            absl::StatusCode::kNotFound);
  std::filesystem::current_path(before);
}

TEST_P(DatagramSocketTest, AnUnnamedUnixSenderHasAnEmptyPath) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = UnixSocket();
    DatagramSocket unnamed(io::OwnedDescriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    const absl::Status sent = co_await SendTo(unnamed, "guess who", server.local_address());
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived arrived = co_await ReceiveFrom(server);
    EXPECT_EQ(arrived.text, "guess who");
    EXPECT_EQ(arrived.datagram.from.family(), Family::kUnix);
    EXPECT_EQ(arrived.datagram.from.ToString(), "unix:");
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, ASendToAUnixReceiverThatIsFullIsRefusedAndAConnectedOneWaits) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = UnixSocket();
    DatagramSocket stranger = UnixSocket();
    int sent = 0;
    absl::Status status;
    while (status.ok()) {
      status = co_await SendTo(stranger, absl::StrCat(sent), server.local_address());
      if (status.ok()) ++sent;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "EAGAIN")) << status;
    DatagramSocket client = Connected(server.local_address());
    JoinHandle<absl::Status> waiting = Spawn(Send(client, "last"));
    for (int i = 0; i < 3; ++i) co_await Yield();
    EXPECT_FALSE(waiting.done());
    for (int i = 0; i < sent; ++i) {
      const Arrived arrived = co_await ReceiveFrom(server);
      EXPECT_EQ(arrived.text, absl::StrCat(i));
    }
    status = co_await waiting;
    EXPECT_TRUE(status.ok()) << status;
    const Arrived last = co_await ReceiveFrom(server);
    EXPECT_EQ(last.text, "last") << last.status;
  };
  RunTask(body);
}

// Whether it was sent; `went_on` says whether the coroutine did behind the send.
Task<absl::Status> SendToOrReturn(const DatagramSocket& socket, std::string text, SocketAddress to,
                                  bool& went_on) {
  co_await OrReturn(socket.SendTo(text, to));
  went_on = true;
  co_return absl::OkStatus();
}

TEST_P(DatagramSocketTest, OrReturnGoesOnAfterASendAndEndsTheTaskWhereItFailed) {
  const auto body = [&]() -> Task<void> {
    for (const bool unix : {false, true}) {
      DatagramSocket server = unix ? UnixSocket() : Udp();
      DatagramSocket client = unix ? UnixSocket() : Udp();
      for (const std::string text : {"some", ""}) {
        bool went_on = false;
        const absl::Status sent =
            co_await SendToOrReturn(client, text, server.local_address(), went_on);
        EXPECT_TRUE(sent.ok()) << sent;
        EXPECT_TRUE(went_on);
        const Arrived arrived = co_await ReceiveFrom(server);
        EXPECT_EQ(arrived.text, text);
      }
      const absl::Status closed = co_await client.Close();
      EXPECT_TRUE(closed.ok()) << closed;
      bool went_on = false;
      const absl::Status refused =
          co_await SendToOrReturn(client, "late", server.local_address(), went_on);
      EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
      EXPECT_FALSE(went_on);
    }
    DatagramSocket client = UnixSocket();
    bool went_on = false;
    const absl::Status nobody = co_await SendToOrReturn(
        client, "anybody?", *SocketAddress::UnixAbstract("nobody is here"), went_on);
    EXPECT_EQ(nobody.code(), absl::StatusCode::kUnavailable) << nobody;
    EXPECT_FALSE(went_on);
  };
  RunTask(body);
}

}  // namespace
}  // namespace plait
