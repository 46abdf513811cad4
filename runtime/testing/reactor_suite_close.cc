// ReactorSuite: kClose.
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include <deque>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// --- close. Traps: race, buffer, reuse. Lines 34 to 37 ---

TEST_P(ReactorSuite, Line35CloseEndsWhatIsPendingOnceAndIsDeliveredLast) {
  FdPair pair = MakeSocketPair();
  FillUp(pair.first.get());
  constexpr int kEach = 5;
  GuardedBuffer buffer(kEach);
  std::deque<ReadOperation> reads;
  std::deque<WriteOperation> writes;
  std::deque<PollOperation> polls;
  std::vector<TestOperation*> all;
  for (int i = 0; i < kEach; ++i) {
    all.push_back(&reads.emplace_back(pair.first.get(), buffer.span().subspan(i, 1)));
    all.push_back(&writes.emplace_back(pair.first.get(), buffer.text(1)));
    all.push_back(&polls.emplace_back(pair.first.get(), kPollReadable));
  }
  for (TestOperation* operation : all) Submit(*operation);
  CloseOperation close(pair.first.Release());
  EXPECT_EQ(Do(close), 0);
  for (TestOperation* operation : all) {
    EXPECT_EQ(operation->deliveries, 1);
    EXPECT_EQ(operation->result, -ECANCELED);
    EXPECT_LT(operation->turn, close.turn);
  }
  // Line 36: nothing comes afterwards, whatever the peer does.
  buffer.Release();
  pair.second.Reset();
  ExpectNothingMore();
  EXPECT_EQ(reactor().in_flight(), 0u);
}

TEST_P(ReactorSuite, Line36NothingComesAfterACloseWasDelivered) {
  for (const int i : ShareOf(50)) {
    FdPair pair = i % 2 == 0 ? MakeSocketPair() : MakeTcpPair();
    FillUp(pair.first.get());
    GuardedBuffer buffer(10);
    ReadOperation read(pair.first.get(), buffer.span());
    WriteOperation write(pair.first.get(), buffer.text(10));
    PollOperation poll(pair.first.get(), kPollReadable | kPollWritable);
    const std::vector<TestOperation*> all = {&read, &write, &poll};
    for (TestOperation* operation : all) Submit(*operation);
    // What each waits for happens before the close, in the same turn, or after it.
    if (i % 3 == 0) WriteAll(pair.second.get(), "data");
    if (i % 5 == 0) PollOnce(Deadline::Immediate());
    if (i % 3 == 1) Drain(pair.second.get());
    CloseOperation close(pair.first.Release());
    Submit(close);
    if (i % 7 == 0) pair.second.Reset();
    Await(close);
    EXPECT_EQ(reactor().in_flight(), 0u);
    for (TestOperation* operation : all) {
      EXPECT_EQ(operation->deliveries, 1);
      EXPECT_LT(operation->turn, close.turn);
    }
    buffer.Release();
    pair.second.Reset();
    ExpectNothingMore();
    for (TestOperation* operation : all) EXPECT_EQ(operation->deliveries, 1);
  }
}

TEST_P(ReactorSuite, Line34CloseDuringAConnectCancelsIt) {
  FullListener full = MakeFullListener();
  OwnedFd client = MakeTcpSocket();
  ConnectOperation connect(client.get(), full.listener.name(), sizeof(sockaddr_in));
  Submit(connect);
  ExpectNothingMore();
  CloseOperation close(client.Release());
  EXPECT_EQ(Do(close), 0);
  EXPECT_EQ(connect.deliveries, 1);
  EXPECT_EQ(connect.result, -ECANCELED);
  EXPECT_LT(connect.turn, close.turn);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, CloseDoesNotTakeBackWhatWasDoneBefore) {
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), "hello");
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  CloseOperation close(pair.first.Release());
  EXPECT_EQ(Do(close), 0);
  EXPECT_EQ(read.deliveries, 1);
  EXPECT_TRUE(read.result == 5 || read.result == -ECANCELED) << read.result;
  EXPECT_LT(read.turn, close.turn);
}

TEST_P(ReactorSuite, ThePeerSeesTheEndOnceCloseIsDelivered) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  Close(pair.first);
  EXPECT_EQ(read.result, -ECANCELED);
  EXPECT_EQ(ReadExactly(pair.second.get(), 1), "");
}

TEST_P(ReactorSuite, ASecondCloseFails) {
  FdPair pair = MakeSocketPair();
  const int number = pair.first.get();
  Close(pair.first);
  CloseOperation again(number);
  EXPECT_EQ(Do(again), -EBADF);
  GuardedBuffer buffer(1);
  ReadOperation read(number, buffer.span());
  EXPECT_EQ(Do(read), -EBADF);
}

TEST_P(ReactorSuite, ADescriptorThatWasNeverUsedCanBeClosed) {
  FdPair pair = MakeSocketPair();
  Close(pair.first);
  EXPECT_EQ(ReadExactly(pair.second.get(), 1), "");
  OwnedFd file = MakeFile("x");
  Close(file);
}

TEST_P(ReactorSuite, CancellingACloseDoesNotLeaveTheDescriptorOpen) {
  FdPair pair = MakeSocketPair();
  const int number = pair.first.Release();
  CloseOperation close(number);
  Submit(close);
  Cancel(close);
  Await(close);
  if (close.result == -ECANCELED) {
    ::close(number);
  } else {
    EXPECT_EQ(close.result, 0);
    EXPECT_EQ(ReadExactly(pair.second.get(), 1), "");
  }
}

TEST_P(ReactorSuite, Line37ANumberThatIsUsedAgainGetsNoEventOfTheOldDescriptor) {
  int number = -1;
  int reused = 0;
  const Share share = ShareOf(200);
  for (const int i : share) {
    FdPair old = i % 2 == 0 ? MakeSocketPair() : MakeTcpPair();
    if (old.first.get() == number) ++reused;
    number = old.first.get();
    GuardedBuffer buffer(10);
    ReadOperation read(old.first.get(), buffer.span());
    PollOperation poll(old.first.get(), kPollReadable);
    Submit(read);
    Submit(poll);
    if (i % 3 == 0) PollOnce(Deadline::Immediate());
    // The old one has data, its end and room to write to tell of, and is closed before that is
    // fetched.
    WriteAll(old.second.get(), "old");
    old.second.Reset();
    CloseOperation close(old.first.Release());
    Submit(close);
    // The number is free as soon as the close is done: on some reactors before Poll, on all after.
    FdPair fresh;
    if (i % 4 < 2) fresh = MakeSocketPair();
    Await(close);
    if (i % 4 >= 2) fresh = MakeSocketPair();
    if (fresh.first.get() == number || fresh.second.get() == number) ++reused;
    Await(read);
    Await(poll);
    buffer.Release();
    GuardedBuffer fresh_buffer(10);
    ReadOperation fresh_read(fresh.first.get(), fresh_buffer.span());
    ReadOperation other_read(fresh.second.get(), fresh_buffer.span());
    Submit(fresh_read);
    Submit(other_read);
    ExpectNothingMore();
    Cancel(fresh_read);
    Cancel(other_read);
    Await(fresh_read);
    Await(other_read);
    Close(fresh.first);
    Close(fresh.second);
  }
  EXPECT_GE(2 * reused, share.size) << "the numbers were not used again: this test says nothing";
}

TEST_P(ReactorSuite, ADescriptorThatLivesOnAsADuplicateIsNotWatchedAnyMore) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(10);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  OwnedFd duplicate(::dup(pair.first.get()));
  Close(pair.first);
  EXPECT_EQ(read.result, -ECANCELED);
  WriteAll(pair.second.get(), "x");
  ExpectNothingMore();
  ReadOperation again(duplicate.get(), buffer.span());
  EXPECT_EQ(Do(again), 1);
  Close(duplicate);
}

}  // namespace
}  // namespace plait
