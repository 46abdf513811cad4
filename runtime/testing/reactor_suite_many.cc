// ReactorSuite: many operations, fairness, what one costs, and running out of descriptors.
#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// --- many ---

TEST_P(ReactorSuite, AThousandDescriptorsAtOnce) {
  constexpr int kPairs = 1000;
  std::vector<FdPair> pairs;
  std::deque<GuardedBuffer> buffers;
  std::deque<ReadOperation> reads;
  for (int i = 0; i < kPairs; ++i) {
    pairs.push_back(MakeSocketPair());
    buffers.emplace_back(4);
    Submit(reads.emplace_back(pairs.back().first.get(), buffers.back().span()));
  }
  EXPECT_EQ(reactor().in_flight(), static_cast<size_t>(kPairs));
  ExpectNothingMore();
  std::vector<int> order(kPairs);
  for (int i = 0; i < kPairs; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::minstd_rand(7));
  for (const int i : order) {
    WriteAll(pairs[i].second.get(),
             absl::string_view(reinterpret_cast<const char*>(&i), sizeof(i)));
  }
  for (int i = 0; i < kPairs; ++i) {
    Await(reads[i]);
    ASSERT_EQ(reads[i].result, 4);
    EXPECT_EQ(*reinterpret_cast<const int*>(buffers[i].data()), i);
  }
  EXPECT_EQ(reactor().in_flight(), 0u);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, Line65ASocketThatIsAlwaysReadyDoesNotStarveTheOthers) {
  FdPair busy = MakeSocketPair();
  FdPair quiet = MakeSocketPair();
  GuardedBuffer byte(1);
  ReadOperation again(busy.first.get(), byte.span());
  again.on_delivery = [&] {
    WriteAll(busy.second.get(), "x");
    Submit(again);
  };
  WriteAll(busy.second.get(), "x");
  Submit(again);
  for (int i = 0; i < 8; ++i) PollOnce(Deadline::Immediate());
  GuardedBuffer buffer(1);
  ReadOperation read(quiet.first.get(), buffer.span());
  Submit(read);
  WriteAll(quiet.second.get(), "y");
  int polls = 0;
  while (!read.delivered() && polls < 100) {
    PollOnce(Deadline::Immediate());
    ++polls;
  }
  EXPECT_TRUE(read.delivered());
  EXPECT_LT(polls, 100);
  again.on_delivery = nullptr;
  while (reactor().in_flight() > 0) PollOnce(Deadline::Infinite());
}

TEST_P(ReactorSuite, AnOperationAllocatesNothing) {
  FdPair pair = MakeTcpPair();
  GuardedBuffer buffer(4);
  ReadOperation read(pair.first.get(), buffer.span());
  WriteOperation write(pair.second.get(), "ping");
  PollOperation poll(pair.first.get(), kPollWritable);
  const auto round = [&] {
    Submit(read);
    Submit(poll);
    Submit(write);
    while (reactor().in_flight() > 0) PollOnce(Deadline::Infinite());
    Submit(read);
    Cancel(read);
    while (reactor().in_flight() > 0) PollOnce(Deadline::Infinite());
  };
  for (int i = 0; i < 10; ++i) round();
  const int64_t before = AllocationCount();
  for (int i = 0; i < 1000; ++i) round();
  EXPECT_EQ(AllocationCount() - before, 0);
}

// --- running out of descriptors. Lines 41, 42 ---

// No descriptor can be made while it lives.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    PLAIT_CHECK(::getrlimit(RLIMIT_NOFILE, &limit_) == 0, "getrlimit");
    // The next free number is one too many.
    const OwnedFd next(::dup(0));
    PLAIT_CHECK(next.get() >= 0, "dup");
    const rlimit none_left{.rlim_cur = static_cast<rlim_t>(next.get()),
                           .rlim_max = limit_.rlim_max};
    PLAIT_CHECK(::setrlimit(RLIMIT_NOFILE, &none_left) == 0, "setrlimit");
  }
  NoDescriptorsLeft(const NoDescriptorsLeft&) = delete;
  NoDescriptorsLeft& operator=(const NoDescriptorsLeft&) = delete;
  ~NoDescriptorsLeft() { PLAIT_CHECK(::setrlimit(RLIMIT_NOFILE, &limit_) == 0, "setrlimit"); }

 private:
  rlimit limit_{};
};

TEST_P(ReactorSuite, Line42AFailedAcceptKeepsTheListener) {
  TcpListener listener = MakeTcpListener();
  OwnedFd client = MakeTcpSocket();
  ASSERT_EQ(::connect(client.get(), listener.name(), sizeof(sockaddr_in)), 0);
  // Once with room: the undefined-behaviour sanitizer needs descriptors where it meets a type for
  // the first time.
  AcceptOperation first(listener.fd.get());
  ASSERT_GE(Do(first), 0);
  first.Take();
  OwnedFd second = MakeTcpSocket();
  ASSERT_EQ(::connect(second.get(), listener.name(), sizeof(sockaddr_in)), 0);
  {
    const NoDescriptorsLeft scope;
    AcceptOperation fails(listener.fd.get());
    EXPECT_EQ(Do(fails), -EMFILE);
  }
  AcceptOperation works(listener.fd.get());
  ASSERT_GE(Do(works), 0);
  works.Take();
}

// How often to try again is the server's business; the reactor only must not go round in circles
// while a connection waits that nobody can take.
TEST_P(ReactorSuite, Line41AConnectionThatFindsNoDescriptorDoesNotMakePollSpin) {
  TcpListener listener = MakeTcpListener();
  AcceptOperation first(listener.fd.get());
  Submit(first);
  OwnedFd taken = MakeTcpSocket();
  ASSERT_EQ(::connect(taken.get(), listener.name(), sizeof(sockaddr_in)), 0);
  Await(first);
  first.Take();
  FdPair quiet = MakeSocketPair();
  GuardedBuffer buffer(1);
  ReadOperation waits(quiet.first.get(), buffer.span());
  Submit(waits);
  OwnedFd client = MakeTcpSocket();
  {
    const NoDescriptorsLeft scope;
    ASSERT_EQ(::connect(client.get(), listener.name(), sizeof(sockaddr_in)), 0);
    AcceptOperation fails(listener.fd.get());
    EXPECT_EQ(Do(fails), -EMFILE);
    const Deadline deadline = In(absl::Milliseconds(20));
    int polls = 0;
    while (Clock::Real().Now() < deadline) {
      PollOnce(deadline);
      ++polls;
    }
    EXPECT_LT(polls, 50);
  }
  // It recovers without another connection coming.
  AcceptOperation works(listener.fd.get());
  ASSERT_GE(Do(works), 0);
  works.Take();
  Cancel(waits);
  Await(waits);
}

}  // namespace
}  // namespace plait
