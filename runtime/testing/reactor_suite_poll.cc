// ReactorSuite: kPoll and kAwaitInput.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "gtest/gtest.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// --- poll ---

TEST_P(ReactorSuite, APollTellsWhatHolds) {
  FdPair pair = MakeSocketPair();
  PollOperation writable(pair.first.get(), kPollReadable | kPollWritable);
  EXPECT_EQ(Do(writable), static_cast<int32_t>(kPollWritable));
  WriteAll(pair.second.get(), "x");
  PollOperation both(pair.first.get(), kPollReadable | kPollWritable);
  EXPECT_EQ(Do(both), static_cast<int32_t>(kPollReadable | kPollWritable));
  PollOperation readable(pair.first.get(), kPollReadable);
  EXPECT_EQ(Do(readable), static_cast<int32_t>(kPollReadable));
  EXPECT_EQ(Drain(pair.first.get()), "x") << "a poll takes nothing away";
}

TEST_P(ReactorSuite, PollsWaitEachForItsOwn) {
  FdPair pair = MakeSocketPair();
  FillUp(pair.first.get());
  PollOperation readable(pair.first.get(), kPollReadable);
  PollOperation readable_too(pair.first.get(), kPollReadable);
  PollOperation writable(pair.first.get(), kPollWritable);
  PollOperation either(pair.first.get(), kPollReadable | kPollWritable);
  for (TestOperation* poll : {&readable, &readable_too, &writable, &either}) Submit(*poll);
  ExpectNothingMore();
  WriteAll(pair.second.get(), "x");
  Await(readable);
  Await(readable_too);
  Await(either);
  EXPECT_EQ(readable.result, static_cast<int32_t>(kPollReadable));
  EXPECT_EQ(readable_too.result, static_cast<int32_t>(kPollReadable));
  EXPECT_EQ(either.result, static_cast<int32_t>(kPollReadable));
  EXPECT_FALSE(writable.delivered());
  Drain(pair.second.get());
  Await(writable);
  EXPECT_EQ(writable.result, static_cast<int32_t>(kPollWritable));
}

TEST_P(ReactorSuite, APollIsToldOfAHangUpAndOfAnErrorThoughItAskedForNothing) {
  FdPair pair = MakeSocketPair();
  PollOperation hang_up(pair.first.get(), 0);
  Submit(hang_up);
  ExpectNothingMore();
  pair.second.Reset();
  Await(hang_up);
  EXPECT_EQ(hang_up.result, static_cast<int32_t>(kPollHangUp));

  FdPair pipe = MakePipe();
  FillUp(pipe.second.get());
  PollOperation error(pipe.second.get(), 0);
  Submit(error);
  ExpectNothingMore();
  pipe.first.Reset();
  Await(error);
  EXPECT_EQ(error.result, static_cast<int32_t>(kPollError));
}

TEST_P(ReactorSuite, APollAndAReadMayWaitForTheSameData) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(1);
  PollOperation poll(pair.first.get(), kPollReadable);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(poll);
  Submit(read);
  WriteAll(pair.second.get(), "xy");
  Await(read);
  Await(poll);
  EXPECT_EQ(read.result, 1);
  EXPECT_EQ(poll.result, static_cast<int32_t>(kPollReadable));
}

TEST_P(ReactorSuite, AListenerBecomesReadable) {
  TcpListener listener = MakeTcpListener();
  PollOperation poll(listener.fd.get(), kPollReadable);
  Submit(poll);
  ExpectNothingMore();
  OwnedFd client = MakeTcpSocket();
  ASSERT_EQ(::connect(client.get(), listener.name(), sizeof(sockaddr_in)), 0);
  Await(poll);
  EXPECT_EQ(poll.result, static_cast<int32_t>(kPollReadable));
}

// --- waiting for input ---

TEST_P(ReactorSuite, WhoAwaitsInputIsToldOfDataAndTakesItHimself) {
  FdPair pair = MakeTcpPair();
  AwaitInputOperation first(pair.first.get(), /*after_nothing=*/true);
  Submit(first);
  ExpectNothingMore();
  WriteAll(pair.second.get(), "one");
  Await(first);
  EXPECT_GE(first.result, 0);
  EXPECT_EQ(Drain(pair.first.get()), "one");

  // It may be told of what was taken already, but not where it says that it has found nothing.
  AwaitInputOperation second(pair.first.get(), /*after_nothing=*/true);
  Submit(second);
  ExpectNothingMore();
  WriteAll(pair.second.get(), "two");
  Await(second);
  EXPECT_GE(second.result, 0);
  EXPECT_EQ(Drain(pair.first.get()), "two");
}

TEST_P(ReactorSuite, WhoAwaitsInputMissesNothingThatCameSinceHisLastRead) {
  FdPair pair = MakeTcpPair();
  AwaitInputOperation first(pair.first.get(), /*after_nothing=*/true);
  Submit(first);
  WriteAll(pair.second.get(), "one");
  Await(first);
  EXPECT_EQ(Drain(pair.first.get()), "one");
  // While nobody waits.
  WriteAll(pair.second.get(), "two");
  PollOperation looked(pair.first.get(), kPollReadable);
  Do(looked);
  AwaitInputOperation second(pair.first.get(), /*after_nothing=*/false);
  Do(second);
  EXPECT_GE(second.result, 0);
  EXPECT_EQ(Drain(pair.first.get()), "two");
}

TEST_P(ReactorSuite, WhatSomebodyLeftWhoWasToldOfInputIsReadByAReadOperation) {
  for (const bool tcp : {true, false}) {
    FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
    AwaitInputOperation told(pair.first.get(), /*after_nothing=*/true);
    Submit(told);
    ExpectNothingMore();
    WriteAll(pair.second.get(), "ab");
    Await(told);
    char byte = 0;
    ASSERT_EQ(::recv(pair.first.get(), &byte, 1, 0), 1);
    EXPECT_EQ(byte, 'a');
    const GuardedBuffer buffer(8);
    ReadOperation read(pair.first.get(), buffer.span());
    Do(read);
    EXPECT_EQ(read.result, 1);
    // Nothing is left: the next one waits.
    ReadOperation next(pair.first.get(), buffer.span());
    Submit(next);
    ExpectNothingMore();
    WriteAll(pair.second.get(), "c");
    Await(next);
    EXPECT_EQ(next.result, 1);
  }
}

TEST_P(ReactorSuite, WhoAwaitsInputIsToldOfTheEnd) {
  FdPair pair = MakeTcpPair();
  AwaitInputOperation data(pair.first.get(), /*after_nothing=*/true);
  Submit(data);
  ExpectNothingMore();
  WriteAll(pair.second.get(), "last words");
  pair.second.Reset();
  Await(data);
  char bytes[64];
  EXPECT_EQ(::recv(pair.first.get(), bytes, sizeof(bytes), 0), 10);
  // As after a read that took less than it could have.
  AwaitInputOperation end(pair.first.get(), /*after_nothing=*/false);
  Do(end);
  EXPECT_GE(end.result, 0);
  EXPECT_EQ(::recv(pair.first.get(), bytes, sizeof(bytes), 0), 0);
}

TEST_P(ReactorSuite, WhoAwaitsInputMayWaitBesideAReadOfTheSame) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(1);
  AwaitInputOperation input(pair.first.get(), /*after_nothing=*/true);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(input);
  Submit(read);
  ExpectNothingMore();
  WriteAll(pair.second.get(), "x");
  Await(input);
  Await(read);
  EXPECT_GE(input.result, 0);
  EXPECT_EQ(read.result, 1);
}

TEST_P(ReactorSuite, WhoAwaitsInputCanBeCancelledAndEndsWithTheDescriptor) {
  FdPair pair = MakeSocketPair();
  AwaitInputOperation cancelled(pair.first.get(), /*after_nothing=*/true);
  Submit(cancelled);
  ExpectNothingMore();
  Cancel(cancelled);
  Await(cancelled);
  EXPECT_EQ(cancelled.result, -ECANCELED);

  AwaitInputOperation closed(pair.first.get(), /*after_nothing=*/true);
  Submit(closed);
  ExpectNothingMore();
  CloseOperation close(pair.first.Release());
  Submit(close);
  Await(close);
  EXPECT_TRUE(closed.delivered());
  EXPECT_EQ(closed.result, -ECANCELED);
}

}  // namespace
}  // namespace plait
