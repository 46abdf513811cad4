// Connections that outlive the run of their loop, or the loop: what they promise is the same on
// every reactor. Traps: a buffer (the reactor's) that goes before who uses it.
#include <fcntl.h>
#include <poll.h>

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_shots_fixture.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/runtime/testing/thread_that_stays.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

TEST_P(StreamShotsTest, AStreamOutlivesItsLoop) {
  // What a system keeps for all the loops of a process is there after the first.
  EventLoop(GetParam().make(nullptr)).RunReady().IgnoreError();
  const int before = OpenDescriptors();
  {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    {
      EventLoop own(GetParam().make(nullptr));
      BlockOn(own, WaitOften(&stream, pair.second.get()));
    }
    stream.Abort();
    EXPECT_EQ(ReadExactly(pair.second.get(), 1), "") << "the peer is told of the end";
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// More than their kernel takes.
constexpr size_t kALot = 2 << 20;

// Has it send in the background when the run of `loop` is over.
void LeaveSending(EventLoop& loop, Stream& stream) {
  const std::string text = Pattern(kALot);
  stream.set_high_water_mark(text.size());
  const auto write = [&]() -> Task<absl::Status> { co_return co_await stream.Write(text); };
  const absl::Status wrote = BlockOn(loop, write());
  EXPECT_TRUE(wrote.ok()) << wrote;
  EXPECT_GT(stream.unsent(), 0u) << "this says nothing";
}

FdPair MakeNonBlockingPipe() {
  FdPair pipe = MakePipe();
  std::swap(pipe.first, pipe.second);  // the end that is written to
  EXPECT_EQ(::fcntl(pipe.first.get(), F_SETFL, O_NONBLOCK), 0);
  return pipe;
}

TEST_P(StreamShotsTest, WhatIsDroppedBetweenRunsWhileItSendsEndsWithTheNextOrItsLoop) {
  EventLoop(GetParam().make(nullptr)).RunReady().IgnoreError();
  const int before = OpenDescriptors();
  for (const bool by_run : {true, false}) {
    for (const bool by_pipe : {true, false}) {
      SCOPED_TRACE(testing::Message() << by_run << by_pipe);
      FdPair pair = by_pipe ? MakeNonBlockingPipe() : MakeSmallTcpPair();
      EventLoop own(GetParam().make(nullptr));
      {
        Stream stream = MakeStream(pair.first);
        LeaveSending(own, stream);
      }
      EXPECT_TRUE((by_run ? own.Run() : own.Close()).ok());
      EXPECT_EQ(own.io().in_flight(), 0u);
      EXPECT_LT(ReadExactly(pair.second.get(), kALot).size(), kALot);
    }
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// Whatever it waits for: the reactor to tell, a multishot, the system to take its own memory.
TEST_P(StreamShotsTest, WhatWaitsOnAStreamThatIsAbortedBetweenRunsIsCancelled) {
  EventLoop(GetParam().make(nullptr)).RunReady().IgnoreError();
  const int before = OpenDescriptors();
  for (const absl::string_view waits : {"read", "often", "write"}) {
    SCOPED_TRACE(waits);
    const std::string text = Pattern(kALot);
    FdPair pair = MakeSmallTcpPair();
    EventLoop own(GetParam().make(nullptr));
    Stream stream = MakeStream(pair.first);
    if (waits == "often") BlockOn(own, WaitOften(&stream, pair.second.get()));
    const auto use = [&]() -> Task<absl::Status> {
      if (waits == "write") co_return co_await stream.Write(text);
      co_return (co_await stream.ReadExactly(1)).status();
    };
    JoinHandle<absl::Status> waiting = Spawn(use(), {.executor = &own});
    for (int turn = 0; turn < 10; ++turn) EXPECT_TRUE(own.RunReady().ok());
    EXPECT_FALSE(waiting.done());
    stream.Abort();
    EXPECT_TRUE(own.Run().ok());
    ASSERT_TRUE(waiting.done());
    const absl::Status ended = waiting.Get();
    EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
    EXPECT_EQ(own.io().in_flight(), 0u);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(StreamShotsTest, WhatStillSendsMayGoWithACallbackThatTheCloseDrops) {
  EventLoop(GetParam().make(nullptr)).RunReady().IgnoreError();
  const int before = OpenDescriptors();
  {
    FdPair pair = MakeSmallTcpPair();
    EventLoop own(GetParam().make(nullptr));
    Stream stream = MakeStream(pair.first);
    LeaveSending(own, stream);
    const EventLoop::Handle never = own.Post([kept = std::move(stream)] { ADD_FAILURE(); });
    EXPECT_TRUE(own.Close().ok());
    EXPECT_LT(ReadExactly(pair.second.get(), kALot).size(), kALot);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(StreamShotsTest, WhatStillSendsMayOutliveItsLoopThatAnotherThreadRan) {
  EventLoop(GetParam().make(nullptr)).RunReady().IgnoreError();
  const int before = OpenDescriptors();
  {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    {
      EventLoop own(GetParam().make(nullptr));
      StartThread("other", [&] { LeaveSending(own, stream); }).join();
    }
    EXPECT_EQ(stream.unsent(), 0u);
    stream.Abort();
    EXPECT_LT(ReadExactly(pair.second.get(), kALot).size(), kALot);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(StreamShotsTest, WhatIsSentInTheBackgroundGoesOnWhenAnotherThreadRunsTheLoop) {
  FdPair pair = MakeSmallTcpPair();
  Stream stream = MakeStream(pair.first);
  StartThread("other", [&] { LeaveSending(loop(), stream); }).join();
  std::string received;
  Thread peer = StartThread("peer", [&] { received = ReadExactly(pair.second.get(), kALot); });
  const auto flush = [&]() -> Task<absl::Status> { co_return co_await stream.Flush(); };
  const absl::Status flushed = BlockOn(loop(), flush());
  EXPECT_TRUE(flushed.ok()) << flushed;
  peer.join();
  EXPECT_TRUE(received == Pattern(kALot));
  BlockOn(loop(), stream.Close()).IgnoreError();
}

TEST_P(StreamShotsTest, WhatHasEndedAndIsKeptOutlivesItsLoopToo) {
  FdPair pair = MakeTcpPair();
  Stream stream = MakeStream(pair.first);
  {
    EventLoop own(GetParam().make(nullptr));
    BlockOn(own, WaitOften(&stream, pair.second.get()));
    // More than nothing, and the end, with nobody there who reads.
    WriteAll(pair.second.get(), "unread");
    pair.second.Reset();
    for (int turn = 0; turn < 100; ++turn) EXPECT_TRUE(own.RunReady().ok());
  }
  stream.Abort();
  EXPECT_EQ(stream.descriptor(), -1);
}

TEST_P(StreamShotsTest, AStreamMayBeDroppedWhenItsLoopIsClosedAndStillThere) {
  // What a system keeps for all the loops of a process is there after the first.
  EventLoop(GetParam().make(nullptr)).RunReady().IgnoreError();
  const int before = OpenDescriptors();
  for (const bool by_the_close : {true, false}) {
    EventLoop own(GetParam().make(nullptr));
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    BlockOn(own, WaitOften(&stream, pair.second.get()));
    if (by_the_close) {
      // In a callback that is dropped without having run.
      const absl::StatusOr<EventLoop::Handle> later =
          own.PostAfter(absl::Hours(1), [kept = std::move(stream)] {});
      EXPECT_TRUE(later.ok()) << later.status();
    }
    EXPECT_TRUE(own.Close().ok());
    stream.Abort();
    EXPECT_EQ(ReadExactly(pair.second.get(), 1), "") << "the peer is told of the end";
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(StreamShotsTest, DroppedWhereItsLoopDoesNotRunItsPeerIsToldAllTheSame) {
  FdPair pair = MakeTcpPair();
  {
    Stream stream = MakeStream(pair.first);
    BlockOn(loop(), WaitOften(&stream, pair.second.get()));
  }
  EXPECT_EQ(ReadExactly(pair.second.get(), 1), "");
  EXPECT_TRUE(TurnsUntilItEnds(pair.second.get()));
}

TEST_P(StreamShotsTest, ItGoesOnWhenAnotherThreadRunsTheLoop) {
  FdPair pair = MakeTcpPair();
  Stream stream = MakeStream(pair.first);
  for (int i = 0; i < 5; ++i) {
    Thread thread =
        StartThread("other", [&] { BlockOn(loop(), WaitOften(&stream, pair.second.get())); });
    thread.join();
    WriteAll(pair.second.get(), "between");
    const absl::StatusOr<std::string> read = BlockOn(loop(), stream.ReadExactly(7));
    EXPECT_TRUE(read.ok() && *read == "between") << read.status();
  }
  BlockOn(loop(), stream.Close()).IgnoreError();
}

// The system must not take what that thread has begun for its own: the connection ends when it is
// closed.
TEST_P(StreamShotsTest, ItsPeerIsToldOfTheEndThoughTheThreadThatRanItsLoopIsStillThere) {
  for (const bool goes_on : {true, false}) {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    std::optional<EventLoop> own(std::in_place, GetParam().make(nullptr));
    const ThreadThatStays one([&] { BlockOn(*own, WaitOften(&stream, pair.second.get())); });
    if (goes_on) {
      BlockOn(*own, WaitOften(&stream, pair.second.get()));
      EXPECT_TRUE(BlockOn(*own, stream.Close()).ok());
    } else {
      own.reset();
      stream.Abort();
    }
    pollfd wanted = {.fd = pair.second.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&wanted, 1, /*timeout=*/60'000), 1) << "the connection is still there";
    EXPECT_EQ(ReadExactly(pair.second.get(), 1), "");
  }
}

// Drops `stream`, whose number `next` has then.
void GiveNumberTo(FdPair& next, Stream& stream) {
  const int number = stream.descriptor();
  stream.Abort();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  next.first = OwnedFd(::dup2(next.first.get(), number));
}

Task<void> YieldOften() {
  for (int turn = 0; turn < 100; ++turn) co_await Yield();
}

TEST_P(StreamShotsTest, DroppedWhereItsLoopDoesNotRunItTakesNothingFromTheNextOwnerOfItsNumber) {
  FdPair pair = MakeTcpPair();
  Stream stream = MakeStream(pair.first);
  RunTask([&]() -> Task<void> {
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(&stream, 1));
    co_await Yield();
    WriteAll(pair.second.get(), "x");
    EXPECT_TRUE((co_await reading).ok());
  });
  // Begun, and the run is over before the loop looks at what the system has.
  RunTask([&]() -> Task<void> {
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(&stream, 1));
    co_await Yield();
    reading.Cancel();
    EXPECT_TRUE(absl::IsCancelled((co_await reading).status()));
  });
  FdPair next = MakeTcpPair();
  GiveNumberTo(next, stream);
  WriteAll(next.second.get(), "keep");
  BlockOn(loop(), YieldOften());
  EXPECT_EQ(Drain(next.first.get()), "keep");
}

TEST_P(StreamShotsTest, NorWhereAnotherThreadRunsTheLoopThen) {
  FdPair pair = MakeTcpPair();
  Stream stream = MakeStream(pair.first);
  StartThread("one", [&] { BlockOn(loop(), WaitOften(&stream, pair.second.get())); }).join();
  FdPair next = MakeTcpPair();
  GiveNumberTo(next, stream);
  WriteAll(next.second.get(), "keep");
  BlockOn(loop(), YieldOften());
  EXPECT_EQ(Drain(next.first.get()), "keep");
}

INSTANTIATE_TEST_SUITE_P(Reactors, StreamShotsTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

// Which nobody has told the reactor of.
TEST_P(StreamShotsTest, ANumberThatIsUsedAgainAfterADropBetweenRunsIsAnothers) {
  ThreadExecutor blocking;
  EventLoop own(GetParam().make(&blocking));
  std::set<int> used;
  int used_again = 0;
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(round);
    FdPair pair = round % 3 == 0 ? MakeSocketPair() : MakeTcpPair();
    if (!used.insert(pair.first.get()).second) ++used_again;
    Stream stream = MakeStream(pair.first);
    const auto converse = [&]() -> Task<absl::Status> {
      co_await WaitOften(&stream, pair.second.get());
      co_return absl::OkStatus();
    };
    const auto bounded = [&]() -> Task<absl::Status> {
      co_return co_await Timeout(absl::Seconds(20), converse());
    };
    const absl::Status conversed = BlockOn(own, bounded());
    EXPECT_TRUE(conversed.ok()) << conversed;
  }
  const OwnedFd file = MakeFile("0123456789");
  EXPECT_EQ(used.count(file.get()), 1u) << "this says nothing";
  EXPECT_GE(used_again, 3) << "this says little";
  GuardedBuffer buffer(3);
  const auto read = [&]() -> Task<absl::StatusOr<size_t>> {
    co_return co_await io::ReadAt(file.get(), buffer.span(), 4);
  };
  const absl::StatusOr<size_t> size = BlockOn(own, read());
  ASSERT_TRUE(size.ok()) << size.status();
  EXPECT_EQ(buffer.text(*size), "456");
}

}  // namespace
}  // namespace plait
