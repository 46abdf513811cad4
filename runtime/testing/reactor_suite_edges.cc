// ReactorSuite: what is rarely asked for and must be the same on every reactor all the same.
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

#include "gtest/gtest.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// --- nothing at all ---

TEST_P(ReactorSuite, AWriteOfNothingEndsAndTheStreamGoesOn) {
  FdPair pipe = MakePipe();
  FdPair unix_pair = MakeSocketPair();
  FdPair tcp = MakeTcpPair();
  struct Ends {
    int from;
    int to;
  };
  for (const Ends ends : {Ends{pipe.first.get(), pipe.second.get()},
                          Ends{unix_pair.first.get(), unix_pair.second.get()},
                          Ends{tcp.first.get(), tcp.second.get()}}) {
    WriteOperation nothing(ends.to, "");
    EXPECT_EQ(Do(nothing), 0);
    WriteOperation something(ends.to, "x");
    EXPECT_EQ(Do(something), 1);
    GuardedBuffer buffer(1);
    ReadOperation read(ends.from, buffer.span());
    EXPECT_EQ(Do(read), 1);
  }
}

TEST_P(ReactorSuite, AReadOfNothingTakesNothingFromWhatIsThere) {
  FdPair pipe = MakePipe();
  FdPair unix_pair = MakeSocketPair();
  FdPair tcp = MakeTcpPair();
  for (FdPair* pair : {&pipe, &unix_pair, &tcp}) {
    WriteAll(pair->second.get(), "x");
    GuardedBuffer none(0);
    ReadOperation nothing(pair->first.get(), none.span());
    EXPECT_EQ(Do(nothing), 0);
    GuardedBuffer buffer(2);
    ReadOperation read(pair->first.get(), buffer.span());
    EXPECT_EQ(Do(read), 1);
  }
}

// --- a shutdown under what waits ---

TEST_P(ReactorSuite, Line28AShutdownOfTheReadingSideIsTheEndForAReadThatWaits) {
  FdPair unix_pair = MakeSocketPair();
  FdPair tcp = MakeTcpPair();
  for (FdPair* pair : {&unix_pair, &tcp}) {
    GuardedBuffer buffer(1);
    ReadOperation read(pair->first.get(), buffer.span());
    Submit(read);
    ExpectNothingMore();
    ASSERT_EQ(::shutdown(pair->first.get(), SHUT_RD), 0);
    Await(read);
    EXPECT_EQ(read.result, 0);
  }
}

// --- operations that touch each other as they are delivered. Trap: reentry. Line 22 ---

TEST_P(ReactorSuite, Line22AnOperationMayBeCancelledByAnotherThatIsDeliveredWithIt) {
  FdPair one = MakeSocketPair();
  FdPair two = MakeSocketPair();
  GuardedBuffer first_buffer(5);
  GuardedBuffer second_buffer(5);
  ReadOperation first(one.first.get(), first_buffer.span());
  ReadOperation second(two.first.get(), second_buffer.span());
  ReadOperation* const both[] = {&first, &second};
  for (int i = 0; i < 2; ++i) {
    ReadOperation& other = *both[1 - i];
    both[i]->on_delivery = [&] {
      if (!other.delivered()) reactor().Cancel(other);
    };
    Submit(*both[i]);
  }
  ExpectNothingMore();
  WriteAll(one.second.get(), "hello");
  WriteAll(two.second.get(), "hello");
  Await(first);
  Await(second);
  // Whichever was second had arrived already, or was cancelled and has left its data.
  int read = 0;
  for (ReadOperation* operation : both) {
    ASSERT_EQ(operation->deliveries, 1);
    if (operation->result == 5) {
      ++read;
    } else {
      EXPECT_EQ(operation->result, -ECANCELED);
      EXPECT_EQ(Drain(operation->fd), "hello");
    }
  }
  EXPECT_GE(read, 1);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, Line36ADescriptorMayBeClosedByTheOperationThatIsDeliveredOnIt) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  GuardedBuffer later_buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  ReadOperation later(pair.first.get(), later_buffer.span());
  CloseOperation close(pair.first.get());
  read.on_delivery = [&] {
    pair.first.Release();
    Submit(close);
  };
  Submit(read);
  Submit(later);
  WriteAll(pair.second.get(), "hello");
  Await(read);
  EXPECT_EQ(read.result, 5);
  Await(close);
  EXPECT_EQ(close.result, 0);
  EXPECT_EQ(later.deliveries, 1);
  EXPECT_EQ(later.result, -ECANCELED);
  ExpectNothingMore();
}

// --- connections ---

TEST_P(ReactorSuite, ASecondConnectDoesNotDisturbTheConnection) {
  TcpListener listener = MakeTcpListener();
  OwnedFd client = MakeTcpSocket();
  ConnectOperation connect(client.get(), listener.name(), sizeof(sockaddr_in));
  ASSERT_EQ(Do(connect), 0);
  ConnectOperation again(client.get(), listener.name(), sizeof(sockaddr_in));
  // Linux says once that it is done, of a connection that was made in the background.
  EXPECT_TRUE(Do(again) == 0 || again.result == -EISCONN) << again.result;
  AcceptOperation accept(listener.fd.get());
  ASSERT_GE(Do(accept), 0);
  OwnedFd server = accept.Take();
  WriteAll(server.get(), "hello");
  GuardedBuffer buffer(5);
  ReadOperation read(client.get(), buffer.span());
  EXPECT_EQ(Do(read), 5);
}

TEST_P(ReactorSuite, Line35AnAcceptThatWaitsEndsWhenItsListenerIsClosed) {
  TcpListener listener = MakeTcpListener();
  AcceptOperation accept(listener.fd.get());
  Submit(accept);
  ExpectNothingMore();
  Close(listener.fd);
  EXPECT_EQ(accept.deliveries, 1);
  EXPECT_EQ(accept.result, -ECANCELED);
}

// --- one socket, two numbers ---

TEST_P(ReactorSuite, TheTwoNumbersOfOneSocketAreWaitedForEachForItself) {
  FdPair pair = MakeSocketPair();
  OwnedFd twin(::dup(pair.first.get()));
  PollOperation poll(pair.first.get(), kPollReadable);
  PollOperation twin_poll(twin.get(), kPollReadable);
  Submit(poll);
  Submit(twin_poll);
  ExpectNothingMore();
  WriteAll(pair.second.get(), "x");
  Await(poll);
  Await(twin_poll);
  EXPECT_EQ(poll.result, static_cast<int32_t>(kPollReadable));
  EXPECT_EQ(twin_poll.result, static_cast<int32_t>(kPollReadable));
  Close(pair.first);
  // The socket lives on under its other number.
  GuardedBuffer buffer(1);
  ReadOperation read(twin.get(), buffer.span());
  EXPECT_EQ(Do(read), 1);
  ReadOperation waits(twin.get(), buffer.span());
  Submit(waits);
  WriteAll(pair.second.get(), "y");
  Await(waits);
  EXPECT_EQ(waits.result, 1);
}

}  // namespace
}  // namespace plait
