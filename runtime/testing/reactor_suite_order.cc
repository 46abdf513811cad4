// ReactorSuite: operations on one descriptor are served in order, and all of what was sent arrives.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// --- order. Lines 26, 27, 44, 46 ---

TEST_P(ReactorSuite, Line46ReadsOnOneDescriptorAreServedInOrder) {
  FdPair pair = MakeSocketPair();
  constexpr int kReads = 100;
  const std::string data = Pattern(kReads * 10);
  std::deque<GuardedBuffer> buffers;
  std::deque<ReadOperation> reads;
  for (int i = 0; i < kReads; ++i) {
    buffers.emplace_back(10);
    reads.emplace_back(pair.first.get(), buffers.back().span());
    Submit(reads.back());
  }
  Thread peer = StartThread("peer", [&] { WriteAll(pair.second.get(), data); });
  std::string received;
  for (int i = 0; i < kReads; ++i) {
    Await(reads[i]);
    ASSERT_GT(reads[i].result, 0);
    received += std::string(buffers[i].text(static_cast<size_t>(reads[i].result)));
    if (i > 0) {
      EXPECT_LT(reads[i - 1].turn, reads[i].turn);
    }
  }
  peer.join();
  received += Drain(pair.first.get());
  EXPECT_TRUE(received == data);
}

TEST_P(ReactorSuite, Line26WritesThatHaveToWaitAreServedInOrder) {
  FdPair pair = MakeTcpPair();
  SetBufferSizes(pair.first.get(), 4096);
  constexpr int kWrites = 40;
  std::deque<GuardedBuffer> buffers;
  std::deque<WriteOperation> writes;
  for (int i = 0; i < kWrites; ++i) {
    buffers.emplace_back(Pattern(10'000, static_cast<unsigned>(i) + 1));
    writes.emplace_back(pair.first.get(), buffers.back().text(10'000));
    Submit(writes.back());
  }
  std::string received;
  Thread peer = StartThread("peer", [&] { received = ReadExactly(pair.second.get(), 1 << 30); });
  std::string sent;
  for (int i = 0; i < kWrites; ++i) {
    Await(writes[i]);
    ASSERT_GT(writes[i].result, 0);
    sent += std::string(buffers[i].text(static_cast<size_t>(writes[i].result)));
    buffers[i].Release();
  }
  ASSERT_EQ(::shutdown(pair.first.get(), SHUT_WR), 0);
  peer.join();
  EXPECT_TRUE(received == sent);
}

TEST_P(ReactorSuite, Line46AcceptsOnOneListenerAreServedInOrder) {
  TcpListener listener = MakeTcpListener();
  constexpr int kConnections = 20;
  std::deque<AcceptOperation> accepts;
  for (int i = 0; i < kConnections; ++i) Submit(accepts.emplace_back(listener.fd.get()));
  std::vector<OwnedFd> clients;
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(MakeTcpSocket());
    ASSERT_EQ(::connect(clients.back().get(), listener.name(), sizeof(sockaddr_in)), 0);
  }
  for (int i = 0; i < kConnections; ++i) {
    Await(accepts[i]);
    ASSERT_GE(accepts[i].result, 0);
    OwnedFd server = accepts[i].Take();
    sockaddr_in peer{};
    sockaddr_in client{};
    socklen_t size = sizeof(peer);
    ASSERT_EQ(::getpeername(server.get(), reinterpret_cast<sockaddr*>(&peer), &size), 0);
    ASSERT_EQ(::getsockname(clients[i].get(), reinterpret_cast<sockaddr*>(&client), &size), 0);
    EXPECT_EQ(peer.sin_port, client.sin_port);
    EXPECT_NE(::fcntl(server.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(server.get(), F_GETFL) & O_NONBLOCK, 0);
  }
}

TEST_P(ReactorSuite, AcceptGivesThePeersAddress) {
  TcpListener listener = MakeTcpListener();
  OwnedFd client = MakeTcpSocket();
  ASSERT_EQ(::connect(client.get(), listener.name(), sizeof(sockaddr_in)), 0);
  sockaddr_in expected{};
  socklen_t expected_size = sizeof(expected);
  ASSERT_EQ(::getsockname(client.get(), reinterpret_cast<sockaddr*>(&expected), &expected_size), 0);
  sockaddr_storage peer{};
  uint32_t size = sizeof(peer);
  AcceptOperation accept(listener.fd.get());
  accept.args.address = reinterpret_cast<sockaddr*>(&peer);
  accept.args.address_size_out = &size;
  ASSERT_GE(Do(accept), 0);
  accept.Take();
  EXPECT_EQ(size, sizeof(sockaddr_in));
  EXPECT_EQ(reinterpret_cast<sockaddr_in&>(peer).sin_port, expected.sin_port);
}

TEST_P(ReactorSuite, Line44ABlockedWriteDoesNotHoldUpReadsNorTheReverse) {
  FdPair pair = MakeSocketPair();
  FillUp(pair.first.get());
  GuardedBuffer written("blocked");
  WriteOperation write(pair.first.get(), written.text(7));
  Submit(write);
  for (int i = 0; i < 5; ++i) {
    WriteAll(pair.second.get(), "x");
    GuardedBuffer buffer(1);
    ReadOperation read(pair.first.get(), buffer.span());
    EXPECT_EQ(Do(read), 1);
  }
  EXPECT_FALSE(write.delivered());
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  Drain(pair.second.get());
  Await(write);
  EXPECT_EQ(write.result, 7);
  for (int i = 0; i < 5; ++i) {
    WriteOperation more(pair.first.get(), "y");
    EXPECT_EQ(Do(more), 1);
  }
  EXPECT_FALSE(read.delivered());
  Cancel(read);
  Await(read);
}

// A reactor that takes a short read for "there is no more" loses what lies behind a boundary in the
// stream.
TEST_P(ReactorSuite, Line27AReadThatStopsAtABoundaryInTheStreamDoesNotLoseTheRest) {
  const auto read_both = [this](int fd) {
    std::string received;
    while (received.size() < 2) {
      GuardedBuffer buffer(100);
      ReadOperation read(fd, buffer.span());
      const int32_t count = Do(read);
      if (count <= 0) return received;
      received += std::string(buffer.text(static_cast<size_t>(count)));
    }
    return received;
  };
  {
    SCOPED_TRACE("a descriptor that was passed along ends a read from a Unix socket");
    FdPair pair = MakeSocketPair();
    char byte = 'a';
    iovec part{.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    *reinterpret_cast<int*>(CMSG_DATA(header)) = pair.second.get();
    ASSERT_EQ(::sendmsg(pair.second.get(), &message, 0), 1);
    WriteAll(pair.second.get(), "b");
    EXPECT_EQ(read_both(pair.first.get()), "ab");
    Close(pair.first);
  }
  {
    SCOPED_TRACE("urgent data ends a read from a TCP socket");
    FdPair pair = MakeTcpPair();
    ASSERT_EQ(::send(pair.second.get(), "a", 1, 0), 1);
    ASSERT_EQ(::send(pair.second.get(), "!", 1, MSG_OOB), 1);
    ASSERT_EQ(::send(pair.second.get(), "b", 1, 0), 1);
    // All of it has arrived before the first read.
    ASSERT_EQ(::shutdown(pair.second.get(), SHUT_WR), 0);
    EXPECT_EQ(read_both(pair.first.get()), "ab");
    Close(pair.first);
  }
  {
    SCOPED_TRACE("urgent data on a connection that is known already and stays open");
    FdPair pair = MakeTcpPair();
    GuardedBuffer buffer(100);
    ReadOperation first(pair.first.get(), buffer.span());
    Submit(first);
    ExpectNothingMore();
    ASSERT_EQ(::send(pair.second.get(), "a", 1, 0), 1);
    ASSERT_EQ(::send(pair.second.get(), "!", 1, MSG_OOB), 1);
    ASSERT_EQ(::send(pair.second.get(), "bc", 2, 0), 2);
    Await(first);
    ASSERT_GE(first.result, 1);
    std::string received(buffer.text(static_cast<size_t>(first.result)));
    while (received.size() < 3) {
      GuardedBuffer more(100);
      ReadOperation read(pair.first.get(), more.span());
      ASSERT_GT(Do(read), 0);
      received += std::string(more.text(static_cast<size_t>(read.result)));
    }
    EXPECT_EQ(received, "abc");
    Close(pair.first);
  }
  {
    SCOPED_TRACE("datagrams");
    FdPair pair = MakeSocketPair(SOCK_DGRAM);
    WriteAll(pair.second.get(), "a");
    WriteAll(pair.second.get(), "b");
    EXPECT_EQ(read_both(pair.first.get()), "ab");
    Close(pair.first);
  }
  {
    SCOPED_TRACE("packets in a pipe");
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_DIRECT | O_CLOEXEC), 0);
    FdPair pipe{OwnedFd(ends[0]), OwnedFd(ends[1])};
    WriteAll(pipe.second.get(), "a");
    WriteAll(pipe.second.get(), "b");
    EXPECT_EQ(read_both(pipe.first.get()), "ab");
  }
}

}  // namespace
}  // namespace plait
