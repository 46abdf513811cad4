// What ends a send or a receive of a DatagramSocket: cancels, closing, errors. Traps: a cancel that
// races completion.
#include <errno.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/io/net/datagram_fixture.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {
namespace {

using sys::FaultInjection;

INSTANTIATE_TEST_SUITE_P(AllExecutors, DatagramSocketTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

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

}  // namespace
}  // namespace plait
