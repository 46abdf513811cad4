// What multishots give on a ring, on one thread and on the next. Traps: buffer, race, reuse.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_fixture.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_operation.h"

namespace plait {
namespace {

TEST_F(IoUringTest, OneMultishotAcceptsManyConnections) {
  TcpListener listener = MakeTcpListener();
  Collector collector(*reactor_);
  Multishot* const shots =
      reactor_->StartMultishot(IoOpcode::kAccept, listener.fd.get(), collector);
  ASSERT_NE(shots, nullptr);
  EXPECT_EQ(reactor_->in_flight(), 0u) << "it keeps no loop alive";
  std::vector<OwnedFd> clients;
  for (size_t i = 0; i < 100; ++i) {
    clients.push_back(MakeTcpSocket());
    ASSERT_EQ(::connect(clients.back().get(), listener.name(), sizeof(sockaddr_in)), 0);
    while (collector.fds().size() <= i) PollOnce(Deadline::Infinite());
  }
  for (size_t i = 0; i < clients.size(); ++i) {
    WriteAll(clients[i].get(), "x");
    EXPECT_EQ(ReadExactly(collector.fds()[i].get(), 1), "x");
    EXPECT_EQ(::fcntl(collector.fds()[i].get(), F_GETFD), FD_CLOEXEC);
  }
  reactor_->StopMultishot(*shots);
}

TEST_F(IoUringTest, ConnectionsThatWereAcceptedAndNotTakenAreClosedWhenItIsStopped) {
  TcpListener listener = MakeTcpListener();
  Collector collector(*reactor_, /*take=*/false);
  Multishot* const shots =
      reactor_->StartMultishot(IoOpcode::kAccept, listener.fd.get(), collector);
  ASSERT_NE(shots, nullptr);
  OwnedFd client = MakeTcpSocket();
  ASSERT_EQ(::connect(client.get(), listener.name(), sizeof(sockaddr_in)), 0);
  while (collector.calls() == 0) PollOnce(Deadline::Infinite());
  reactor_->StopMultishot(*shots);
  EXPECT_EQ(ReadExactly(client.get(), 1), "") << "the peer is told of the end";
}

TEST_F(IoUringTest, OneMultishotReceivesAllThatComesAndThenTheEnd) {
  FdPair pair = MakeTcpPair();
  Collector collector(*reactor_);
  Multishot* const shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
  ASSERT_NE(shots, nullptr);
  const std::string data = Pattern(300'000);
  for (size_t at = 0; at < data.size(); at += 1000) {
    WriteAll(pair.second.get(), absl::string_view(data).substr(at, 1000));
    while (collector.text().size() < at + 1000) PollOnce(Deadline::Infinite());
  }
  EXPECT_TRUE(collector.text() == data);
  EXPECT_FALSE(shots->ended());
  pair.second.Reset();
  while (!shots->ended()) PollOnce(Deadline::Infinite());
  EXPECT_EQ(shots->end(), 0);
  reactor_->StopMultishot(*shots);
}

TEST_F(IoUringTest, AResetEndsAMultishotWithIt) {
  FdPair pair = MakeTcpPair();
  Collector collector(*reactor_);
  Multishot* const shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
  ASSERT_NE(shots, nullptr);
  PollTillQuiet();
  CloseWithReset(std::move(pair.second));
  while (!shots->ended()) PollOnce(Deadline::Infinite());
  EXPECT_EQ(shots->end(), -ECONNRESET);
  reactor_->StopMultishot(*shots);
}

TEST_F(IoUringTest, APeerThatIsNotReadFromIsNotReadForEver) {
  FdPair pair = MakeTcpPair();
  Collector collector(*reactor_, /*take=*/false);
  Multishot* shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
  ASSERT_NE(shots, nullptr);
  // Far more than kMaxUntaken buffers hold.
  size_t sent = 0;
  for (int i = 0; i < 64; ++i) {
    sent += FillUp(pair.second.get());
    PollTillQuiet();
  }
  const size_t stuck = FillUp(pair.second.get());
  EXPECT_EQ(stuck, 0u) << "the peer still gets rid of its data";
  EXPECT_TRUE(shots->ended());
  EXPECT_EQ(shots->end(), -ENOBUFS) << "it has had its share of the buffers";
  // Taken, and begun again, all of it arrives.
  while (collector.text().size() < sent) {
    collector.Take(*shots);
    PollOnce(Deadline::Immediate());
    if (!shots->ended()) continue;
    ASSERT_EQ(shots->end(), -ENOBUFS);
    collector.Take(*shots);
    reactor_->StopMultishot(*shots);
    shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
    ASSERT_NE(shots, nullptr);
  }
  EXPECT_EQ(collector.text().size(), sent);
  reactor_->StopMultishot(*shots);
}

TEST_F(IoUringTest, WhereNoBufferIsLeftAMultishotEndsAndSaysSoAndMayBeBegunAgain) {
  Replace({.buffer_size = 16, .first_buffers = 1, .max_buffers = 2});
  constexpr size_t kPairs = 20;
  std::vector<FdPair> pairs;
  std::vector<std::unique_ptr<Collector>> collectors;
  std::vector<Multishot*> shots;
  const auto start = [&](size_t i) {
    return reactor_->StartMultishot(IoOpcode::kRead, pairs[i].first.get(), *collectors[i]);
  };
  for (size_t i = 0; i < kPairs; ++i) {
    pairs.push_back(MakeSocketPair());
    collectors.push_back(std::make_unique<Collector>(*reactor_));
    shots.push_back(start(i));
    ASSERT_NE(shots[i], nullptr);
  }
  const std::string data = Pattern(1000);
  for (FdPair& pair : pairs) WriteAll(pair.second.get(), data);
  int without_buffers = 0;
  for (size_t i = 0; i < kPairs; ++i) {
    while (collectors[i]->text().size() < data.size()) {
      PollOnce(Deadline::Immediate());
      if (!shots[i]->ended()) continue;
      ASSERT_EQ(shots[i]->end(), -ENOBUFS);
      ++without_buffers;
      reactor_->StopMultishot(*shots[i]);
      shots[i] = start(i);
    }
    EXPECT_TRUE(collectors[i]->text() == data);
  }
  EXPECT_GT(without_buffers, 0);
  for (Multishot* const each : shots) reactor_->StopMultishot(*each);
}

class IoUringReuseTest : public IoUringTest {
 protected:
  // A multishot is begun and stopped, and its descriptor closed, all in one turn; then its number
  // is another's.
  void ExpectNothingIsTakenFromTheNextOwner() {
    FdPair pair = MakeTcpPair();
    FdPair next = MakeTcpPair();
    WriteAll(next.second.get(), "keep");
    Collector collector(*reactor_);
    Multishot* const shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
    ASSERT_NE(shots, nullptr);
    reactor_->StopMultishot(*shots);
    const int number = pair.first.Release();
    CloseOperation close(number);
    close.next_turn = &turn_;
    reactor_->Submit(close);
    ASSERT_EQ(::fcntl(number, F_GETFD), -1);
    const OwnedFd again(::dup2(next.first.get(), number));
    PollTillQuiet();
    char kept[5] = {};
    EXPECT_EQ(::recv(again.get(), kept, sizeof(kept), MSG_DONTWAIT), 4) << "a multishot has it";
    EXPECT_STREQ(kept, "keep");
  }
};

TEST_F(IoUringReuseTest, AMultishotThatIsStoppedAtOnceTakesNothingFromTheNextOwnerOfItsNumber) {
  ExpectNothingIsTakenFromTheNextOwner();
}

TEST_F(IoUringReuseTest, NorDoesOneBehindARequestThatTheKernelTurnsDown) {
  // Already when it looks at the request.
  const std::string path(10'000, 'x');
  TestOperation open(IoOpcode::kOpen, AT_FDCWD);
  open.args.path = path.c_str();
  open.args.open = {.flags = O_RDONLY, .mode = 0};
  reactor_->Submit(open);
  ExpectNothingIsTakenFromTheNextOwner();
  EXPECT_EQ(open.result, -ENAMETOOLONG);
}

TEST_F(IoUringReuseTest, NorDoesOneThatTheKernelWouldNotHaveAtFirst) {
  for (const int error : {EINTR, EAGAIN, EBUSY, ENOMEM}) {
    PollTillQuiet();
    sys::FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    faults.Fail(sys::FaultInjection::kIoUringEnter, error, {.times = 2});
    ExpectNothingIsTakenFromTheNextOwner();
  }
}

TEST_F(IoUringReuseTest, NorDoesOneThatTheKernelWouldNotHaveUntilItsDescriptorWasClosed) {
  PollTillQuiet();
  sys::FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  faults.Fail(sys::FaultInjection::kIoUringEnter, ENOMEM, {.times = 15});
  ExpectNothingIsTakenFromTheNextOwner();
}

TEST_F(IoUringReuseTest, NorDoesOneOfManyOfWhichTheKernelTakesOneAtATime) {
  class OneAtATime final : public sys::SystemCalls {
   public:
    int IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                     const void* argument, size_t argument_size) noexcept override {
      return SystemCalls::IoUringEnter(ring, std::min(submit, 1U), wait_for, flags, argument,
                                       argument_size);
    }
  };
  PollTillQuiet();
  OneAtATime calls;
  const sys::ScopedSystemCalls scope(calls);
  const std::string path(10'000, 'x');
  TestOperation open(IoOpcode::kOpen, AT_FDCWD);
  open.args.path = path.c_str();
  open.args.open = {.flags = O_RDONLY, .mode = 0};
  open.next_turn = &turn_;
  reactor_->Submit(open);
  ExpectNothingIsTakenFromTheNextOwner();
  EXPECT_EQ(open.result, -ENAMETOOLONG);
}

TEST_F(IoUringTest, AMultishotIsAReasonToPoll) {
  FdPair pair = MakeTcpPair();
  EXPECT_FALSE(reactor_->expects_results());
  Collector collector(*reactor_);
  Multishot* const shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
  ASSERT_NE(shots, nullptr);
  EXPECT_TRUE(reactor_->expects_results());
  reactor_->StopMultishot(*shots);
  PollTillQuiet();
  EXPECT_FALSE(reactor_->expects_results());
}

TEST_F(IoUringTest, AMultishotMayBeStoppedWhileItsDeliveryIsOnItsWay) {
  for (int i = 0; i < Repeats(100); ++i) {
    FdPair pair = MakeSocketPair();
    Collector collector(*reactor_, /*take=*/false);
    Multishot* const shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
    ASSERT_NE(shots, nullptr);
    WriteAll(pair.second.get(), "hello");
    WorkQueue ready;
    while (ready.empty()) reactor_->Poll(Deadline::Infinite(), Clock::Real(), ready);
    reactor_->StopMultishot(*shots);
    while (WorkItem* item = ready.Pop()) item->run(*item);
    EXPECT_EQ(collector.calls(), 0) << "it was stopped";
    CloseOperation close(pair.first.Release());
    EXPECT_EQ(Do(close), 0);
  }
  PollTillQuiet();
  EXPECT_EQ(reactor_->in_flight(), 0u);
}

TEST_F(IoUringTest, AReactorThatIsDestroyedTellsItsMultishots) {
  TcpListener listener = MakeTcpListener();
  FdPair pair = MakeTcpPair();
  Collector accepts(*reactor_, /*take=*/false);
  Collector receives(*reactor_, /*take=*/false);
  ASSERT_NE(reactor_->StartMultishot(IoOpcode::kAccept, listener.fd.get(), accepts), nullptr);
  ASSERT_NE(reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), receives), nullptr);
  OwnedFd client = MakeTcpSocket();
  ASSERT_EQ(::connect(client.get(), listener.name(), sizeof(sockaddr_in)), 0);
  WriteAll(pair.second.get(), "hello");
  while (accepts.calls() == 0 || receives.calls() == 0) PollOnce(Deadline::Infinite());
  reactor_ = nullptr;
  EXPECT_TRUE(accepts.gone());
  EXPECT_TRUE(receives.gone());
  EXPECT_EQ(ReadExactly(client.get(), 1), "") << "what was accepted and not taken is closed";
}

TEST_F(IoUringTest, MultishotsGoOnOnAnotherThread) {
  FdPair pair = MakeTcpPair();
  Collector collector(*reactor_);
  Multishot* const shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
  ASSERT_NE(shots, nullptr);
  std::string expected;
  for (int i = 0; i < Repeats(20); ++i) {
    Thread thread = StartThread("other", [&] {
      WriteAll(pair.second.get(), "here ");
      expected += "here ";
      while (collector.text() != expected) PollOnce(Deadline::Infinite());
      // Comes while nobody looks, and is received by whoever looks next.
      WriteAll(pair.second.get(), "between ");
      expected += "between ";
    });
    thread.join();
  }
  while (collector.text() != expected) PollOnce(Deadline::Infinite());
  reactor_->StopMultishot(*shots);
}

TEST_F(IoUringTest, ResultsThatNobodyTookMoveToAnotherThreadToo) {
  Replace({.buffer_size = 16, .first_buffers = 64, .max_buffers = 64});
  FdPair pair = MakeTcpPair();
  Collector collector(*reactor_, /*take=*/false);
  Multishot* const shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
  ASSERT_NE(shots, nullptr);
  const std::string data = Pattern(1000);
  WriteAll(pair.second.get(), data);
  while (collector.calls() == 0) PollOnce(Deadline::Infinite());
  Thread thread = StartThread("other", [&] {
    while (collector.text().size() < data.size()) {
      PollOnce(Deadline::Immediate());
      collector.Take(*shots);
    }
    reactor_->StopMultishot(*shots);
  });
  thread.join();
  EXPECT_TRUE(collector.text() == data);
}

TEST_F(IoUringTest, AnOldKernelHasNoMultishots) {
  Replace({.without = {.multishot = true}});
  TcpListener listener = MakeTcpListener();
  Collector collector(*reactor_);
  EXPECT_EQ(reactor_->StartMultishot(IoOpcode::kAccept, listener.fd.get(), collector), nullptr);
}

}  // namespace
}  // namespace plait
