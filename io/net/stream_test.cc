// Traps: a buffer that is freed while the kernel owns it (of a read and of a large Write that are
// cancelled, of a stream that goes while it sends); a cancel that races completion; a wake-up lost
// between the look at the buffers and the wait.
#include "plait/io/net/stream.h"

#include <errno.h>
#include <sys/socket.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/net/stream_talk.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using sys::FaultInjection;

class StreamTest : public IoTest {};

// More than the kernel and the high-water mark take together.
constexpr size_t kALot = size_t{2} << 20;

Task<absl::StatusOr<std::string>> ReadSome(Stream& stream, size_t most) {
  GuardedBuffer buffer(most);
  const absl::StatusOr<size_t> count = co_await stream.Read(buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

Task<absl::StatusOr<std::string>> ReadFully(Stream& stream, size_t size) {
  GuardedBuffer buffer(size);
  const absl::Status read = co_await stream.ReadExactly(buffer.span());
  if (!read.ok()) co_return read;
  co_return std::string(buffer.text(size));
}

// Until the stream has as much to send as it will hold, and the kernel takes no more.
Task<void> FillUp(Stream& stream) {
  const std::string some(16 << 10, 'f');
  while (stream.unsent() == 0) {
    const absl::Status written = co_await stream.Write(some);
    EXPECT_TRUE(written.ok()) << written;
  }
}

TEST_P(StreamTest, WhatOneEndWritesTheOtherReads) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream a = MakeStream(pair.first);
    Stream b = MakeStream(pair.second);
    absl::Status written = co_await WriteText(a, "hello");
    EXPECT_TRUE(written.ok()) << written;
    absl::StatusOr<std::string> read = co_await ReadFully(b, 5);
    EXPECT_TRUE(read.ok() && *read == "hello") << read.status();
    written = co_await WriteText(b, "back");
    EXPECT_TRUE(written.ok()) << written;
    read = co_await ReadSome(a, 100);
    EXPECT_TRUE(read.ok() && *read == "back") << read.status();
    absl::Status closed = co_await a.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    read = co_await b.Read(100);
    EXPECT_TRUE(read.ok() && read->empty()) << read.status();
    closed = co_await b.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

TEST_P(StreamTest, AReadGivesWhatThereIsAndAnExactOneWaitsForAll) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    Stream stream = MakeStream(pair.first);
    WriteAll(pair.second.get(), "abc");
    absl::StatusOr<std::string> read = co_await ReadSome(stream, 100);
    EXPECT_TRUE(read.ok() && *read == "abc") << read.status();
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadFully(stream, 6), {.eager = true});
    for (const char* part : {"d", "ef", "ghi"}) {
      co_await Yield();
      EXPECT_FALSE(reading.done());
      WriteAll(pair.second.get(), part);
    }
    read = co_await reading;
    EXPECT_TRUE(read.ok() && *read == "defghi") << read.status();
  };
  RunTask(body);
}

TEST_P(StreamTest, AnExactReadThatMeetsTheEndGivesThePartialBytes) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    WriteAll(pair.second.get(), "abc");
    pair.second.Reset();
    absl::StatusOr<std::string> read = co_await ReadFully(stream, 6);
    EXPECT_TRUE(absl::IsOutOfRange(read.status())) << read.status();
    EXPECT_EQ(PartialBytes(read.status()), "abc");
    read = co_await stream.ReadExactly(1);
    EXPECT_TRUE(absl::IsOutOfRange(read.status())) << read.status();
    EXPECT_EQ(PartialBytes(read.status()), "");
    EXPECT_EQ(AcceptedBytes(read.status()), std::nullopt);
  };
  RunTask(body);
}

TEST_P(StreamTest, ACancelledReadLosesNoBytes) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    Stream stream = MakeStream(pair.first);
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadFully(stream, 6), {.eager = true});
    co_await Yield();
    WriteAll(pair.second.get(), "abc");
    // The task has taken these once the socket is empty.
    char byte = 0;
    while (::recv(stream.descriptor(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
      co_await Yield();
    }
    reading.Cancel();
    absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
    WriteAll(pair.second.get(), "def");
    read = co_await ReadFully(stream, 6);
    EXPECT_TRUE(read.ok() && *read == "abcdef") << read.status();
    // And one that waits for its first byte.
    reading = Spawn(ReadSome(stream, 6), {.eager = true});
    co_await Yield();
    reading.Cancel();
    read = co_await reading;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  };
  RunTask(body);
}

TEST_P(StreamTest, AWriteIsDoneBelowTheHighWaterMarkAndTheRestGoesInTheBackground) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    SetBufferSizes(pair.first.get(), 4096);
    Stream stream = MakeStream(pair.first);
    const std::string text = Pattern(60'000);
    // Nobody reads, and it is done all the same, with its memory free again.
    const absl::Status written = co_await WriteText(stream, text);
    EXPECT_TRUE(written.ok()) << written;
    EXPECT_GT(stream.unsent(), 0u);
    EXPECT_LE(stream.unsent(), Stream::kDefaultHighWaterMark);
    Stream peer = MakeStream(pair.second);
    const absl::StatusOr<std::string> read = co_await ReadFully(peer, text.size());
    EXPECT_TRUE(read.ok() && *read == text) << read.status();
    const absl::Status flushed = co_await stream.Flush();
    EXPECT_TRUE(flushed.ok()) << flushed;
    EXPECT_EQ(stream.unsent(), 0u);
  };
  RunTask(body);
}

TEST_P(StreamTest, AWriteAboveTheHighWaterMarkWaitsForThePeer) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    Stream peer = MakeStream(pair.second);
    const std::string text = Pattern(kALot);
    JoinHandle<absl::Status> writing = Spawn(WriteText(stream, text), {.eager = true});
    co_await Yield();
    EXPECT_FALSE(writing.done());
    EXPECT_LE(stream.unsent(), Stream::kDefaultHighWaterMark);
    const absl::StatusOr<std::string> read = co_await ReadFully(peer, text.size());
    EXPECT_TRUE(read.ok() && *read == text) << read.status();
    const absl::Status written = co_await writing;
    EXPECT_TRUE(written.ok()) << written;
  };
  RunTask(body);
}

TEST_P(StreamTest, WritesOfAllSizesArriveInOrder) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    SetBufferSizes(pair.first.get(), 8192);
    Stream stream = MakeStream(pair.first);
    Stream peer = MakeStream(pair.second);
    stream.set_high_water_mark(10'000);
    const std::string text = Pattern(2 << 20);
    const auto write = [&]() -> Task<absl::Status> {
      size_t sent = 0;
      for (size_t size = 1; sent < text.size(); size = size * 7 % 40'009) {
        const std::string part = text.substr(sent, size);
        co_await OrReturn(WriteText(stream, part));
        EXPECT_LE(stream.unsent(), 10'000u);
        sent += part.size();
      }
      co_return co_await stream.Close();
    };
    JoinHandle<absl::Status> writing = Spawn(write(), {.eager = true});
    std::string all;
    for (;;) {
      const absl::StatusOr<std::string> read = co_await ReadSome(peer, 5000);
      EXPECT_TRUE(read.ok()) << read.status();
      if (!read.ok() || read->empty()) break;
      all += *read;
    }
    EXPECT_TRUE(all == text);
    const absl::Status written = co_await writing;
    EXPECT_TRUE(written.ok()) << written;
  };
  RunTask(body);
}

TEST_P(StreamTest, ACancelledWriteSaysHowMuchWasAcceptedAndThatArrives) {
  for (const bool queued : {false, true}) {
    SCOPED_TRACE(queued);
    const auto body = [&]() -> Task<void> {
      FdPair pair = MakeSmallTcpPair();
      Stream stream = MakeStream(pair.first);
      std::string expected;
      if (queued) {  // so that the Write waits behind these, and not with its own memory sent
        co_await FillUp(stream);
      }
      const std::string text = Pattern(kALot);
      JoinHandle<absl::Status> writing = Spawn(WriteText(stream, text), {.eager = true});
      co_await Yield();
      EXPECT_FALSE(writing.done());
      writing.Cancel();
      const absl::Status written = co_await writing;
      EXPECT_TRUE(absl::IsCancelled(written)) << written;
      const std::optional<size_t> accepted = AcceptedBytes(written);
      EXPECT_TRUE(accepted.has_value());
      EXPECT_LT(*accepted, text.size());
      // Close sends what was accepted, and nothing else.
      JoinHandle<absl::Status> closing = Spawn(stream.Close(), {.eager = true});
      Stream peer = MakeStream(pair.second);
      std::string all;
      for (;;) {
        const absl::StatusOr<std::string> read = co_await ReadSome(peer, 1 << 20);
        EXPECT_TRUE(read.ok()) << read.status();
        if (!read.ok() || read->empty()) break;
        all += *read;
      }
      const size_t filled = all.find_first_not_of('f');
      if (!queued) {
        EXPECT_TRUE(all == text.substr(0, *accepted));
      } else if (*accepted == 0) {
        EXPECT_EQ(filled, std::string::npos);
      }
      const absl::Status closed = co_await closing;
      EXPECT_TRUE(closed.ok()) << closed;
    };
    RunTask(body);
  }
}

TEST_P(StreamTest, HalfClosedItStillReads) {  // conformance 29, 30
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    SetBufferSizes(pair.first.get(), 4096);
    Stream stream = MakeStream(pair.first);
    Stream peer = MakeStream(pair.second);
    const std::string text = Pattern(50'000);
    absl::Status written = co_await stream.Write(text);
    EXPECT_TRUE(written.ok()) << written;
    JoinHandle<absl::Status> shutting = Spawn(stream.ShutdownWrite(), {.eager = true});
    absl::StatusOr<std::string> read = co_await ReadFully(peer, text.size());
    EXPECT_TRUE(read.ok() && *read == text) << read.status();
    read = co_await peer.Read(1);
    EXPECT_TRUE(read.ok() && read->empty()) << read.status();
    absl::Status shut = co_await shutting;
    EXPECT_TRUE(shut.ok()) << shut;
    written = co_await peer.Write("answer");
    EXPECT_TRUE(written.ok()) << written;
    read = co_await stream.ReadExactly(6);
    EXPECT_TRUE(read.ok() && *read == "answer") << read.status();
    written = co_await stream.Write("more");
    EXPECT_TRUE(absl::IsFailedPrecondition(written)) << written;
    shut = co_await stream.ShutdownWrite();
    EXPECT_TRUE(shut.ok()) << shut;
    const absl::Status closed = co_await stream.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

TEST_P(StreamTest, CloseSendsWhatIsLeftAndAbortDropsIt) {
  for (const bool close : {true, false}) {
    SCOPED_TRACE(close);
    const auto body = [&]() -> Task<void> {
      FdPair pair = MakeSocketPair();
      SetBufferSizes(pair.first.get(), 4096);
      Stream stream = MakeStream(pair.first);
      const int number = stream.descriptor();
      Stream peer = MakeStream(pair.second);
      const std::string text = Pattern(50'000);
      const absl::Status written = co_await stream.Write(text);
      EXPECT_TRUE(written.ok()) << written;
      std::optional<JoinHandle<absl::Status>> closing;
      if (close) {
        closing = Spawn(stream.Close(), {.eager = true});
        co_await Yield();
      } else {
        stream.Abort();
      }
      EXPECT_FALSE(stream.is_open());
      std::string all;
      for (;;) {
        const absl::StatusOr<std::string> read = co_await ReadSome(peer, 5000);
        EXPECT_TRUE(read.ok()) << read.status();
        if (!read.ok() || read->empty()) break;
        all += *read;
      }
      if (close) {
        EXPECT_TRUE(all == text);
        const absl::Status closed = co_await *closing;
        EXPECT_TRUE(closed.ok()) << closed;
      } else {
        EXPECT_LT(all.size(), text.size());
      }
      EXPECT_LT(::send(number, "", 0, MSG_NOSIGNAL), 0);
    };
    RunTask(body);
  }
}

TEST_P(StreamTest, ACloseThatAPeerKeepsWaitingEndsWithItsTimeoutAndIsClosedThen) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    const int number = stream.descriptor();
    co_await FillUp(stream);
    const absl::Status closed = co_await Timeout(absl::Milliseconds(1), stream.Close());
    EXPECT_TRUE(absl::IsDeadlineExceeded(closed)) << closed;
    EXPECT_LT(::send(number, "", 0, MSG_NOSIGNAL), 0);
  };
  RunTask(body);
}

TEST_P(StreamTest, WhatWaitsOnAStreamThatGoesIsCancelled) {  // conformance 35
  for (const bool abort : {true, false}) {
    SCOPED_TRACE(abort);
    const auto body = [&]() -> Task<void> {
      FdPair pair = MakeSmallTcpPair();
      std::optional<Stream> stream(MakeStream(pair.first));
      JoinHandle<absl::StatusOr<std::string>> reading =
          Spawn(ReadSome(*stream, 10), {.eager = true});
      JoinHandle<absl::StatusOr<std::string>> filling =
          Spawn(ReadFully(*stream, 10), {.eager = true});
      JoinHandle<absl::Status> writing = Spawn(WriteText(*stream, Pattern(kALot)), {.eager = true});
      co_await Yield();
      absl::StatusOr<std::string> read = co_await filling;
      EXPECT_TRUE(absl::IsFailedPrecondition(read.status())) << read.status();
      if (abort) {
        stream->Abort();
      } else {
        stream.reset();
      }
      read = co_await reading;
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
      const absl::Status written = co_await writing;
      EXPECT_TRUE(absl::IsCancelled(written)) << written;
    };
    RunTask(body);
  }
}

TEST_P(StreamTest, AStreamThatIsClosedOrBusySaysSo) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    JoinHandle<absl::Status> writing = Spawn(WriteText(stream, Pattern(kALot)), {.eager = true});
    co_await Yield();
    absl::Status written = co_await stream.Write("second");
    EXPECT_TRUE(absl::IsFailedPrecondition(written)) << written;
    EXPECT_TRUE(absl::StrContains(written.message(), "127.0.0.1")) << written;
    EXPECT_EQ(AcceptedBytes(written), size_t{0});
    Stream moved(std::move(stream));
    absl::Status closed = co_await moved.Close();  // it cannot wait for that Write
    EXPECT_TRUE(absl::IsFailedPrecondition(closed)) << closed;
    written = co_await writing;
    EXPECT_TRUE(absl::IsCancelled(written)) << written;

    for (Stream* none : {&stream, &moved}) {
      const absl::StatusOr<std::string> read = co_await none->Read(1);
      EXPECT_TRUE(absl::IsFailedPrecondition(read.status())) << read.status();
      std::vector<absl::Status> refused;
      refused.push_back(co_await none->Write("x"));
      refused.push_back(co_await none->Flush());
      refused.push_back(co_await none->ShutdownWrite());
      refused.push_back(co_await none->Close());
      refused.push_back(none->peer_address().status());
      refused.push_back(none->local_address().status());
      for (const absl::Status& status : refused) {
        EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      }
      EXPECT_EQ(none->descriptor(), -1);
    }
  };
  RunTask(body);
}

TEST_P(StreamTest, ACancelledTaskNeitherReadsNorWrites) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    Stream stream = MakeStream(pair.first);
    WriteAll(pair.second.get(), "abc");
    const auto cancelled = [&]() -> Task<absl::Status> {
      const absl::Status slept = co_await Sleep(absl::InfiniteDuration());
      EXPECT_TRUE(absl::IsCancelled(slept)) << slept;
      const absl::StatusOr<std::string> read = co_await stream.Read(3);
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
      co_return co_await stream.Write("x");
    };
    JoinHandle<absl::Status> task = Spawn(cancelled(), {.eager = true});
    co_await Yield();
    task.Cancel();
    const absl::Status written = co_await task;
    EXPECT_TRUE(absl::IsCancelled(written)) << written;
    EXPECT_EQ(Drain(pair.second.get()), "");
    const absl::StatusOr<std::string> read = co_await stream.Read(3);
    EXPECT_TRUE(read.ok() && *read == "abc") << read.status();
  };
  RunTask(body);
}

TEST_P(StreamTest, AnErrorInTheBackgroundIsToldByWhatComesNext) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    co_await FillUp(stream);
    CloseWithReset(std::move(pair.second));
    while (stream.unsent() > 0) co_await Yield();
    std::vector<absl::Status> told;
    told.push_back(co_await stream.Write("x"));
    told.push_back(co_await stream.Flush());
    told.push_back(co_await stream.ShutdownWrite());
    told.push_back(co_await stream.Close());
    for (const absl::Status& status : told) {
      EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    }
  };
  RunTask(body);
}

TEST_P(StreamTest, WritersThatNeverWaitLetOthersRun) {  // conformance 65
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    Stream stream = MakeStream(pair.first);
    internal::Atomic<bool> stop{false};
    const auto write = [&]() -> Task<void> {
      while (!stop.load(internal::kRelaxed)) {
        const absl::Status written = co_await stream.Write("x");
        EXPECT_TRUE(written.ok()) << written;
        EXPECT_EQ(Drain(pair.second.get()), "x");
      }
    };
    JoinHandle<void> writing = Spawn(write(), {.eager = true});
    for (int i = 0; i < 10; ++i) co_await Yield();
    stop.store(true, internal::kRelaxed);
    co_await writing;
  };
  RunTask(body);
}

TEST_P(StreamTest, ReadsAndWritesAllocateNothing) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    GuardedBuffer buffer(4);
    int64_t before = 0;
    for (int i = 0; i < 200; ++i) {
      if (i == 100) before = AllocationCount();
      const absl::Status written = co_await stream.Write("ping");
      EXPECT_TRUE(written.ok());
      EXPECT_EQ(ReadExactly(pair.second.get(), 4), "ping");
      WriteAll(pair.second.get(), "pong");
      const absl::Status read = co_await stream.ReadExactly(buffer.span());
      EXPECT_TRUE(read.ok());
    }
    EXPECT_EQ(AllocationCount(), before);
  };
  RunTask(body);
}

TEST_P(StreamTest, APipeHasOneDirectionAndEndsByItsClose) {
  const auto body = [&]() -> Task<void> {
    FdPair pipe = MakePipe();
    Stream reader = MakeStream(pipe.first);
    Stream writer = MakeStream(pipe.second);
    const std::string text = Pattern(1 << 20);
    JoinHandle<absl::Status> writing = Spawn(WriteText(writer, text), {.eager = true});
    absl::StatusOr<std::string> read = co_await ReadFully(reader, text.size());
    EXPECT_TRUE(read.ok() && *read == text) << read.status();
    absl::Status done = co_await writing;
    EXPECT_TRUE(done.ok()) << done;
    done = co_await writer.ShutdownWrite();
    EXPECT_TRUE(done.ok()) << done;
    read = co_await reader.Read(1);
    EXPECT_TRUE(read.ok() && read->empty()) << read.status();
    done = co_await writer.Close();
    EXPECT_TRUE(done.ok()) << done;
  };
  RunTask(body);
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, StreamTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
