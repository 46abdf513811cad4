// ReactorSuite: kPoll.
#include <netinet/in.h>
#include <sys/socket.h>

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

}  // namespace
}  // namespace plait
