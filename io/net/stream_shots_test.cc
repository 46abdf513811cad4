// Connections that wait again and again, which receive by a multishot where the reactor has those;
// what they promise is the same on every reactor. Traps: a buffer (the reactor's) that is given
// back while it is read; a cancel that races completion; a wake-up lost between the look at what
// has come and the wait.
#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_shots_fixture.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_pool.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

TEST_P(StreamShotsTest, AReadTakesPartOfWhatHasComeAndTheNextTheRest) {
  RunTask([&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    co_await WaitOften(&stream, pair.second.get());
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(&stream, 3));
    co_await Yield();
    WriteAll(pair.second.get(), "hello, you\nthere\n");
    absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(read.ok() && *read == "hel") << read.status();
    read = co_await stream.ReadExactly(4);
    EXPECT_TRUE(read.ok() && *read == "lo, ") << read.status();
    absl::StatusOr<std::string> line = co_await stream.ReadLine();
    EXPECT_TRUE(line.ok() && *line == "you") << line.status();
    line = co_await stream.ReadLine();
    EXPECT_TRUE(line.ok() && *line == "there") << line.status();
    pair.second.Reset();
    line = co_await stream.ReadLine();
    EXPECT_EQ(line.status().code(), absl::StatusCode::kOutOfRange) << line.status();
    read = co_await stream.Read(1);
    EXPECT_TRUE(read.ok() && read->empty()) << "the end stays: " << read.status();
  });
}

TEST_P(StreamShotsTest, TheEndInTheMiddleOfAnExactReadGivesThePartialBytes) {
  RunTask([&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    co_await WaitOften(&stream, pair.second.get());
    WriteAll(pair.second.get(), "abc");
    pair.second.Reset();
    const absl::StatusOr<std::string> read = co_await stream.ReadExactly(5);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(PartialBytes(read.status()), "abc");
  });
}

TEST_P(StreamShotsTest, ReadingAheadGoesOnHoweverMuchWasReadAheadAlready) {
  RunTask([&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    co_await WaitOften(&stream, pair.second.get());
    const std::string data = Pattern(1'000'000);
    Thread peer = StartThread("peer", [&] {
      WriteAll(pair.second.get(), data);
      pair.second.Reset();
    });
    const absl::StatusOr<std::string> read = co_await stream.ReadAll(2 * data.size());
    EXPECT_TRUE(read.ok() && *read == data) << read.status();
    peer.join();
  });
}

TEST_P(StreamShotsTest, AResetIsToldByAllLaterReads) {
  RunTask([&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    co_await WaitOften(&stream, pair.second.get());
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(&stream, 3));
    co_await Yield();
    CloseWithReset(std::move(pair.second));
    absl::StatusOr<std::string> read = co_await reading;
    EXPECT_EQ(read.status().code(), absl::StatusCode::kUnavailable);
    read = co_await ReadSome(&stream, 3);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kUnavailable);
  });
}

TEST_P(StreamShotsTest, AReaderThatWaitsIsCancelledByACloseAndByAnAbort) {
  const int before = OpenDescriptors();
  for (const bool abort : {true, false}) {
    FdPair pair = MakeTcpPair();
    RunTask([&]() -> Task<void> {
      Stream stream = MakeStream(pair.first);
      co_await WaitOften(&stream, pair.second.get());
      JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(&stream, 3));
      co_await Yield();
      if (abort) {
        stream.Abort();
      } else {
        const absl::Status closed = co_await stream.Close();
        EXPECT_TRUE(closed.ok()) << closed;
      }
      const absl::StatusOr<std::string> read = co_await reading;
      EXPECT_EQ(read.status().code(), absl::StatusCode::kCancelled);
    });
    EXPECT_TRUE(TurnsUntilItEnds(pair.second.get())) << "the peer is told of the end";
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(StreamShotsTest, ACancelBesideACloseEndsTheReadOnce) {
  RunTask([&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    co_await WaitOften(&stream, pair.second.get());
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(&stream, 3));
    co_await Yield();
    stream.Abort();
    reading.Cancel();
    const absl::StatusOr<std::string> read = co_await reading;
    EXPECT_EQ(read.status().code(), absl::StatusCode::kCancelled);
  });
}

TEST_P(StreamShotsTest, APeerThatIsNotReadFromCannotSendForEver) {
  RunTask([&]() -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    co_await WaitOften(&stream, pair.second.get());
    size_t sent = 0;
    for (int i = 0; i < 100; ++i) {
      sent += FillUp(pair.second.get());
      for (int turn = 0; turn < 10; ++turn) co_await Yield();
    }
    for (int turn = 0; turn < 100; ++turn) co_await Yield();
    EXPECT_EQ(FillUp(pair.second.get()), 0u) << "the peer still gets rid of its data";
    // Read from, all of it comes.
    pair.second.Reset();
    size_t came = 0;
    for (;;) {
      const absl::StatusOr<std::string> read = co_await stream.Read(5000);
      EXPECT_TRUE(read.ok()) << read.status();
      if (!read.ok() || read->empty()) break;
      came += read->size();
    }
    EXPECT_EQ(came, sent);
  });
}

TEST_P(StreamShotsTest, WhatWasReadAheadStaysWhereItIsWhileItIsWrittenHoweverMuchComes) {
  RunTask([&]() -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    co_await WaitOften(&stream, pair.second.get());
    WriteAll(pair.second.get(), "abc");
    EXPECT_TRUE((co_await stream.ReadMore()).ok());
    EXPECT_EQ(stream.buffered(), "abc");
    // From where it is, when there is room: the stream keeps no copy.
    stream.set_high_water_mark(0);
    const size_t before = FillUp(stream.descriptor());
    JoinHandle<absl::Status> writing = Spawn([](Stream* to) -> Task<absl::Status> {
      co_return co_await to->Write(to->buffered());
    }(&stream));
    for (int i = 0; i < 100; ++i) {
      FillUp(pair.second.get());
      for (int turn = 0; turn < 10; ++turn) co_await Yield();
    }
    EXPECT_EQ(ReadExactly(pair.second.get(), before).size(), before);
    const absl::Status written = co_await writing;
    EXPECT_TRUE(written.ok()) << written;
    EXPECT_EQ(ReadExactly(pair.second.get(), 3), "abc");
  });
}

TEST_P(StreamShotsTest, WhatIsReadNowIsThereThoughOtherTasksNeverWait) {
  RunTask([&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    co_await WaitOften(&stream, pair.second.get());
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(&stream, 3));
    co_await Yield();
    WriteAll(pair.second.get(), "abc");
    while (!reading.done()) co_await Yield();
    const absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(read.ok() && *read == "abc") << read.status();
  });
}

// Whatever kind of read has left them.
TEST_P(StreamShotsTest, ReadMoreDoesNotWaitForBytesThatAReadHasLeft) {
  enum Kind { kInto, kString, kLine, kCancelled };
  for (const Kind kind : {kInto, kString, kLine, kCancelled}) {
    SCOPED_TRACE(kind);
    RunTask([&]() -> Task<void> {
      FdPair pair = MakeTcpPair();
      Stream stream = MakeStream(pair.first);
      co_await WaitOften(&stream, pair.second.get());
      const auto read = [&]() -> Task<absl::Status> {
        if (kind == kString) co_return (co_await stream.ReadExactly(3)).status();
        if (kind == kLine) co_return (co_await stream.ReadLine()).status();
        GuardedBuffer buffer(kind == kInto ? 3 : 100);
        co_return co_await stream.ReadExactly(buffer.span());
      };
      JoinHandle<absl::Status> reading = Spawn(read());
      co_await Yield();
      WriteAll(pair.second.get(), "ab\ndef");
      for (int turn = 0; turn < 100; ++turn) co_await Yield();
      if (kind == kCancelled) reading.Cancel();
      const absl::Status ended = co_await reading;
      EXPECT_EQ(absl::IsCancelled(ended), kind == kCancelled) << ended;
      const absl::string_view left = kind == kCancelled ? "ab\ndef" : "def";
      const absl::StatusOr<size_t> more = co_await stream.ReadMore();
      EXPECT_TRUE(more.ok() && *more == left.size()) << more.status();
      EXPECT_EQ(stream.buffered(), left);
      // Told of once.
      JoinHandle<absl::StatusOr<size_t>> waiting =
          Spawn([](Stream& from) -> Task<absl::StatusOr<size_t>> {
            co_return co_await from.ReadMore();
          }(stream));
      for (int turn = 0; turn < 100; ++turn) co_await Yield();
      EXPECT_FALSE(waiting.done());
      waiting.Cancel();
      EXPECT_TRUE(absl::IsCancelled((co_await waiting).status()));
    });
  }
}

// More than a multishot brings before it ends, at once.
TEST_P(StreamShotsTest, ReadMoreTellsOfAllThatIsReadAheadAlsoWhereNobodyWaitedForIt) {
  for (const bool waits : {false, true}) {
    RunTask([&]() -> Task<void> {
      FdPair pair = MakeTcpPair();
      Stream stream = MakeStream(pair.first);
      co_await WaitOften(&stream, pair.second.get());
      const std::string data = Pattern(150'000);
      std::string read;
      const auto read_all = [&]() -> Task<void> {
        while (read.size() < data.size()) {
          const absl::StatusOr<size_t> size = co_await stream.ReadMore();
          EXPECT_TRUE(size.ok() && *size > 0) << size.status();
          if (!size.ok() || *size == 0) co_return;
          EXPECT_EQ(*size, stream.buffered().size());
          read.append(stream.buffered().data(), stream.buffered().size());
          stream.Consume(stream.buffered().size());
        }
      };
      JoinHandle<void> reading;
      if (waits) {
        reading = Spawn(read_all());
        co_await Yield();
      }
      WriteAll(pair.second.get(), data);
      for (int turn = 0; turn < 100; ++turn) co_await Yield();
      if (!waits) reading = Spawn(read_all());
      co_await reading;
      EXPECT_TRUE(read == data) << read.size();
    });
  }
}

// Unread connections hold all buffers that the reactor lends: who reads is served all the same.
TEST(StreamShotsOfFewBuffersTest, ConnectionsThatNobodyReadsKeepNobodyWaiting) {
  IoUringOptions few;
  few.buffer_size = 64;
  few.first_buffers = 1;
  few.max_buffers = 4;
  EventLoop loop(MakeIoUringReactor(few));
  const auto body = [&]() -> Task<void> {
    std::vector<FdPair> pairs;
    std::vector<Stream> streams;
    for (int i = 0; i < 12; ++i) {
      pairs.push_back(MakeTcpPair());
      streams.push_back(MakeStream(pairs.back().first));
      co_await WaitOften(&streams.back(), pairs.back().second.get());
    }
    const std::string unread = Pattern(4000);
    for (size_t i = 0; i + 1 < pairs.size(); ++i) WriteAll(pairs[i].second.get(), unread);
    for (int turn = 0; turn < 100; ++turn) co_await Yield();
    // One byte at a time, waiting for each.
    const std::string data = Pattern(500, 2);
    for (const char byte : data) {
      JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(&streams.back(), 1));
      co_await Yield();
      WriteAll(pairs.back().second.get(), std::string(1, byte));
      const absl::StatusOr<std::string> read = co_await reading;
      EXPECT_TRUE(read.ok() && *read == std::string(1, byte)) << read.status();
    }
    for (size_t i = 0; i + 1 < pairs.size(); ++i) {
      const absl::StatusOr<std::string> read = co_await streams[i].ReadExactly(unread.size());
      EXPECT_TRUE(read.ok() && *read == unread) << read.status();
    }
  };
  BlockOn(loop, body());
}

// Also on a pool, where the bytes are not put to those that another thread may be consuming. Trap:
// a buffer (the reactor's) that is given back while it is read.
TEST(StreamShotsBuffersTest, OnAPoolWhatAnEndedMultishotHeldComesBackThoughNobodyReads) {
  std::vector<const Reactor*> reactors;
  const auto make = [&] {
    absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeIoUringReactor();
    if (reactor.ok()) reactors.push_back(reactor->get());
    return reactor;
  };
  TestPool pool(make, {.workers = 2});
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    // Where it first waits it is at home.
    co_await pool.MoveTo(0);
    JoinHandle<absl::StatusOr<std::string>> first = Spawn(ReadSome(&stream, 1), {.eager = true});
    WriteAll(pair.second.get(), "x");
    EXPECT_TRUE((co_await first).ok());
    co_await WaitOften(&stream, pair.second.get());
    co_await pool.MoveTo(0);
    EXPECT_EQ(MultishotUseOf(*reactors[0]).armed, 1u);
    size_t sent = 0;
    const auto is_back = [&] {
      const IoUringMultishotUse use = MultishotUseOf(*reactors[0]);
      return use.armed == 0 && use.buffers_with_kernel == use.buffers;
    };
    for (int turn = 0; turn < 10'000 && !is_back(); ++turn) {
      sent += FillUp(pair.second.get());
      co_await Yield();
      co_await pool.MoveTo(0);
    }
    EXPECT_TRUE(is_back());
    pair.second.Reset();
    const absl::StatusOr<std::string> all = co_await stream.ReadAll(2 * sent);
    EXPECT_TRUE(all.ok() && all->size() == sent) << all.status();
    EXPECT_TRUE((co_await stream.Close()).ok());
  };
  BlockOn(pool, body());
}

// Whatever the multishot is at: with the kernel, about to be ended there, as nobody has read for
// long, or at its end. Traps: a buffer that is lent, or still the kernel's, when its stream goes; a
// cancel (by the reactor) that races completion.
TEST(StreamShotsBuffersTest, WhatAStreamHeldThatIsDroppedWhereItsLoopDoesNotRunComesBack) {
  absl::StatusOr<std::unique_ptr<Reactor>> made = MakeIoUringReactor();
  ASSERT_TRUE(made.ok()) << made.status();
  const Reactor& reactor = **made;
  EventLoop loop(std::move(made));
  enum Peer { kSilent, kFloods, kFloodsAndEnds, kFloodsAndResets };
  const auto read_ahead = [](Stream& stream) -> Task<void> {
    EXPECT_TRUE((co_await stream.ReadMore()).ok());
  };
  for (int round = 0; round < 8; ++round) {
    const auto peer = static_cast<Peer>(round / 2);
    for (int turns = 0; turns < 8; ++turns) {
      SCOPED_TRACE(testing::Message() << "round " << round << ", dropped after turn " << turns);
      FdPair pair = MakeTcpPair();
      {
        Stream stream = MakeStream(pair.first);
        BlockOn(loop, WaitOften(&stream, pair.second.get()));
        if (round % 2 == 1) {
          WriteAll(pair.second.get(), "read ahead, and left");
          BlockOn(loop, read_ahead(stream));
        }
        if (peer != kSilent) FillUp(pair.second.get());
        if (peer == kFloodsAndResets) {
          const linger at_once{.l_onoff = 1, .l_linger = 0};
          ASSERT_EQ(
              ::setsockopt(pair.second.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
        }
        if (peer >= kFloodsAndEnds) pair.second.Reset();
        for (int turn = 0; turn < turns; ++turn) EXPECT_TRUE(loop.RunReady().ok());
      }
      for (int turn = 0; turn < 100; ++turn) EXPECT_TRUE(loop.RunReady().ok());
      const IoUringMultishotUse use = MultishotUseOf(reactor);
      EXPECT_EQ(use.buffers_with_kernel, use.buffers);
      EXPECT_EQ(use.armed, 0u);
    }
  }
}

// Writes, reads of all kinds and cancels in random order against a string.
TEST_P(StreamShotsTest, HoweverReadsAreMixedAndCancelledNoByteIsLostOrMoved) {
  for (const int number : ShareOf(20)) {
    const auto seed = static_cast<unsigned>(number) + 1;
    SCOPED_TRACE(seed);
    RunTask([&]() -> Task<void> {
      std::mt19937 generator(seed);
      const auto below = [&](size_t bound) { return generator() % bound; };
      FdPair pair = MakeTcpPair();
      Stream stream = MakeStream(pair.first);
      co_await WaitOften(&stream, pair.second.get());
      const std::string data = Pattern(200'000, seed);
      size_t sent = 0;
      size_t came = 0;
      const auto send = [&](size_t size) {
        WriteAll(pair.second.get(), absl::string_view(data).substr(sent, size));
        sent += size;
      };
      const auto check = [&](const absl::StatusOr<std::string>& read) {
        if (!read.ok()) {
          EXPECT_EQ(read.status().code(), absl::StatusCode::kCancelled) << read.status();
          return;
        }
        EXPECT_TRUE(*read == absl::string_view(data).substr(came, read->size())) << "at " << came;
        came += read->size();
      };
      while (sent + 3000 < data.size()) {
        const size_t pending = sent - came;
        if (below(2) == 0 && pending < 30'000) send(1 + below(3000));
        switch (below(3)) {
          case 0:
            if (sent > came) check(co_await stream.Read(1 + below(4000)));
            break;
          case 1:
            if (sent > came) check(co_await stream.ReadExactly(1 + below(sent - came)));
            break;
          default: {
            // More than there is, given up before or after more has come.
            const size_t size = sent - came + 1 + below(2000);
            JoinHandle<absl::StatusOr<std::string>> reading =
                Spawn([](Stream* from, size_t exactly) -> Task<absl::StatusOr<std::string>> {
                  co_return co_await from->ReadExactly(exactly);
                }(&stream, size));
            for (size_t turn = below(4); turn > 0; --turn) co_await Yield();
            if (below(2) == 0) send(1 + below(3000));
            for (size_t turn = below(4); turn > 0; --turn) co_await Yield();
            reading.Cancel();
            check(co_await reading);
          }
        }
      }
      pair.second.Reset();
      const absl::StatusOr<std::string> rest = co_await stream.ReadAll(1 << 20);
      EXPECT_TRUE(rest.ok()) << rest.status();
      check(rest);
      EXPECT_EQ(came, sent);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Reactors, StreamShotsTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
