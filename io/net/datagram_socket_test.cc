// Traps: a buffer freed while the kernel owns it (guarded buffers; the header and the address are
// in the awaiter); a cancel that races completion; a reference parameter of a lazy task (an address
// that was a temporary). Line 49 of the conformance list.
#include "plait/io/net/datagram_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {
namespace {

using Family = SocketAddress::Family;
using sys::FaultInjection;

DatagramSocket Bound(const SocketAddress& local, const DatagramOptions& options = {}) {
  absl::StatusOr<DatagramSocket> socket = DatagramSocket::Bind(local, options);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return socket.ok() ? *std::move(socket) : DatagramSocket();
}

DatagramSocket Connected(const SocketAddress& peer, const DatagramOptions& options = {}) {
  absl::StatusOr<DatagramSocket> socket = DatagramSocket::Connect(peer, options);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return socket.ok() ? *std::move(socket) : DatagramSocket();
}

DatagramSocket Udp() { return Bound(SocketAddress::Loopback(0)); }
DatagramSocket UnixSocket() {
  absl::StatusOr<DatagramSocket> socket = DatagramSocket::BindAnywhere(Family::kUnix);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return *std::move(socket);
}

// What arrived, its bytes on pages that are gone once it was received.
struct Arrived {
  absl::Status status;
  ReceivedDatagram datagram;
  std::string text;
};

Task<Arrived> ReceiveFrom(const DatagramSocket& socket, size_t room = 100) {
  const GuardedBuffer buffer(room);
  const absl::StatusOr<ReceivedDatagram> got = co_await socket.ReceiveFrom(buffer.span());
  if (!got.ok()) co_return Arrived{.status = got.status(), .datagram = {}, .text = ""};
  co_return Arrived{
      .status = absl::OkStatus(), .datagram = *got, .text = std::string(buffer.text(got->size))};
}

Task<Arrived> Receive(const DatagramSocket& socket, size_t room = 100) {
  const GuardedBuffer buffer(room);
  const absl::StatusOr<ReceivedDatagram> got = co_await socket.Receive(buffer.span());
  if (!got.ok()) co_return Arrived{.status = got.status(), .datagram = {}, .text = ""};
  co_return Arrived{
      .status = absl::OkStatus(), .datagram = *got, .text = std::string(buffer.text(got->size))};
}

Task<absl::Status> SendTo(const DatagramSocket& socket, std::string text, SocketAddress to) {
  const GuardedBuffer buffer(text);
  co_return co_await socket.SendTo(buffer.text(buffer.size()), to);
}

Task<absl::Status> Send(const DatagramSocket& socket, std::string text) {
  const GuardedBuffer buffer(text);
  co_return co_await socket.Send(buffer.text(buffer.size()));
}

class DatagramSocketTest : public IoTest {};

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

// --- cancellation and closing ---

TEST_P(DatagramSocketTest, ACancelThatRacesADatagramLosesNone) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Udp();
    DatagramSocket client = Connected(server.local_address());
    for (int i = 0; i < Repeats(200); ++i) {
      JoinHandle<Arrived> receiving = Spawn(ReceiveFrom(server));
      if (i % 3 != 0) co_await Yield();
      const absl::Status sent = co_await Send(client, absl::StrCat(i));
      EXPECT_TRUE(sent.ok()) << sent;
      receiving.Cancel();
      Arrived arrived = co_await receiving;
      if (!arrived.status.ok()) {
        EXPECT_TRUE(absl::IsCancelled(arrived.status)) << arrived.status;
        EXPECT_TRUE(absl::StartsWith(arrived.status.message(), "receive at 127.0.0.1:"));
        arrived = co_await ReceiveFrom(server);
      }
      EXPECT_EQ(arrived.text, absl::StrCat(i));
    }
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, ASendInACancelledTaskSendsNothing) {
  const auto body = [&]() -> Task<void> {
    for (const bool unix : {false, true}) {
      DatagramSocket server = unix ? UnixSocket() : Udp();
      DatagramSocket client = unix ? UnixSocket() : Udp();
      absl::Status late;
      const auto send_late = [&]() -> Task<void> {
        const absl::Status slept = co_await Sleep(absl::InfiniteDuration());
        EXPECT_TRUE(absl::IsCancelled(slept)) << slept;
        late = co_await SendTo(client, "too late", server.local_address());
      };
      JoinHandle<void> sending = Spawn(send_late());
      co_await Yield();
      sending.Cancel();
      co_await sending;
      EXPECT_TRUE(absl::IsCancelled(late)) << late;
      const absl::Status sent = co_await SendTo(client, "in time", server.local_address());
      EXPECT_TRUE(sent.ok()) << sent;
      const Arrived arrived = co_await ReceiveFrom(server);
      EXPECT_EQ(arrived.text, "in time");
    }
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, CloseEndsWhatIsPendingAndNothingGoesOnAfterIt) {
  executor();  // it has descriptors, too
  const int before = OpenDescriptors();
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Udp();
    const std::string local = server.local_address().ToString();
    std::vector<JoinHandle<Arrived>> receivers;
    for (int i = 0; i < 3; ++i) receivers.push_back(Spawn(ReceiveFrom(server), {.eager = true}));
    co_await Yield();
    absl::Status closed = co_await server.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    for (JoinHandle<Arrived>& receiver : receivers) {
      const Arrived arrived = co_await receiver;
      EXPECT_TRUE(absl::IsCancelled(arrived.status)) << arrived.status;
    }
    EXPECT_FALSE(server.is_open());
    closed = co_await server.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    const Arrived none = co_await ReceiveFrom(server);
    EXPECT_EQ(none.status, absl::FailedPreconditionError(
                               absl::StrCat("receive at ", local, ": the socket is closed")));
    const absl::Status sent = co_await SendTo(server, "x", SocketAddress::Loopback(9));
    EXPECT_EQ(sent,
              absl::FailedPreconditionError("send 1 bytes to 127.0.0.1:9: the socket is closed"));
    EXPECT_EQ(server.SetHops(3), absl::FailedPreconditionError(absl::StrCat(
                                     "set the hops of ", local, ": the socket is closed")));
  };
  RunTask(body);
  // Fewer, where a thread that started had a file open for a moment.
  EXPECT_LE(OpenDescriptors(), before);
}

// --- errors ---

TEST_P(DatagramSocketTest, WhatCannotBeBoundOrConnectedSaysWhy) {
  DatagramSocket taken = Udp();
  const std::string address = taken.local_address().ToString();
  EXPECT_EQ(DatagramSocket::Bind(taken.local_address()).status(),
            absl::FailedPreconditionError(
                absl::StrCat("bind to ", address, ": Address already in use (EADDRINUSE)")));
  EXPECT_EQ(DatagramSocket::Connect(SocketAddress::Loopback(9), {.local = taken.local_address()})
                .status(),
            absl::FailedPreconditionError(absl::StrCat("connect to 127.0.0.1:9: bind to ", address,
                                                       ": Address already in use (EADDRINUSE)")));
  const SocketAddress elsewhere = SocketAddress::Ipv4({192, 0, 2, 1}, 0);
  EXPECT_TRUE(absl::StrContains(DatagramSocket::Bind(elsewhere).status().message(),
                                "bind to 192.0.2.1:0: Cannot assign requested address"));
  EXPECT_EQ(DatagramSocket::Bind(SocketAddress()).status(),
            absl::InvalidArgumentError("bind to (none): this is no address"));
  EXPECT_EQ(DatagramSocket::Connect(SocketAddress()).status(),
            absl::InvalidArgumentError("connect to (none): this is no address"));
  const int before = OpenDescriptors();
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  for (const FaultInjection::Call call :
       {FaultInjection::kSocket, FaultInjection::kBind, FaultInjection::kSetSocketOption}) {
    faults.FailNext(call, ENOBUFS);
    EXPECT_EQ(
        DatagramSocket::Bind(SocketAddress::Loopback(0), {.reuse_address = true}).status(),
        absl::ResourceExhaustedError("bind to 127.0.0.1:0: No buffer space available (ENOBUFS)"));
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(DatagramSocketTest, WhatCannotBeSentOrReceivedSaysWhyAndHowMuchOfWhat) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket socket = Udp();
    absl::Status sent = co_await Send(socket, "where to?");
    EXPECT_EQ(sent, absl::InvalidArgumentError(
                        "send 9 bytes to (none): Destination address required (EDESTADDRREQ)"));
    DatagramSocket file(io::OwnedDescriptor(MakeFile("no socket").Release()));
    const Arrived arrived = co_await ReceiveFrom(file);
    EXPECT_EQ(arrived.status.code(), absl::StatusCode::kInvalidArgument) << arrived.status;
    EXPECT_TRUE(absl::StrContains(arrived.status.message(), "ENOTSOCK")) << arrived.status;
  };
  RunTask(body);
}

TEST(DatagramSocketWithoutReactorTest, AnExecutorWithoutOneIsAFailedPrecondition) {
  ThreadExecutor executor;
  DatagramSocket socket = Udp();
  const Arrived arrived = BlockOn(executor, ReceiveFrom(socket));
  EXPECT_EQ(arrived.status, absl::FailedPreconditionError(
                                absl::StrCat("receive at ", socket.local_address().ToString(),
                                             ": this executor has no reactor")));
}

// --- options ---

TEST_P(DatagramSocketTest, BroadcastsAreRefusedUntilTheyAreAllowed) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Bound(SocketAddress::Any(0));
    const SocketAddress everybody =
        SocketAddress::Ipv4({127, 255, 255, 255}, server.local_address().port());
    DatagramSocket client = Udp();
    absl::Status sent = co_await SendTo(client, "all", everybody);
    EXPECT_EQ(sent.code(), absl::StatusCode::kPermissionDenied) << sent;
    const absl::Status allowed = client.SetBroadcast(true);
    EXPECT_TRUE(allowed.ok()) << allowed;
    sent = co_await SendTo(client, "all", everybody);
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived arrived = co_await ReceiveFrom(server);
    EXPECT_EQ(arrived.text, "all");
    DatagramSocket from_the_start = Bound(SocketAddress::Loopback(0), {.broadcast = true});
    sent = co_await SendTo(from_the_start, "all again", everybody);
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived again = co_await ReceiveFrom(server);
    EXPECT_EQ(again.text, "all again");
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, EveryMemberOfAGroupGetsWhatIsSentToItUntilItLeaves) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket first = Bound(SocketAddress::Any(0), {.reuse_address = true});
    const uint16_t port = first.local_address().port();
    DatagramSocket second = Bound(SocketAddress::Any(port), {.reuse_address = true});
    const SocketAddress group = SocketAddress::Ipv4({239, 255, 77, 77}, port);
    for (DatagramSocket* member : {&first, &second}) {
      const absl::Status joined = member->JoinGroup(group, "lo");
      EXPECT_TRUE(joined.ok()) << joined;
    }
    DatagramSocket client = Bound(SocketAddress::Any(0));
    absl::Status status = client.SetGroupInterface("lo");
    EXPECT_TRUE(status.ok()) << status;
    status = co_await SendTo(client, "members", group);
    EXPECT_TRUE(status.ok()) << status;
    for (DatagramSocket* member : {&first, &second}) {
      const Arrived arrived = co_await ReceiveFrom(*member);
      EXPECT_EQ(arrived.text, "members") << arrived.status;
    }
    status = second.LeaveGroup(group, "lo");
    EXPECT_TRUE(status.ok()) << status;
    status = co_await SendTo(client, "fewer", group);
    EXPECT_TRUE(status.ok()) << status;
    const Arrived arrived = co_await ReceiveFrom(first);
    EXPECT_EQ(arrived.text, "fewer");
    // `second` got nothing of it: the next that comes is this one.
    status = co_await SendTo(client, "to you alone", SocketAddress::Loopback(port));
    EXPECT_TRUE(status.ok()) << status;
    const Arrived alone = co_await ReceiveFrom(second);
    EXPECT_EQ(alone.text, "to you alone");
  };
  RunTask(body);
}

// Where there is no route for groups of IPv6, as over loopback, nothing can be sent to them.
TEST_P(DatagramSocketTest, GroupsAreJoinedAndLeftOnceInEitherFamily) {
  std::array<uint8_t, 16> bytes{0xff, 0x01};
  bytes[15] = 0x77;
  const SocketAddress groups[] = {SocketAddress::Ipv4({239, 255, 77, 77}, 0),
                                  SocketAddress::Ipv6(bytes, 0)};
  for (const SocketAddress& group : groups) {
    DatagramSocket socket =
        Bound(group.family() == Family::kIpv4 ? SocketAddress::Any(0) : SocketAddress::AnyIpv6(0));
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(socket.LeaveGroup(group, "lo").code(), absl::StatusCode::kNotFound);
      const absl::Status joined = socket.JoinGroup(group, "lo");
      EXPECT_TRUE(joined.ok()) << joined;
      EXPECT_EQ(socket.JoinGroup(group, "lo").code(), absl::StatusCode::kFailedPrecondition);
      const absl::Status left = socket.LeaveGroup(group, "lo");
      EXPECT_TRUE(left.ok()) << left;
    }
    const absl::Status status = socket.SetGroupInterface("lo");
    EXPECT_TRUE(status.ok()) << status;
  }
}

int OptionOf(const DatagramSocket& socket, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(::getsockopt(socket.descriptor(), level, name, &value, &size), 0);
  return value;
}

TEST_P(DatagramSocketTest, OptionsReachTheSystem) {
  DatagramSocket v4 = Bound(SocketAddress::Loopback(0), {.reuse_port = true});
  DatagramSocket v6 = Bound(SocketAddress::LoopbackIpv6(0), {.ipv6_only = true});
  EXPECT_EQ(OptionOf(v4, SOL_SOCKET, SO_REUSEPORT), 1);
  EXPECT_EQ(OptionOf(v6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  EXPECT_EQ(OptionOf(Bound(SocketAddress::AnyIpv6(0)), IPPROTO_IPV6, IPV6_V6ONLY), 0);
  for (const absl::Status& status :
       {v4.SetHops(7), v6.SetHops(8), v4.SetGroupHops(9), v6.SetGroupHops(10),
        v4.SetGroupLoopback(false), v6.SetGroupLoopback(false), v4.SetReceiveBuffer(9000),
        v4.SetSendBuffer(10'000)}) {
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(OptionOf(v4, IPPROTO_IP, IP_TTL), 7);
  EXPECT_EQ(OptionOf(v6, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 8);
  EXPECT_EQ(OptionOf(v4, IPPROTO_IP, IP_MULTICAST_TTL), 9);
  EXPECT_EQ(OptionOf(v6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 10);
  EXPECT_EQ(OptionOf(v4, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
  EXPECT_EQ(OptionOf(v6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 0);
  EXPECT_EQ(OptionOf(v4, SOL_SOCKET, SO_RCVBUF), 18'000) << "Linux doubles it";
  EXPECT_EQ(OptionOf(v4, SOL_SOCKET, SO_SNDBUF), 20'000);
}

TEST_P(DatagramSocketTest, OptionsThatCannotBeSaySo) {
  DatagramSocket v4 = Udp();
  const std::string local = v4.local_address().ToString();
  EXPECT_EQ(v4.SetHops(0), absl::InvalidArgumentError(absl::StrCat("set the hops of ", local,
                                                                   ": Invalid argument (EINVAL)")));
  EXPECT_EQ(v4.JoinGroup(SocketAddress::Loopback(0)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(v4.JoinGroup(*SocketAddress::UnixAbstract("group")).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(v4.JoinGroup(SocketAddress::Ipv4({239, 1, 1, 1}, 0), "none such"),
            absl::NotFoundError(absl::StrCat("join 239.1.1.1 at ", local,
                                             ": there is no network interface \"none such\"")));
  EXPECT_EQ(v4.SetGroupInterface("none such").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(UnixSocket().SetHops(3).code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace plait
