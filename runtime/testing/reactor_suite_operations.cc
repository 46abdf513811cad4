// ReactorSuite, the raw half: operations through Submit, Cancel, Poll and Wake.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/test_clock.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcquire;
using internal::kRelease;

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
  constexpr int kRounds = 500;
  Thread peer = StartThread("peer", [&] {
    for (int i = 0; i < kRounds; ++i) {
      WriteAll(pair.second.get(), "ping");
      EXPECT_EQ(ReadExactly(pair.second.get(), 4), "pong");
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    GuardedBuffer buffer(4);
    ReadOperation read(pair.first.get(), buffer.span());
    ASSERT_EQ(Do(read), 4);
    GuardedBuffer answer("pong");
    WriteOperation write(pair.first.get(), answer.text(4));
    ASSERT_EQ(Do(write), 4);
  }
  peer.join();
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
  char byte = 'x';
  sockaddr_in address{};
  for (const int fd : {-1, INT_MIN, number, 1'000'000, INT_MAX}) {
    SCOPED_TRACE(fd);
    ReadOperation read(fd, absl::MakeSpan(&byte, 1));
    WriteOperation write(fd, absl::string_view(&byte, 1));
    AcceptOperation accept(fd);
    ConnectOperation connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    PollOperation poll(fd, kPollReadable);
    CloseOperation close(fd);
    ReadOperation read_at(fd, absl::MakeSpan(&byte, 1), 0);
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

// --- cancel. Traps: race, buffer ---

TEST_P(ReactorSuite, ACancelledReadIsDeliveredOnceAndItsBufferIsLeftAlone) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  ExpectNothingMore();
  Cancel(read);
  Cancel(read);  // again does nothing
  Await(read);
  EXPECT_EQ(read.result, -ECANCELED);
  buffer.Release();
  WriteAll(pair.second.get(), "hello");
  ExpectNothingMore();
  GuardedBuffer second(5);
  ReadOperation next(pair.first.get(), second.span());
  EXPECT_EQ(Do(next), 5);
  EXPECT_EQ(second.text(5), "hello");
}

TEST_P(ReactorSuite, EveryKindOfWaitingOperationCanBeCancelled) {
  FdPair pair = MakeSocketPair();
  TcpListener listener = MakeTcpListener();
  FullListener full = MakeFullListener();
  OwnedFd client = MakeTcpSocket();
  FillUp(pair.first.get());
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  WriteOperation write(pair.first.get(), buffer.text(5));
  PollOperation poll(pair.first.get(), kPollReadable | kPollWritable);
  AcceptOperation accept(listener.fd.get());
  ConnectOperation connect(client.get(), full.listener.name(), sizeof(sockaddr_in));
  const std::vector<TestOperation*> all = {&read, &write, &poll, &accept, &connect};
  for (TestOperation* operation : all) Submit(*operation);
  ExpectNothingMore();
  for (TestOperation* operation : all) Cancel(*operation);
  for (TestOperation* operation : all) {
    Await(*operation);
    EXPECT_EQ(operation->result, -ECANCELED) << static_cast<int>(operation->opcode);
  }
  ExpectNothingMore();
}

TEST_P(ReactorSuite, ACancelAfterTheDataLosesNothing) {
  FdPair pair = MakeSocketPair();
  for (int i = 0; i < 100; ++i) {
    GuardedBuffer buffer(5);
    ReadOperation read(pair.first.get(), buffer.span());
    const bool data_first = i % 2 == 0;
    if (data_first) WriteAll(pair.second.get(), "hello");
    Submit(read);
    if (!data_first) WriteAll(pair.second.get(), "hello");
    Cancel(read);
    Await(read);
    if (read.result == -ECANCELED) {
      EXPECT_EQ(Drain(pair.first.get()), "hello");
    } else {
      ASSERT_EQ(read.result, 5);
      EXPECT_EQ(buffer.text(5), "hello");
      EXPECT_EQ(Drain(pair.first.get()), "");
    }
  }
}

TEST_P(ReactorSuite, ACancelAfterAnAcceptLosesNoConnection) {
  TcpListener listener = MakeTcpListener();
  for (int i = 0; i < 50; ++i) {
    OwnedFd client = MakeTcpSocket();
    ASSERT_EQ(::connect(client.get(), listener.name(), sizeof(sockaddr_in)), 0);
    AcceptOperation accept(listener.fd.get());
    Submit(accept);
    Cancel(accept);
    Await(accept);
    if (accept.result == -ECANCELED) {
      AcceptOperation again(listener.fd.get());
      ASSERT_GE(Do(again), 0);
      again.Take();
    } else {
      ASSERT_GE(accept.result, 0);
      accept.Take();
    }
  }
}

// What a coroutine does that is cancelled by another one in the turn in which its operation has
// arrived.
TEST_P(ReactorSuite, ACancelBetweenDeliveryAndRunDoesNothing) {
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), "hello");
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  WorkQueue ready;
  while (ready.empty()) reactor().Poll(Deadline::Infinite(), Clock::Real(), ready);
  EXPECT_EQ(reactor().in_flight(), 0u);
  Cancel(read);
  EXPECT_EQ(ready.Pop(), &read);
  EXPECT_EQ(read.result, 5);
  EXPECT_EQ(buffer.text(5), "hello");
  ExpectNothingMore();
}

TEST_P(ReactorSuite, CancellingOneOfSeveralKeepsTheOrderOfTheOthers) {
  FdPair pair = MakeSocketPair();
  constexpr int kReads = 7;
  std::vector<std::unique_ptr<GuardedBuffer>> buffers;
  std::deque<ReadOperation> reads;
  for (int i = 0; i < kReads; ++i) {
    buffers.push_back(std::make_unique<GuardedBuffer>(1));
    reads.emplace_back(pair.first.get(), buffers.back()->span());
    Submit(reads.back());
  }
  for (const int i : {0, 3, 6}) {
    Cancel(reads[i]);
    Await(reads[i]);
    EXPECT_EQ(reads[i].result, -ECANCELED);
    buffers[i]->Release();
  }
  WriteAll(pair.second.get(), "abcd");
  std::string received;
  for (const int i : {1, 2, 4, 5}) {
    Await(reads[i]);
    ASSERT_EQ(reads[i].result, 1);
    received += buffers[i]->text(1)[0];
  }
  EXPECT_EQ(received, "abcd");
}

// Whatever is submitted, cancelled and polled in whatever order: every operation arrives once, with
// bytes moved or as cancelled, and what was read is what was written, in order. Lines 26, 27, 46.
TEST_P(ReactorSuite, NoOrderOfCallsLosesOrRepeatsAByte) {
  struct Conversation {
    FdPair pair;
    std::string sent;
    std::string received;
  };
  struct Pending {
    std::unique_ptr<GuardedBuffer> buffer;
    std::unique_ptr<TestOperation> operation;
  };
  for (unsigned seed = 1; seed <= 15; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::minstd_rand draw(seed);
    std::deque<Conversation> conversations;
    for (int i = 0; i < 4; ++i) {
      conversations.push_back({.pair = i % 2 == 0 ? MakeSocketPair() : MakeTcpPair()});
      SetBufferSizes(conversations.back().pair.first.get(), 4096);
    }
    std::deque<Pending> pending;
    const auto submit = [&](Conversation& conversation, bool reads) {
      const size_t size = 1 + draw() % 8000;
      Pending& added = pending.emplace_back();
      if (reads) {
        added.buffer = std::make_unique<GuardedBuffer>(size);
        added.operation =
            std::make_unique<ReadOperation>(conversation.pair.second.get(), added.buffer->span());
      } else {
        added.buffer =
            std::make_unique<GuardedBuffer>(Pattern(size, static_cast<unsigned>(draw())));
        added.operation = std::make_unique<WriteOperation>(conversation.pair.first.get(),
                                                           added.buffer->text(size));
      }
      GuardedBuffer& buffer = *added.buffer;
      TestOperation& operation = *added.operation;
      std::string& log = reads ? conversation.received : conversation.sent;
      operation.on_delivery = [&operation, &buffer, &log] {
        if (operation.result >= 0) {
          log += std::string(buffer.text(static_cast<size_t>(operation.result)));
        } else {
          EXPECT_EQ(operation.result, -ECANCELED);
        }
        buffer.Release();
      };
      Submit(operation);
    };
    for (int step = 0; step < 400; ++step) {
      switch (draw() % 6) {
        case 0:
        case 1:
          submit(conversations[draw() % 4], /*reads=*/true);
          break;
        case 2:
        case 3:
          submit(conversations[draw() % 4], /*reads=*/false);
          break;
        case 4:
          if (!pending.empty()) {
            TestOperation& operation = *pending[draw() % pending.size()].operation;
            if (!operation.delivered()) Cancel(operation);
          }
          break;
        case 5:
          PollOnce(Deadline::Immediate());
          break;
      }
    }
    for (Pending& each : pending) {
      if (!each.operation->delivered()) Cancel(*each.operation);
    }
    for (Pending& each : pending) Await(*each.operation);
    EXPECT_EQ(reactor().in_flight(), 0u);
    for (Conversation& conversation : conversations) {
      // The end, so that reading on takes in what the network still holds.
      ASSERT_EQ(::shutdown(conversation.pair.first.get(), SHUT_WR), 0);
      ::fcntl(conversation.pair.second.get(), F_SETFL, 0);
      conversation.received += ReadExactly(conversation.pair.second.get(), 1 << 30);
      EXPECT_TRUE(conversation.received == conversation.sent);
      Close(conversation.pair.first);
      Close(conversation.pair.second);
    }
  }
}

// --- waiting. Trap: park ---

TEST_P(ReactorSuite, PollWithAnImmediateDeadlineDoesNotBlock) {
  FdPair pair = MakeSocketPair();
  EXPECT_EQ(PollOnce(Deadline::Immediate()), 0);
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(PollOnce(Deadline::Immediate()), 0);
  Cancel(read);
  Await(read);
}

TEST_P(ReactorSuite, PollReturnsByItsDeadlineAndMayBeCalledWithOneThatHasPassed) {
  const Deadline deadline = In(absl::Milliseconds(5));
  while (Clock::Real().Now() < deadline) PollOnce(deadline);
  PollOnce(deadline);
  PollOnce(Deadline::AtNanos(0));
  PollOnce(Deadline::AtNanos(1));
  PollOnce(Deadline::AtNanos(std::numeric_limits<int64_t>::min() + 1));
  EXPECT_EQ(reactor().in_flight(), 0u);
}

TEST_P(ReactorSuite, PollWaitsOutAShortDeadlineInsteadOfSpinning) {
  const Deadline deadline = In(absl::Milliseconds(20));
  int polls = 0;
  while (Clock::Real().Now() < deadline) {
    PollOnce(deadline);
    ++polls;
  }
  EXPECT_LT(polls, 50);
}

TEST_P(ReactorSuite, PollMeasuresItsDeadlineByTheClockThatItIsGiven) {
  TestClock clock;
  clock.Advance(absl::Hours(10));
  WorkQueue ready;
  // In the past by this clock, though far ahead of the machine's if that was started a moment ago.
  reactor().Poll(clock.Now() + absl::ZeroDuration(), clock, ready);
  EXPECT_TRUE(ready.empty());
}

TEST_P(ReactorSuite, AVeryLateDeadlineDoesNotWrap) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  Thread peer = StartThread("peer", [&] { WriteAll(pair.second.get(), "x"); });
  while (!read.delivered()) {
    PollOnce(Deadline::AtNanos(std::numeric_limits<int64_t>::max() - 1));
  }
  peer.join();
  EXPECT_EQ(read.result, 1);
}

TEST_P(ReactorSuite, AWakeBeforePollIsNotLost) {
  reactor().Wake();
  PollOnce(Deadline::Infinite());  // or never
  for (int i = 0; i < 1000; ++i) reactor().Wake();
  PollOnce(Deadline::Infinite());
  EXPECT_EQ(reactor().in_flight(), 0u);
}

TEST_P(ReactorSuite, Line14NoWakeFromAnotherThreadIsLost) {
  constexpr int kRounds = 3000;
  Atomic<int> asked{0};
  Atomic<int> answered{0};
  Thread other = StartThread("waker", [&] {
    for (int i = 1; i <= kRounds; ++i) {
      asked.store(i, kRelease);
      reactor().Wake();
      for (int spin = 0; answered.load(kAcquire) != i; ++spin) internal::SpinWait(spin);
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    while (asked.load(kAcquire) != i) PollOnce(Deadline::Infinite());
    answered.store(i, kRelease);
  }
  other.join();
}

TEST_P(ReactorSuite, Line12ManyWakesMayCoalesceButWakeAPollThatIsUnderWay) {
  constexpr int kThreads = 4;
  Atomic<int> ended{0};
  std::vector<Thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.push_back(StartThread("waker", [&] {
      for (int n = 0; n < 1000; ++n) reactor().Wake();
      ended.fetch_add(1, internal::kAcqRel);
      reactor().Wake();
    }));
  }
  while (ended.load(kAcquire) != kThreads) PollOnce(Deadline::Infinite());
  for (Thread& thread : threads) thread.join();
}

TEST_P(ReactorSuite, Line14ASignalThatInterruptsPollLosesNothing) {
  struct sigaction action{};
  action.sa_handler = +[](int) {};  // without SA_RESTART
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  const pthread_t owner = ::pthread_self();
  Thread peer = StartThread("signals", [&, owner] {
    for (int i = 0; i < 500; ++i) ::pthread_kill(owner, SIGUSR1);
    WriteAll(pair.second.get(), "hello");
    for (int i = 0; i < 500; ++i) ::pthread_kill(owner, SIGUSR1);
  });
  Await(read);
  EXPECT_EQ(buffer.text(5), "hello");
  peer.join();
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

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

// --- the end of the conversation. Lines 28, 29, 32, 33, 48 ---

TEST_P(ReactorSuite, Line28TheEndIsReadAfterAllTheDataAndAgainWhenAskedAgain) {
  for (const bool tcp : {false, true}) {
    FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
    GuardedBuffer buffer(100);
    ReadOperation first(pair.first.get(), buffer.span());
    Submit(first);
    WriteAll(pair.second.get(), "last");
    pair.second.Reset();
    Await(first);
    EXPECT_EQ(first.result, 4);
    for (int i = 0; i < 3; ++i) {
      ReadOperation end(pair.first.get(), buffer.span());
      EXPECT_EQ(Do(end), 0);
    }
    ExpectNothingMore();
    Close(pair.first);
  }
}

TEST_P(ReactorSuite, Line29AHalfClosedConnectionStillReadsAndWrites) {
  FdPair pair = MakeTcpPair();
  GuardedBuffer buffer(100);
  ASSERT_EQ(::shutdown(pair.second.get(), SHUT_WR), 0);
  ReadOperation end(pair.first.get(), buffer.span());
  EXPECT_EQ(Do(end), 0);
  WriteOperation write(pair.first.get(), "still here");
  EXPECT_EQ(Do(write), 10);
  EXPECT_EQ(ReadExactly(pair.second.get(), 10), "still here");

  FdPair other = MakeTcpPair();
  ASSERT_EQ(::shutdown(other.first.get(), SHUT_WR), 0);
  ReadOperation read(other.first.get(), buffer.span());
  Submit(read);
  WriteAll(other.second.get(), "hello");
  Await(read);
  EXPECT_EQ(read.result, 5);
  WriteOperation refused(other.first.get(), "x");
  EXPECT_EQ(Do(refused), -EPIPE);
}

class SigpipeIsFatal {
 public:
  SigpipeIsFatal() { before_ = ::signal(SIGPIPE, SIG_DFL); }
  ~SigpipeIsFatal() {
    sigset_t pending;
    ::sigpending(&pending);
    EXPECT_FALSE(::sigismember(&pending, SIGPIPE));
    ::signal(SIGPIPE, before_);
  }

 private:
  sighandler_t before_;
};

TEST_P(ReactorSuite, Line32WritingToAPeerThatIsGoneFailsAndRaisesNoSignal) {
  const SigpipeIsFatal fatal;
  {
    FdPair pair = MakeSocketPair();
    pair.second.Reset();
    WriteOperation write(pair.first.get(), "x");
    EXPECT_EQ(Do(write), -EPIPE);
    Close(pair.first);
  }
  {
    FdPair pipe = MakePipe();
    pipe.first.Reset();
    WriteOperation write(pipe.second.get(), "x");
    EXPECT_EQ(Do(write), -EPIPE);
    Close(pipe.second);
  }
  {
    FdPair pair = MakeTcpPair();
    CloseWithReset(std::move(pair.second));
    WriteOperation write(pair.first.get(), "x");
    const int32_t result = Do(write);
    EXPECT_TRUE(result == -ECONNRESET || result == -EPIPE) << result;
    WriteOperation again(pair.first.get(), "x");
    EXPECT_EQ(Do(again), -EPIPE);
  }
}

TEST_P(ReactorSuite, Line32AWriteThatIsWaitingFailsWhenThePeerGoes) {
  const SigpipeIsFatal fatal;
  for (int kind = 0; kind < 3; ++kind) {
    SCOPED_TRACE(kind);
    FdPair pair = kind == 0 ? MakeSocketPair() : kind == 1 ? MakeTcpPair() : MakePipe();
    if (kind == 2) std::swap(pair.first, pair.second);
    FillUp(pair.first.get());
    GuardedBuffer data("waiting");
    WriteOperation write(pair.first.get(), data.text(7));
    Submit(write);
    ExpectNothingMore();
    if (kind == 1) {
      CloseWithReset(std::move(pair.second));
    } else {
      pair.second.Reset();
    }
    Await(write);
    EXPECT_TRUE(write.result == -EPIPE || write.result == -ECONNRESET) << write.result;
    Close(pair.first);
  }
}

TEST_P(ReactorSuite, Line33AResetIsReadAsEconnreset) {
  for (const bool waiting : {false, true}) {
    FdPair pair = MakeTcpPair();
    GuardedBuffer buffer(10);
    ReadOperation read(pair.first.get(), buffer.span());
    if (waiting) {
      Submit(read);
      ExpectNothingMore();
    }
    CloseWithReset(std::move(pair.second));
    if (!waiting) Submit(read);
    Await(read);
    EXPECT_EQ(read.result, -ECONNRESET);
    buffer.Release();
    ExpectNothingMore();
    Close(pair.first);
  }
}

TEST_P(ReactorSuite, Line48AHangUpDoesNotMakePollSpin) {
  FdPair pair = MakeSocketPair();
  FdPair tcp = MakeTcpPair();
  FdPair pipe = MakePipe();
  OwnedFd unconnected = MakeTcpSocket();
  GuardedBuffer buffer(1);
  // Each is known to the reactor, and then hangs up.
  for (const int fd : {pair.first.get(), tcp.first.get(), pipe.second.get()}) {
    WriteOperation write(fd, "x");
    EXPECT_EQ(Do(write), 1);
  }
  PollOperation poll(unconnected.get(), 0);  // hung up as it is
  EXPECT_GT(Do(poll), 0);
  pair.second.Reset();
  CloseWithReset(std::move(tcp.second));
  pipe.first.Reset();
  const Deadline deadline = In(absl::Milliseconds(20));
  int polls = 0;
  while (Clock::Real().Now() < deadline) {
    PollOnce(deadline);
    ++polls;
  }
  EXPECT_LT(polls, 50);
}

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

// Unix sockets have no way to wait for room in a listener's queue: EAGAIN is the answer, where a
// reactor cannot do better.
TEST_P(ReactorSuite, AConnectToAFullUnixListenerEnds) {
  UnixListener listener = MakeUnixListener(/*backlog=*/0);
  std::vector<OwnedFd> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(MakeUnixSocket());
    ConnectOperation connect(clients.back().get(), listener.name(), listener.size);
    Submit(connect);
    for (int n = 0; n < 16; ++n) PollOnce(Deadline::Immediate());
    if (!connect.delivered()) {
      AcceptOperation accept(listener.fd.get());
      EXPECT_GE(Do(accept), 0);
      accept.Take();
      Await(connect);
    }
    EXPECT_TRUE(connect.result == 0 || connect.result == -EAGAIN) << connect.result;
  }
}

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
  for (int i = 0; i < 200; ++i) {
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
    // The number is free as soon as the close is done, for some before Poll.
    FdPair fresh = MakeSocketPair();
    if (fresh.first.get() == number || fresh.second.get() == number) ++reused;
    Await(close);
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
  EXPECT_GT(reused, 100) << "the numbers were not used again: this test says nothing";
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

// --- regular files. Traps: buffer, race (the blocking thread against the end of the reactor) ---

TEST_P(ReactorSuite, FilesAreReadAndWritten) {
  OwnedFd file = MakeFile("0123456789");
  GuardedBuffer buffer(4);
  ReadOperation at(file.get(), buffer.span(), 3);
  EXPECT_EQ(Do(at), 4);
  EXPECT_EQ(buffer.text(4), "3456");
  ReadOperation from_start(file.get(), buffer.span());
  EXPECT_EQ(Do(from_start), 4);
  EXPECT_EQ(buffer.text(4), "0123");
  WriteOperation in_order(file.get(), "abc");
  EXPECT_EQ(Do(in_order), 3);
  WriteOperation write_at(file.get(), "xy", 8);
  EXPECT_EQ(Do(write_at), 2);
  EXPECT_EQ(FileContent(file.get()), "0123abc7xy");
  ReadOperation end(file.get(), buffer.span(), 10);
  EXPECT_EQ(Do(end), 0);
  PollOperation poll(file.get(), kPollReadable | kPollWritable);
  EXPECT_EQ(Do(poll), static_cast<int32_t>(kPollReadable | kPollWritable));
  Close(file);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, Line46TransfersOfAFileWithoutAPositionAreServedInOrder) {
  ThreadExecutor several(4);
  ReplaceReactor(&several);
  const std::string content = Pattern(100'000);
  OwnedFd file = MakeFile(content);
  OwnedFd copy = MakeFile("");
  std::deque<GuardedBuffer> buffers;
  std::deque<ReadOperation> reads;
  std::deque<WriteOperation> writes;
  for (int i = 0; i < 100; ++i) {
    buffers.emplace_back(1000);
    Submit(reads.emplace_back(file.get(), buffers.back().span()));
    Submit(writes.emplace_back(copy.get(), absl::string_view(content).substr(i * 1000, 1000)));
  }
  std::string read;
  for (int i = 0; i < 100; ++i) {
    Await(reads[i]);
    Await(writes[i]);
    ASSERT_EQ(reads[i].result, 1000);
    ASSERT_EQ(writes[i].result, 1000);
    read += std::string(buffers[i].text(1000));
  }
  EXPECT_TRUE(read == content);
  EXPECT_TRUE(FileContent(copy.get()) == content);
  ReplaceReactor(nullptr);
}

TEST_P(ReactorSuite, WithoutABlockingExecutorFilesWorkOrAreRefused) {
  ReplaceReactor(nullptr);
  OwnedFd file = MakeFile("hello");
  GuardedBuffer buffer(5);
  ReadOperation read(file.get(), buffer.span());
  const int32_t result = Do(read);
  if (result != -EPERM) {
    EXPECT_EQ(result, 5);
    EXPECT_EQ(buffer.text(5), "hello");
  }
  WriteOperation write(file.get(), "x", 0);
  EXPECT_EQ(Do(write), result == -EPERM ? -EPERM : 1);
  Close(file);
}

TEST_P(ReactorSuite, ClosingAFileWaitsForTheTransfersThatHaveBegun) {
  blocking().Pause();
  OwnedFd file = MakeFile("hello");
  std::deque<GuardedBuffer> buffers;
  std::deque<ReadOperation> reads;
  for (int i = 0; i < 4; ++i) {
    buffers.emplace_back(5);
    Submit(reads.emplace_back(file.get(), buffers.back().span(), i % 2 == 0 ? 0 : -1));
  }
  const int number = file.Release();
  CloseOperation close(number);
  Submit(close);
  PollOnce(Deadline::Immediate());
  blocking().Resume();
  Await(close);
  EXPECT_EQ(close.result, 0);
  for (ReadOperation& read : reads) {
    EXPECT_EQ(read.deliveries, 1);
    EXPECT_TRUE(read.result == 5 || read.result == -ECANCELED) << read.result;
    EXPECT_LT(read.turn, close.turn);
  }
  buffers.clear();
  ReadOperation late(number, absl::Span<char>());
  EXPECT_EQ(Do(late), -EBADF);
}

TEST_P(ReactorSuite, ACancelledFileTransferEndsOnce) {
  OwnedFd file = MakeFile("hello");
  for (int i = 0; i < 200; ++i) {
    GuardedBuffer buffer(5);
    ReadOperation first(file.get(), buffer.span(), 0);
    ReadOperation second(file.get(), buffer.span());
    ReadOperation third(file.get(), buffer.span());
    for (TestOperation* read : {&first, &second, &third}) Submit(*read);
    if (i % 2 == 0) PollOnce(Deadline::Immediate());
    for (TestOperation* read : {&third, &first, &second}) {
      if (!read->delivered()) Cancel(*read);
    }
    for (TestOperation* read : {&first, &second, &third}) {
      Await(*read);
      EXPECT_TRUE(read->result == 5 || read->result == 0 || read->result == -ECANCELED)
          << read->result;
    }
  }
}

TEST_P(ReactorSuite, AReactorMayBeDestroyedAsSoonAsItsLastFileTransferIsDelivered) {
  OwnedFd file = MakeFile("hello");
  for (int i = 0; i < 300; ++i) {
    GuardedBuffer buffer(5);
    ReadOperation read(file.get(), buffer.span(), 0);
    Submit(read);
    // Without sleeping: the blocking thread may still be about to wake the reactor when it goes.
    while (!read.delivered()) PollOnce(i % 2 == 0 ? Deadline::Immediate() : Deadline::Infinite());
    EXPECT_EQ(read.result, 5);
    ReplaceReactor(&blocking());
  }
}

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
  char byte = 0;
  ReadOperation again(busy.first.get(), absl::MakeSpan(&byte, 1));
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

// --- running out of descriptors. Line 42 ---

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
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  {
    // The next free number is one too many.
    const OwnedFd next(::dup(client.get()));
    const rlimit none_left{.rlim_cur = static_cast<rlim_t>(next.get()), .rlim_max = limit.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none_left), 0);
  }
  AcceptOperation fails(listener.fd.get());
  EXPECT_EQ(Do(fails), -EMFILE);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  AcceptOperation works(listener.fd.get());
  ASSERT_GE(Do(works), 0);
  works.Take();
}

}  // namespace
}  // namespace plait
