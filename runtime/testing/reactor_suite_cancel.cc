// ReactorSuite: cancelling raw operations.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

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

TEST_P(ReactorSuite, AllThatIsInFlightIsCancelledAtOnceWhatQueuesBehindOthersToo) {
  FdPair pair = MakeSocketPair();
  FdPair other = MakeSocketPair();
  TcpListener listener = MakeTcpListener();
  FillUp(pair.first.get());
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  ReadOperation next_read(pair.first.get(), buffer.span());
  WriteOperation write(pair.first.get(), buffer.text(5));
  WriteOperation next_write(pair.first.get(), buffer.text(5));
  PollOperation poll(other.first.get(), kPollReadable);
  AcceptOperation accept(listener.fd.get());
  const std::vector<TestOperation*> all = {&read, &next_read, &write, &next_write, &poll, &accept};
  reactor().CancelAll();  // there is none
  for (TestOperation* operation : all) Submit(*operation);
  ExpectNothingMore();
  reactor().CancelAll();
  reactor().CancelAll();  // again does nothing
  EXPECT_EQ(reactor().in_flight(), all.size()) << "they still arrive";
  for (TestOperation* operation : all) {
    Await(*operation);
    EXPECT_EQ(operation->result, -ECANCELED) << static_cast<int>(operation->opcode);
  }
  EXPECT_EQ(reactor().in_flight(), 0u);
  buffer.Release();
  WriteAll(pair.second.get(), "hello");
  ExpectNothingMore();
  GuardedBuffer second(5);
  ReadOperation last(pair.first.get(), second.span());
  EXPECT_EQ(Do(last), 5) << "its descriptors are as good as before";
}

TEST_P(ReactorSuite, ACancelAfterTheDataLosesNothing) {
  FdPair pair = MakeSocketPair();
  for (int i = 0; i < Repeats(100); ++i) {
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
  for (int i = 0; i < Repeats(50); ++i) {
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
  for (const int number : ShareOf(15)) {
    const auto seed = static_cast<unsigned>(number) + 1;
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

}  // namespace
}  // namespace plait
