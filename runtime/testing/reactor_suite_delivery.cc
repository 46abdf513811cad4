// ReactorSuite: delivery through Poll, and descriptors that cannot do it.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>

#include <climits>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// --- delivery. Traps: reentry (Submit and Cancel expect that nothing is delivered inside of them),
// park ---

TEST_P(ReactorSuite, HasAName) { EXPECT_FALSE(reactor().name().empty()); }

TEST_P(ReactorSuite, AReadOfWaitingDataIsDeliveredOnceThroughPoll) {
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), "hello");
  GuardedBuffer buffer(100);
  ReadOperation read(pair.first.get(), buffer.span());
  EXPECT_EQ(Do(read), 5);
  EXPECT_EQ(buffer.text(5), "hello");
  buffer.Release();
  ExpectNothingMore();
  EXPECT_EQ(read.deliveries, 1);
}

TEST_P(ReactorSuite, AReadWaitsForDataThatComesLater) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(100);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  ExpectNothingMore();
  WriteAll(pair.second.get(), "later");
  Await(read);
  EXPECT_EQ(read.result, 5);
  EXPECT_EQ(buffer.text(5), "later");
}

TEST_P(ReactorSuite, AReadWaitsForDataThatAnotherThreadWrites) {
  FdPair pair = MakeTcpPair();
  const int rounds = Repeats(500);
  Thread peer = StartThread("peer", [&] {
    for (int i = 0; i < rounds; ++i) {
      WriteAll(pair.second.get(), "ping");
      EXPECT_EQ(ReadExactly(pair.second.get(), 4), "pong");
    }
  });
  for (int i = 0; i < rounds; ++i) {
    GuardedBuffer buffer(4);
    ReadOperation read(pair.first.get(), buffer.span());
    ASSERT_EQ(Do(read), 4);
    GuardedBuffer answer("pong");
    WriteOperation write(pair.first.get(), answer.text(4));
    ASSERT_EQ(Do(write), 4);
  }
  peer.join();
}

// Traps: buffer (the kernel's, for a thread that is gone)
TEST_P(ReactorSuite, WhatIsInFlightGoesOnWhenTheThreadThatBeganItIsGone) {
  for (const bool told : {true, false}) {
    SCOPED_TRACE(told);  // the system of it, by a Poll of that thread
    ReplaceReactor(&blocking());
    FdPair pair = MakeSocketPair();
    FdPair full = MakeSocketPair();
    FdPair polled = MakeSocketPair();
    FdPair pipe = MakePipe();
    TcpListener listener = MakeTcpListener();
    FillUp(full.first.get());
    GuardedBuffer buffer(5);
    GuardedBuffer next_buffer(5);
    GuardedBuffer pipe_buffer(5);
    ReadOperation read(pair.first.get(), buffer.span());
    ReadOperation next_read(pair.first.get(), next_buffer.span());
    ReadOperation pipe_read(pipe.first.get(), pipe_buffer.span());
    WriteOperation write(full.first.get(), "written");
    PollOperation poll(polled.first.get(), kPollReadable);
    AcceptOperation accept(listener.fd.get());
    ReadOperation cancelled(polled.first.get(), pipe_buffer.span());
    StartThread("gone", [&] {
      for (TestOperation* each : std::vector<TestOperation*>{&read, &next_read, &pipe_read, &write,
                                                             &poll, &accept, &cancelled}) {
        Submit(*each);
      }
      if (told) ExpectNothingMore();
      Cancel(cancelled);
    }).join();
    EXPECT_EQ(reactor().in_flight(), 7u);
    Await(cancelled);
    EXPECT_EQ(cancelled.result, -ECANCELED);
    ExpectNothingMore();
    WriteAll(pair.second.get(), "first");
    Await(read);
    EXPECT_EQ(read.result, 5);
    EXPECT_EQ(buffer.text(5), "first");
    WriteAll(pair.second.get(), "next");
    Await(next_read);
    EXPECT_EQ(next_read.result, 4);
    WriteAll(pipe.second.get(), "pipe");
    Await(pipe_read);
    EXPECT_EQ(pipe_buffer.text(4), "pipe");
    WriteAll(polled.second.get(), "x");
    Await(poll);
    EXPECT_EQ(poll.result, kPollReadable);
    const OwnedFd client = MakeConnection(listener.name(), sizeof(listener.address));
    Await(accept);
    EXPECT_GE(accept.Take().get(), 0);
    Drain(full.second.get());
    Await(write);
    EXPECT_GT(write.result, 0);
    ExpectNothingMore();
  }
}

// Traps: race (of a cancel, the first that the next thread does, with what its coming ends)
TEST_P(ReactorSuite, WhatIsBeingClosedMayBeCancelledByTheNextThread) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  CloseOperation close(pair.first.Release());
  StartThread("gone", [&] {
    Submit(read);
    ExpectNothingMore();
    Submit(close);
  }).join();
  Cancel(read);
  Await(read);
  EXPECT_EQ(read.result, -ECANCELED);
  if (!close.delivered()) Await(close);
  EXPECT_EQ(close.result, 0);
}

TEST_P(ReactorSuite, AnOperationMaySubmitItselfAgainWhenItIsDelivered) {
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), std::string(10, 'x'));
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  read.on_delivery = [&] {
    if (read.deliveries < 10) Submit(read);
  };
  Submit(read);
  while (read.deliveries < 10) PollOnce(Deadline::Infinite());
  EXPECT_EQ(reactor().in_flight(), 0u);
  ExpectNothingMore();
}

// --- what completes at once, for who asks. Traps: reentry ---

// Readiness reactors try a call before they wait for it.
TEST_P(ReactorSuite, WhatCompletesAtOnceIsNotDelivered) {
  FdPair pair = MakeSocketPair();
  TcpListener listener = MakeTcpListener();
  const OwnedFd client = MakeConnection(listener.name(), sizeof(listener.address));
  WriteAll(pair.second.get(), "hello");
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  WriteOperation write(pair.first.get(), "answer");
  AcceptOperation accept(listener.fd.get());
  PollOperation poll(pair.first.get(), kPollWritable);
  PollOperation nothing(-1, kPollReadable);
  const std::vector<std::pair<TestOperation*, int32_t>> expected = {
      {&read, 5}, {&write, 6}, {&accept, -1}, {&poll, kPollWritable}, {&nothing, -EBADF}};
  for (const auto& [operation, result] : expected) {
    SCOPED_TRACE(static_cast<int>(operation->opcode));
    const bool completed = SubmitOrComplete(*operation);
    EXPECT_EQ(completed, reactor().prefers_await_input());
    if (!completed) Await(*operation);
    ExpectNothingMore();
    EXPECT_EQ(operation->deliveries, completed ? 0 : 1);
    if (operation == &accept) {
      EXPECT_GE(accept.Take().get(), 0);
    } else {
      EXPECT_EQ(operation->result, result);
    }
  }
  EXPECT_EQ(buffer.text(5), "hello");
  EXPECT_EQ(ReadExactly(pair.second.get(), 6), "answer");
}

TEST_P(ReactorSuite, WhatDoesNotCompleteAtOnceIsDeliveredInItsTurn) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer first_buffer(2);
  GuardedBuffer second_buffer(3);
  GuardedBuffer third_buffer(1);
  ReadOperation first(pair.first.get(), first_buffer.span());
  ReadOperation second(pair.first.get(), second_buffer.span());
  ReadOperation third(pair.first.get(), third_buffer.span());
  EXPECT_FALSE(SubmitOrComplete(first));
  WriteAll(pair.second.get(), "hello");
  // There is data, and another that waits for it.
  EXPECT_FALSE(SubmitOrComplete(second));
  EXPECT_FALSE(SubmitOrComplete(third));
  Cancel(third);
  Await(first);
  if (!second.delivered()) Await(second);
  if (!third.delivered()) Await(third);
  EXPECT_EQ(first.result, 2);
  EXPECT_EQ(second.result, 3);
  EXPECT_EQ(third.result, -ECANCELED);
  EXPECT_EQ(first_buffer.text(2), "he");
  EXPECT_EQ(second_buffer.text(3), "llo");
  ExpectNothingMore();
}

TEST_P(ReactorSuite, ACloseIsDeliveredAfterWhatItEnds) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  CloseOperation close(pair.first.Release());
  Submit(read);
  EXPECT_FALSE(SubmitOrComplete(close));
  Await(read);
  if (!close.delivered()) Await(close);
  EXPECT_EQ(read.result, -ECANCELED);
  EXPECT_EQ(close.result, 0);
  EXPECT_LT(read.turn, close.turn);
}

TEST_P(ReactorSuite, OperationsInFlightAreCounted) {
  FdPair pair = MakeSocketPair();
  EXPECT_EQ(reactor().in_flight(), 0u);
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  PollOperation poll(pair.first.get(), kPollReadable);
  Submit(read);
  Submit(poll);
  EXPECT_EQ(reactor().in_flight(), 2u);
  Cancel(read);
  Cancel(poll);
  Await(read);
  Await(poll);
  EXPECT_EQ(reactor().in_flight(), 0u);
}

TEST_P(ReactorSuite, DestroyingItWithAnOperationInFlightIsAProgrammingError) {
  EXPECT_DEATH(
      {
        FdPair pair = MakeSocketPair();
        GuardedBuffer buffer(1);
        ReadOperation read(pair.first.get(), buffer.span());
        std::unique_ptr<Reactor> mortal = MakeReactor(nullptr);
        mortal->Submit(read);
        mortal = nullptr;
      },
      "a reactor was destroyed with operations in flight");
}

TEST_P(ReactorSuite, TwoReactorsMayWatchTheTwoEndsOfOnePair) {
  FdPair pair = MakeSocketPair();
  std::unique_ptr<Reactor> other = MakeReactor(nullptr);
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  int64_t turn = 0;
  WriteOperation write(pair.second.get(), "hello");
  write.next_turn = &turn;
  other->Submit(write);
  WorkQueue ready;
  while (ready.empty()) other->Poll(Deadline::Infinite(), Clock::Real(), ready);
  EXPECT_EQ(write.result, 5);
  Await(read);
  EXPECT_EQ(buffer.text(5), "hello");
}

// --- descriptors that cannot do it. Line 47 ---

TEST_P(ReactorSuite, ADescriptorThatIsNotOpenFailsThroughPoll) {
  OwnedFd closed = MakeTcpSocket();
  const int number = closed.get();
  closed.Reset();
  GuardedBuffer byte(1);
  sockaddr_in address{};
  for (const int fd : {-1, INT_MIN, number, 1'000'000, INT_MAX}) {
    SCOPED_TRACE(fd);
    ReadOperation read(fd, byte.span());
    WriteOperation write(fd, byte.text(1));
    AcceptOperation accept(fd);
    ConnectOperation connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    PollOperation poll(fd, kPollReadable);
    CloseOperation close(fd);
    ReadOperation read_at(fd, byte.span(), 0);
    for (TestOperation* operation :
         std::vector<TestOperation*>{&read, &write, &accept, &connect, &poll, &close, &read_at}) {
      EXPECT_EQ(Do(*operation), -EBADF) << static_cast<int>(operation->opcode);
    }
  }
  ExpectNothingMore();
}

TEST_P(ReactorSuite, Line47ADescriptorThatCannotDoItFailsAtOnce) {
  FdPair pipe = MakePipe();
  FdPair pair = MakeSocketPair();
  FdPair tcp = MakeTcpPair();
  TcpListener listener = MakeTcpListener();
  OwnedFd unconnected = MakeTcpSocket();
  OwnedFd folder(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  GuardedBuffer buffer(8);
  {
    SCOPED_TRACE("the ends of a pipe, the wrong way round");
    ReadOperation read(pipe.second.get(), buffer.span());
    EXPECT_EQ(Do(read), -EBADF);
    WriteOperation write(pipe.first.get(), "x");
    EXPECT_EQ(Do(write), -EBADF);
    AcceptOperation accept(pipe.first.get());
    EXPECT_EQ(Do(accept), -ENOTSOCK);
    sockaddr_in address{};
    ConnectOperation connect(pipe.second.get(), reinterpret_cast<sockaddr*>(&address),
                             sizeof(address));
    EXPECT_EQ(Do(connect), -ENOTSOCK);
  }
  {
    SCOPED_TRACE("accept on what does not listen");
    AcceptOperation accept(pair.first.get());
    EXPECT_EQ(Do(accept), -EINVAL);
    AcceptOperation accept_tcp(tcp.first.get());
    EXPECT_EQ(Do(accept_tcp), -EINVAL);
  }
  {
    SCOPED_TRACE("transfers where there is no connection");
    ReadOperation read(listener.fd.get(), buffer.span());
    EXPECT_EQ(Do(read), -ENOTCONN);
    ReadOperation read_unconnected(unconnected.get(), buffer.span());
    EXPECT_EQ(Do(read_unconnected), -ENOTCONN);
    WriteOperation write(unconnected.get(), "x");
    EXPECT_EQ(Do(write), -EPIPE);
  }
  {
    SCOPED_TRACE("positions in what has none");
    ReadOperation read(tcp.second.get(), buffer.span(), 0);
    EXPECT_EQ(Do(read), -ESPIPE);
    WriteOperation write(tcp.second.get(), "x", 0);
    EXPECT_EQ(Do(write), -ESPIPE);
  }
  {
    SCOPED_TRACE("a folder");
    ReadOperation read(folder.get(), buffer.span());
    EXPECT_EQ(Do(read), -EISDIR);
    AcceptOperation accept(folder.get());
    EXPECT_EQ(Do(accept), -ENOTSOCK);
  }
  ExpectNothingMore();
}

}  // namespace
}  // namespace plait
