// ReactorSuite: kConnect.
#include <errno.h>
#include <netinet/in.h>

#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// --- connect. Lines 34, 39, 40 ---

TEST_P(ReactorSuite, AConnectSucceedsAndTheConnectionWorks) {
  TcpListener tcp = MakeTcpListener();
  UnixListener unix = MakeUnixListener();
  for (const bool over_tcp : {true, false}) {
    OwnedFd client = over_tcp ? MakeTcpSocket() : MakeUnixSocket();
    ConnectOperation connect(client.get(), over_tcp ? tcp.name() : unix.name(),
                             over_tcp ? sizeof(sockaddr_in) : unix.size);
    AcceptOperation accept(over_tcp ? tcp.fd.get() : unix.fd.get());
    Submit(accept);
    EXPECT_EQ(Do(connect), 0);
    Await(accept);
    ASSERT_GE(accept.result, 0);
    OwnedFd server = accept.Take();
    GuardedBuffer buffer(5);
    ReadOperation read(client.get(), buffer.span());
    Submit(read);
    WriteOperation write(server.get(), "hello");
    EXPECT_EQ(Do(write), 5);
    Await(read);
    EXPECT_EQ(buffer.text(5), "hello");
    Close(client);
    Close(server);
  }
}

TEST_P(ReactorSuite, Line39ARefusedConnectionIsToldThroughPoll) {
  TcpListener refusing = MakeRefusingPort();
  OwnedFd client = MakeTcpSocket();
  ConnectOperation connect(client.get(), refusing.name(), sizeof(sockaddr_in));
  EXPECT_EQ(Do(connect), -ECONNREFUSED);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, AConnectToAnAddressThatCannotBeFails) {
  OwnedFd client = MakeTcpSocket();
  sockaddr_un wrong{};
  wrong.sun_family = AF_UNIX;
  ConnectOperation connect(client.get(), reinterpret_cast<sockaddr*>(&wrong), sizeof(wrong));
  EXPECT_EQ(Do(connect), -EAFNOSUPPORT);
  UnixListener gone = MakeUnixListener();
  gone.fd.Reset();
  OwnedFd other = MakeUnixSocket();
  ConnectOperation nobody(other.get(), gone.name(), gone.size);
  EXPECT_EQ(Do(nobody), -ECONNREFUSED);
}

// The system tries again after a second, of its own accord.
TEST_P(ReactorSuite, AConnectThatHasToWaitEndsAsTheListenerSays) {
  FullListener accepting = MakeFullListener();
  FullListener closing = MakeFullListener();
  OwnedFd first = MakeTcpSocket();
  OwnedFd second = MakeTcpSocket();
  OwnedFd third = MakeTcpSocket();
  ConnectOperation succeeds(first.get(), accepting.listener.name(), sizeof(sockaddr_in));
  ConnectOperation fails(second.get(), closing.listener.name(), sizeof(sockaddr_in));
  ConnectOperation twice(third.get(), closing.listener.name(), sizeof(sockaddr_in));
  GuardedBuffer buffer(5);
  Submit(succeeds);
  Submit(fails);
  Submit(twice);
  // Behind the connect in the same direction.
  WriteOperation write(first.get(), "hello");
  ReadOperation read(first.get(), buffer.span());
  Submit(write);
  Submit(read);
  ExpectNothingMore();
  AcceptOperation drained(accepting.listener.fd.get());
  EXPECT_GE(Do(drained), 0);
  drained.Take();
  closing.listener.fd.Reset();
  Await(fails);
  EXPECT_EQ(fails.result, -ECONNREFUSED);
  Await(twice);
  EXPECT_EQ(twice.result, -ECONNREFUSED);
  Await(succeeds);
  EXPECT_EQ(succeeds.result, 0);
  Await(write);
  EXPECT_EQ(write.result, 5);
  EXPECT_LT(succeeds.turn, write.turn);
  Cancel(read);
  Await(read);
}

TEST_P(ReactorSuite, AConnectThatHasToWaitIsCancelledOrGoesOnWhenTheThreadThatBeganItIsGone) {
  FullListener full = MakeFullListener();
  const OwnedFd socket = MakeTcpSocket();
  const OwnedFd other = MakeTcpSocket();
  ConnectOperation connect(socket.get(), full.listener.name(), sizeof(full.listener.address));
  ConnectOperation cancelled(other.get(), full.listener.name(), sizeof(full.listener.address));
  StartThread("gone", [&] {
    Submit(connect);
    Submit(cancelled);
    ExpectNothingMore();
  }).join();
  ExpectNothingMore();
  Cancel(cancelled);
  Await(cancelled);
  EXPECT_EQ(cancelled.result, -ECANCELED);
  AcceptOperation drained(full.listener.fd.get());
  EXPECT_GE(Do(drained), 0);
  drained.Take();
  Await(connect);
  EXPECT_EQ(connect.result, 0);
}

// There is no way to wait for room in a Unix listener's queue: also of a socket that blocks.
TEST_P(ReactorSuite, AConnectToAUnixListenerWithoutRoomFailsAndMayBeTriedAgain) {
  UnixListener listener = MakeUnixListener(/*backlog=*/0);
  std::vector<OwnedFd> clients;
  int32_t result = 0;
  while (result == 0 && clients.size() < 3) {
    clients.push_back(MakeUnixSocket());
    ConnectOperation connect(clients.back().get(), listener.name(), listener.size);
    result = Do(connect);
  }
#ifdef __linux__
  EXPECT_EQ(result, -EAGAIN);
#else
  EXPECT_EQ(result, -ECONNREFUSED);
#endif
  AcceptOperation accept(listener.fd.get());
  EXPECT_GE(Do(accept), 0);
  accept.Take();
  ConnectOperation again(clients.back().get(), listener.name(), listener.size);
  EXPECT_EQ(Do(again), 0);
}

}  // namespace
}  // namespace plait
