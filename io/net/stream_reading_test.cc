// Traps: a wake-up lost between the look at what was read ahead and the wait; a cancel that races
// completion; a buffer that moves while the kernel writes to it (of a long line).
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

class StreamReadingTest : public IoTest {
 protected:
  // A stream, and its peer's end, which is the test's.
  Stream Open() {
    FdPair pair = MakeSocketPair();
    peer_ = std::move(pair.second);
    return MakeStream(pair.first);
  }
  void Send(absl::string_view text) { WriteAll(peer_.get(), text); }
  void EndPeer() { peer_.Reset(); }
  OwnedFd TakePeer() { return std::move(peer_); }

 private:
  OwnedFd peer_;
};

// What a line is, or how it failed.
std::string Told(const absl::StatusOr<std::string>& line) {
  return line.ok() ? *line : absl::StrCat(absl::StatusCodeToString(line.status().code()));
}

TEST_P(StreamReadingTest, LinesComeOneByOneHoweverTheyWereSent) {
  const auto body = [&]() -> Task<void> {
    Stream stream = Open();
    Send("one\ntwo\r\n\nfo");
    EXPECT_EQ(Told(co_await stream.ReadLine()), "one");
    EXPECT_EQ(Told(co_await stream.ReadLine()), "two\r");
    EXPECT_EQ(Told(co_await stream.ReadLine()), "");
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(stream.ReadLine(), {.eager = true});
    co_await Yield();
    EXPECT_FALSE(reading.done());
    Send("ur\nlast");
    EXPECT_EQ(Told(co_await reading), "four");
    EndPeer();
    EXPECT_EQ(Told(co_await stream.ReadLine()), "last");
    EXPECT_EQ(Told(co_await stream.ReadLine()), "OUT_OF_RANGE");
    EXPECT_EQ(Told(co_await stream.ReadLine()), "OUT_OF_RANGE");
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, TheGeneratorGivesAllLinesAndEnds) {
  const auto body = [&]() -> Task<void> {
    Stream stream = Open();
    std::string all;
    for (int i = 0; i < 1000; ++i) absl::StrAppend(&all, std::string(i % 90, 'x'), i, "\n");
    Send(all);
    EndPeer();
    AsyncGenerator<absl::StatusOr<std::string>> lines = stream.Lines();
    int count = 0;
    while (auto line = co_await lines.Next()) {
      EXPECT_EQ(Told(*line), absl::StrCat(std::string(count % 90, 'x'), count));
      ++count;
    }
    EXPECT_EQ(count, 1000);
    EXPECT_EQ(stream.buffered(), "");
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, ALineThatIsTooLongIsRefusedAndLeftToBeRead) {
  for (const bool whole : {true, false}) {
    SCOPED_TRACE(whole);
    const auto body = [&]() -> Task<void> {
      Stream stream = Open();
      const std::string line(whole ? 101 : 102, 'x');
      Send(absl::StrCat(line.substr(1), "\n", line));
      if (whole) Send("\n");
      EXPECT_EQ(Told(co_await stream.ReadLine(101)), line.substr(1));
      const absl::StatusOr<std::string> read = co_await stream.ReadLine(100);
      EXPECT_TRUE(absl::IsResourceExhausted(read.status())) << read.status();
      EXPECT_TRUE(absl::StrContains(read.status().message(), "100")) << read.status();
      AsyncGenerator<absl::StatusOr<std::string>> lines = stream.Lines(100);
      auto item = co_await lines.Next();
      EXPECT_TRUE(item.has_value() && absl::IsResourceExhausted(item->status()));
      item = co_await lines.Next();
      EXPECT_FALSE(item.has_value());
      EXPECT_EQ(Told(co_await stream.ReadExactly(line.size())), line);
    };
    RunTask(body);
  }
}

TEST_P(StreamReadingTest, APeerThatNeverEndsItsLineFillsNoMemory) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    Stream stream = MakeStream(pair.first);
    Stream peer = MakeStream(pair.second);
    const auto flood = [&]() -> Task<absl::Status> {
      const std::string some(100'000, 'x');
      for (;;) co_await OrReturn(peer.Write(some));
    };
    JoinHandle<absl::Status> flooding = Spawn(flood());
    const absl::StatusOr<std::string> read = co_await stream.ReadLine(200'000);
    EXPECT_TRUE(absl::IsResourceExhausted(read.status())) << read.status();
    EXPECT_LT(stream.buffered().size(), 400'000u);
    flooding.Cancel();
    const absl::Status flooded = co_await flooding;
    EXPECT_TRUE(absl::IsCancelled(flooded)) << flooded;
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, ADelimiterIsFoundWhereverThePiecesEnd) {
  const std::string text = "ab\r\n\r\nc\r\r\n\r\nrest";
  for (size_t cut = 1; cut < text.size(); ++cut) {
    SCOPED_TRACE(cut);
    const auto body = [&]() -> Task<void> {
      Stream stream = Open();
      const auto read = [&]() -> Task<void> {
        EXPECT_EQ(Told(co_await stream.ReadUntil("\r\n\r\n")), "ab\r\n\r\n");
        EXPECT_EQ(Told(co_await stream.ReadUntil("\r\n\r\n", 2)), "c\r\r\n\r\n");
        const absl::StatusOr<std::string> rest = co_await stream.ReadUntil("\r\n\r\n");
        EXPECT_TRUE(absl::IsOutOfRange(rest.status())) << rest.status();
        EXPECT_EQ(PartialBytes(rest.status()), "rest");
      };
      JoinHandle<void> reading = Spawn(read(), {.eager = true});
      co_await Yield();
      Send(absl::string_view(text).substr(0, cut));
      for (int i = 0; i < 3; ++i) co_await Yield();
      Send(absl::string_view(text).substr(cut));
      EndPeer();
      co_await reading;
    };
    RunTask(body);
  }
}

TEST_P(StreamReadingTest, TheLimitIsForWhatStandsBeforeTheDelimiter) {
  const auto body = [&]() -> Task<void> {
    Stream stream = Open();
    Send("12345--");
    EXPECT_EQ(Told(co_await stream.ReadUntil("--", 4)), "RESOURCE_EXHAUSTED");
    EXPECT_EQ(Told(co_await stream.ReadUntil("--", 5)), "12345--");
    Send("12345-");
    JoinHandle<absl::StatusOr<std::string>> reading =
        Spawn(stream.ReadUntil("--", 5), {.eager = true});
    for (int i = 0; i < 3; ++i) co_await Yield();
    EXPECT_FALSE(reading.done());  // the last may be the delimiter's first
    Send("x");
    EXPECT_EQ(Told(co_await reading), "RESOURCE_EXHAUSTED");
    EXPECT_EQ(Told(co_await stream.ReadUntil("")), "INVALID_ARGUMENT");
    EXPECT_EQ(Told(co_await stream.ReadExactly(7)), "12345-x");
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, ReadsOfAllKindsShareWhatWasReadAhead) {
  const auto body = [&]() -> Task<void> {
    Stream stream = Open();
    Send("line\nexactly-some\nall");
    EXPECT_EQ(Told(co_await stream.ReadLine()), "line");
    EXPECT_EQ(stream.buffered(), "exactly-some\nall");
    EXPECT_EQ(Told(co_await stream.ReadExactly(7)), "exactly");
    stream.Consume(1);
    EXPECT_EQ(Told(co_await stream.Read(4)), "some");
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(stream.ReadExactly(8), {.eager = true});
    co_await Yield();
    EXPECT_FALSE(reading.done());
    Send("more");
    EXPECT_EQ(Told(co_await reading), "\nallmore");
    Send("the rest");
    EndPeer();
    EXPECT_EQ(Told(co_await stream.ReadAll(8)), "the rest");
    EXPECT_EQ(Told(co_await stream.ReadAll(8)), "");
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, ASizeThatAPeerClaimsTakesNoMemoryForBytesThatDoNotCome) {
  const auto body = [&]() -> Task<void> {
    Stream stream = Open();
    constexpr size_t kClaimed = std::numeric_limits<size_t>::max();
    Send("only this");
    EXPECT_EQ(Told(co_await stream.Read(kClaimed)), "only this");
    JoinHandle<absl::StatusOr<std::string>> reading =
        Spawn(stream.ReadExactly(kClaimed), {.eager = true});
    co_await Yield();
    Send("and this");
    EndPeer();
    const absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(absl::IsOutOfRange(read.status())) << read.status();
    EXPECT_EQ(PartialBytes(read.status()), "and this");
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, ReadAllKnowsItsLimit) {
  const auto body = [&]() -> Task<void> {
    Stream stream = Open();
    Send("0123456789");
    EndPeer();
    EXPECT_EQ(Told(co_await stream.ReadAll(9)), "RESOURCE_EXHAUSTED");
    EXPECT_EQ(Told(co_await stream.ReadAll(10)), "0123456789");
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, AParserLooksAtTheBytesAndTakesWhatItHasUsed) {
  const auto body = [&]() -> Task<void> {
    Stream stream = Open();
    const std::string text = Pattern(200'000);
    const auto send = [&]() -> Task<void> {
      OwnedFd end = TakePeer();
      Stream peer = MakeStream(end);
      const absl::Status written = co_await peer.Write(text);
      EXPECT_TRUE(written.ok()) << written;
      const absl::Status closed = co_await peer.Close();
      EXPECT_TRUE(closed.ok()) << closed;
    };
    JoinHandle<void> sending = Spawn(send());
    std::string all;
    for (;;) {
      const absl::StatusOr<size_t> more = co_await stream.ReadMore();
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || *more == 0) break;
      const size_t used = (stream.buffered().size() + 1) / 2;
      all.append(stream.buffered().data(), used);
      stream.Consume(used);
    }
    absl::StrAppend(&all, stream.buffered());
    EXPECT_TRUE(all == text);
    co_await sending;
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, ReadingAheadDoesNotWaitForWhatIsThere) {
  if (GetParam().threads > 1) return;  // others run meanwhile, whatever it does
  const auto body = [&]() -> Task<void> {
    // Elsewhere the reactor reads, and is waited for.
    const bool reads_itself = Worker::Current()->reactor()->prefers_await_input();
    Stream stream = Open();
    Send(std::string(40'000, 'x'));
    const absl::StatusOr<size_t> first = co_await stream.ReadMore();
    EXPECT_GT(first.value_or(0), 0u);
    bool others_ran = false;
    const auto note = [&]() -> Task<void> {
      others_ran = true;
      co_return;
    };
    JoinHandle<void> other = Spawn(note());
    const absl::StatusOr<size_t> second = co_await stream.ReadMore();
    EXPECT_GT(second.value_or(0), 0u);
    EXPECT_EQ(others_ran, !reads_itself);
    co_await other;
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, ACancelledLineIsThereForTheNextRead) {
  if (GetParam().threads > 1) return;  // it looks at what a task is reading
  for (const size_t size : {size_t{3}, size_t{64}, size_t{70'000}}) {
    SCOPED_TRACE(size);
    const auto body = [&]() -> Task<void> {
      Stream stream = Open();
      JoinHandle<absl::StatusOr<std::string>> reading =
          Spawn(stream.ReadLine(1 << 20), {.eager = true});
      co_await Yield();
      std::string begin(size, 'a');
      for (size_t i = 0; i < size; ++i) begin[i] = static_cast<char>('a' + i % 23);
      Send(begin);
      while (stream.buffered().size() < size) co_await Yield();
      reading.Cancel();
      EXPECT_EQ(Told(co_await reading), "CANCELLED");
      Send("end\n");
      EXPECT_EQ(Told(co_await stream.ReadLine(1 << 20)), absl::StrCat(begin, "end"));
    };
    RunTask(body);
  }
}

TEST_P(StreamReadingTest, WhatNeedNotWaitIsRefusedLikeWhatMust) {
  const auto body = [&]() -> Task<void> {
    Stream stream = Open();
    Send("one\ntwo\n");
    EXPECT_EQ(Told(co_await stream.ReadLine()), "one");
    // The next is there already; a cancelled task does not get it.
    const auto cancelled = [&]() -> Task<absl::StatusOr<std::string>> {
      const absl::Status slept = co_await Sleep(absl::InfiniteDuration());
      EXPECT_TRUE(absl::IsCancelled(slept)) << slept;
      co_return co_await stream.ReadLine();
    };
    JoinHandle<absl::StatusOr<std::string>> task = Spawn(cancelled(), {.eager = true});
    co_await Yield();
    task.Cancel();
    EXPECT_EQ(Told(co_await task), "CANCELLED");
    // Nor does a second reader.
    JoinHandle<absl::StatusOr<std::string>> first = Spawn(stream.ReadExactly(10), {.eager = true});
    co_await Yield();
    EXPECT_EQ(Told(co_await stream.ReadLine()), "FAILED_PRECONDITION");
    first.Cancel();
    EXPECT_EQ(Told(co_await first), "CANCELLED");
    EXPECT_EQ(Told(co_await stream.ReadLine()), "two");
    stream.Abort();
    EXPECT_EQ(Told(co_await stream.ReadLine()), "FAILED_PRECONDITION");
    EXPECT_EQ(Told(co_await stream.ReadUntil("x")), "FAILED_PRECONDITION");
    EXPECT_EQ(Told(co_await stream.ReadAll(1)), "FAILED_PRECONDITION");
  };
  RunTask(body);
}

TEST_P(StreamReadingTest, ALineThatWaitsEndsWithItsStream) {
  if (GetParam().threads > 1) return;  // it looks at what a task is reading
  const auto body = [&]() -> Task<void> {
    Stream stream = Open();
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(stream.ReadLine(), {.eager = true});
    co_await Yield();
    Send("half");
    while (stream.buffered().empty()) co_await Yield();
    stream.Abort();
    EXPECT_EQ(Told(co_await reading), "CANCELLED");
  };
  RunTask(body);
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, StreamReadingTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
