// Streams on an executor with several Workers, between which tasks go to and fro. Traps: a buffer
// that is freed while the kernel owns it (of a read or a write that another worker's close ends), a
// cancel that races completion (at the stream's home, asked for elsewhere), a reference parameter
// of a lazy task (of what ends a stream for whoever dropped it).
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/file/open_file.h"
#include "plait/io/net/send_file.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/executor_fixture.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/runtime/testing/test_pool.h"
#include "plait/runtime/testing/until.h"
#include "plait/schedulers/blocking/blocking_pool.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

Task<absl::StatusOr<std::string>> ReadSome(Stream& stream, size_t most = 64) {
  GuardedBuffer buffer(most);
  const absl::StatusOr<size_t> count = co_await stream.Read(buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

Task<absl::Status> WriteAndFlush(Stream& stream, std::string text) {
  const GuardedBuffer buffer(text);
  co_await OrReturn(stream.Write(buffer.text(text.size())));
  co_return co_await stream.Flush();
}

class StreamOnWorkersTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  StreamOnWorkersTest() { Make(/*restless=*/false); }
  ~StreamOnWorkersTest() override {
    // What was dropped is closed by a task.
    for (int round = 0; pool_->tasks().size() > 0; ++round) internal::SpinWait(round);
    // Fewer, where a thread that started had a file open for a moment.
    EXPECT_LE(OpenDescriptors(), open_before_);
  }

  void Make(bool restless, int workers = 2) {
    pool_ = nullptr;
    pool_ = std::make_unique<TestPool>([] { return GetParam().make(nullptr); },
                                       TestPool::Options{.workers = workers, .restless = restless});
    open_before_ = OpenDescriptors();
  }
  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(*pool_, body());
  }
  TestPool& pool() { return *pool_; }

  // A task that has begun to read on worker 0, where `stream` is at home from now on.
  Task<JoinHandle<absl::StatusOr<std::string>>> ReaderAtHome(Stream& stream) {
    co_await pool_->MoveTo(0);
    co_return Spawn(ReadSome(stream), {.eager = true});
  }

  std::unique_ptr<EventLoop> loop_;  // another executor, in some tests

 private:
  int open_before_ = 0;
  std::unique_ptr<TestPool> pool_;
};

TEST_P(StreamOnWorkersTest, WhatIsAskedElsewhereIsDoneAtHomeAlsoWhereItNeedNotWait) {
  FdPair pair = MakeTcpPair();
  const auto body = [&]() -> Task<void> {
    Stream stream = MakeStream(pair.first);
    auto reader = co_await ReaderAtHome(stream);
    co_await pool().MoveTo(1);
    const absl::Status wrote = co_await stream.Write("short");
    EXPECT_TRUE(wrote.ok()) << wrote;
    EXPECT_EQ(pool().here(), 0);
    WriteAll(pair.second.get(), "answer");
    const absl::StatusOr<std::string> read = co_await reader;
    EXPECT_TRUE(read.ok() && *read == "answer") << read.status();
    for (int round = 0; round < 5; ++round) {
      co_await pool().MoveTo(1);
      WriteAll(pair.second.get(), "line\n");
      const absl::StatusOr<std::string> line = co_await stream.ReadLine();
      EXPECT_TRUE(line.ok() && *line == "line") << line.status();
    }
    co_await pool().MoveTo(1);
    const absl::Status shut = co_await stream.ShutdownWrite();
    EXPECT_TRUE(shut.ok()) << shut;
    co_await pool().MoveTo(1);
    const absl::Status refused = co_await stream.Write("more");
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    co_await pool().MoveTo(1);
    const absl::Status closed = co_await stream.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
  EXPECT_EQ(ReadExactly(pair.second.get(), 100), "short");
}

TEST_P(StreamOnWorkersTest, AWriteThatWaitsIsSentWhileAnotherWorkersTaskReads) {
  FdPair pair = MakeSmallTcpPair();
  const std::string text = Pattern(1 << 20);
  const auto body = [&]() -> Task<void> {
    Stream one = MakeStream(pair.first);
    Stream other = MakeStream(pair.second);
    auto reader = co_await ReaderAtHome(one);
    co_await pool().MoveTo(1);
    auto writer = Spawn(WriteAndFlush(one, text), {.eager = true});
    co_await pool().MoveTo(1);
    const absl::StatusOr<std::string> got = co_await other.ReadExactly(text.size());
    EXPECT_TRUE(got.ok() && *got == text) << got.status();
    const absl::Status wrote = co_await writer;
    EXPECT_TRUE(wrote.ok()) << wrote;
    EXPECT_EQ(one.unsent(), 0u);
    const absl::Status answered = co_await other.Write("x");
    EXPECT_TRUE(answered.ok()) << answered;
    const absl::StatusOr<std::string> read = co_await reader;
    EXPECT_TRUE(read.ok() && *read == "x") << read.status();
    EXPECT_TRUE((co_await one.Close()).ok());
    EXPECT_TRUE((co_await other.Close()).ok());
  };
  RunTask(body);
}

TEST_P(StreamOnWorkersTest, ACloseElsewhereSendsWhatIsLeftAndEndsTheRead) {
  FdPair pair = MakeSmallTcpPair();
  const std::string text = Pattern(60 << 10);
  const auto body = [&]() -> Task<void> {
    Stream stream = MakeStream(pair.first);
    auto reader = co_await ReaderAtHome(stream);
    co_await pool().MoveTo(1);
    // As much as the kernel takes, and then some that waits in the stream.
    for (int i = 0; i < 20 && stream.unsent() == 0; ++i) {
      const absl::Status wrote = co_await stream.Write(text);
      EXPECT_TRUE(wrote.ok()) << wrote;
      co_await pool().MoveTo(1);
    }
    EXPECT_GT(stream.unsent(), 0u);
    auto close = Spawn(stream.Close());
    size_t received = 0;
    while (!close.done()) {
      received += Drain(pair.second.get()).size();
      co_await Yield();
    }
    received += Drain(pair.second.get()).size();
    EXPECT_EQ(received % text.size(), 0u);
    const absl::Status closed = co_await close;
    EXPECT_TRUE(closed.ok()) << closed;
    const absl::StatusOr<std::string> read = co_await reader;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  };
  RunTask(body);
}

TEST_P(StreamOnWorkersTest, AStreamThatIsDroppedElsewhereEndsWhatWaitsOnIt) {
  for (const bool by_shots : {false, true}) {
    FdPair pair = MakeSmallTcpPair();
    const auto body = [&]() -> Task<void> {
      auto stream = std::make_unique<Stream>(MakeStream(pair.first));
      if (by_shots) {
        // From its second wait on a connection may receive by a multishot.
        auto first = co_await ReaderAtHome(*stream);
        WriteAll(pair.second.get(), "x");
        EXPECT_TRUE((co_await first).ok());
      }
      auto reader = co_await ReaderAtHome(*stream);
      auto writer = Spawn(WriteAndFlush(*stream, Pattern(1 << 20)), {.eager = true});
      co_await pool().MoveTo(1);
      stream = nullptr;
      const absl::StatusOr<std::string> read = co_await reader;
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
      const absl::Status wrote = co_await writer;
      EXPECT_TRUE(absl::IsCancelled(wrote)) << wrote;
    };
    RunTask(body);
    // It is closed: there is an end, or a reset.
    while (ReadExactly(pair.second.get(), 1 << 16).size() == 1 << 16) {
    }
  }
}

TEST_P(StreamOnWorkersTest, SendFileIsCancelledWhereTheStreamIsDroppedWhileItIsOnItsWayHome) {
  FdPair pair = MakeTcpPair();
  const TestFolder folder;
  // The pool's reactors open none.
  BlockingPool opens;
  loop_ = std::make_unique<EventLoop>(GetParam().make(&opens));
  Make(/*restless=*/false);
  absl::StatusOr<File> file = BlockOn(*loop_, OpenFile(folder.Write("file", "content")));
  ASSERT_TRUE(file.ok()) << file.status();
  internal::Atomic<bool> released{false};
  FunctionItem hold_home([&] { Until([&] { return released.load(internal::kAcquire); }); });
  const auto body = [&]() -> Task<void> {
    auto stream = std::make_unique<Stream>(MakeStream(pair.first));
    auto reader = co_await ReaderAtHome(*stream);
    co_await pool().MoveTo(1);
    pool().worker(0).Post(hold_home);
    auto sending = SendFile(*stream, *file);
    stream = nullptr;  // which waits there for its turn, and so does what comes now
    auto sent = Spawn(std::move(sending), {.eager = true});
    released.store(true, internal::kRelease);
    const absl::StatusOr<int64_t> ended = co_await sent;
    EXPECT_TRUE(absl::IsCancelled(ended.status())) << ended.status();
    const absl::StatusOr<std::string> read = co_await reader;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  };
  RunTask(body);
  EXPECT_TRUE(BlockOn(*loop_, file->Close()).ok());
  loop_ = nullptr;
}

TEST_P(StreamOnWorkersTest, AStreamOfAPoolIsRefusedByOtherExecutors) {
  loop_ = std::make_unique<EventLoop>(GetParam().make(nullptr));
  Make(/*restless=*/false);
  FdPair pair = MakeTcpPair();
  Stream stream = MakeStream(pair.first);
  const auto use = [&]() -> Task<void> {
    auto reader = co_await ReaderAtHome(stream);
    WriteAll(pair.second.get(), "x");
    EXPECT_TRUE((co_await reader).ok());
  };
  RunTask(use);
  const absl::StatusOr<std::string> read = BlockOn(*loop_, ReadSome(stream));
  EXPECT_TRUE(absl::IsFailedPrecondition(read.status())) << read.status();
  const auto drop = [&]() -> Task<void> { EXPECT_TRUE((co_await stream.Close()).ok()); };
  RunTask(drop);
}

TEST_P(StreamOnWorkersTest, ATaskOfAStrandReadsAndWritesOnItsStrand) {
  FdPair pair = MakeTcpPair();
  Strand strand(pool());
  Stream stream = MakeStream(pair.first);
  const auto on_strand = [&]() -> Task<absl::Status> {
    for (int i = 0; i < 30; ++i) {
      WriteAll(pair.second.get(), "x");
      co_await OrReturn(ReadSome(stream));
      EXPECT_TRUE(strand.running_here());
      co_await OrReturn(WriteAndFlush(stream, "y"));
      EXPECT_TRUE(strand.running_here());
      co_await Yield();
    }
    co_await OrReturn(stream.Close());
    EXPECT_TRUE(strand.running_here());
    co_return absl::OkStatus();
  };
  const auto body = [&]() -> Task<void> {
    auto reader = co_await ReaderAtHome(stream);
    WriteAll(pair.second.get(), "x");
    EXPECT_TRUE((co_await reader).ok());
    co_await pool().MoveTo(1);
    const absl::Status ran = co_await Spawn(on_strand(), {.executor = &strand});
    EXPECT_TRUE(ran.ok()) << ran;
  };
  RunTask(body);
  EXPECT_EQ(ReadExactly(pair.second.get(), 100), std::string(30, 'y'));
}

// Lines to and fro over a few connections, with a reader and a writer at each end that are never
// long on one worker. All lines come, in order, and once.
TEST_P(StreamOnWorkersTest, RestlessReadersAndWritersLoseNothing) {
  Make(/*restless=*/true, /*workers=*/3);
  constexpr int kConnections = 3;
  const int lines = Repeats(150);
  const auto write = [lines](Stream& stream) -> Task<absl::Status> {
    for (int i = 0; i < lines; ++i) {
      // Some far above the high-water mark.
      const size_t padding = i % 40 == 0 ? 200 << 10 : static_cast<size_t>(i);
      co_await OrReturn(stream.Write(absl::StrCat(i, " ", std::string(padding, '.'), "\n")));
      if (i % 3 == 0) co_await Yield();
    }
    co_return co_await stream.ShutdownWrite();
  };
  const auto read = [lines](Stream& stream) -> Task<absl::Status> {
    for (int i = 0; i < lines; ++i) {
      const std::string line = co_await OrReturn(stream.ReadLine(1 << 20));
      if (line.substr(0, line.find(' ')) != absl::StrCat(i)) {
        co_return absl::DataLossError(absl::StrCat("line ", i, ": ", line.substr(0, 20)));
      }
      if (i % 5 == 0) co_await Yield();
    }
    const std::string end = co_await OrReturn(stream.Read(1));
    co_return end.empty() ? absl::OkStatus() : absl::DataLossError("there is more");
  };
  const auto body = [&]() -> Task<absl::Status> {
    std::vector<Stream> ends;
    for (int i = 0; i < kConnections; ++i) {
      FdPair pair = i == 0 ? MakeSocketPair() : MakeSmallTcpPair();
      ends.push_back(MakeStream(pair.first));
      ends.push_back(MakeStream(pair.second));
    }
    const auto talk = [&](TaskGroup& group) -> Task<absl::Status> {
      for (Stream& end : ends) {
        group.Spawn(write(end));
        group.Spawn(read(end));
      }
      co_return absl::OkStatus();
    };
    co_await OrReturn(WithTaskGroup(talk));
    for (Stream& end : ends) co_await OrReturn(end.Close());
    co_return absl::OkStatus();
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
}

// A read, a write, and an end in one of four ways, wherever each of them is just then.
TEST_P(StreamOnWorkersTest, ARestlessEndEndsEverythingOnce) {
  Make(/*restless=*/true, /*workers=*/3);
  const std::string text = Pattern(1 << 20);
  const auto write = [&text](Stream& stream) -> Task<absl::Status> {
    co_return co_await stream.Write(text);
  };
  const auto body = [&]() -> Task<void> {
    for (const int round : ShareOf(150)) {
      FdPair pair = round % 3 == 0 ? MakeSocketPair() : MakeSmallTcpPair();
      auto stream = std::make_unique<Stream>(MakeStream(pair.first));
      // Eager: once they have begun they need no Stream any more.
      auto reader = Spawn(ReadSome(*stream), {.eager = true});
      if (round % 2 == 0) WriteAll(pair.second.get(), "early");
      if (round % 2 == 0) {
        const absl::StatusOr<std::string> early = co_await reader;
        EXPECT_TRUE(early.ok() && *early == "early") << early.status();
        reader = Spawn(ReadSome(*stream), {.eager = true});
      }
      auto writer = Spawn(write(*stream), {.eager = true});
      for (int i = 0; i < round % 7; ++i) co_await Yield();
      switch (round % 4) {
        case 0: {
          Stream moved = std::move(*stream);
          moved.Abort();
          break;
        }
        case 1: {
          auto close = Spawn(stream->Close());
          co_await Yield();
          close.Cancel();
          const absl::Status closed = co_await close;
          EXPECT_FALSE(closed.ok());
          break;
        }
        case 2: {
          const Stream dropped = std::move(*stream);
          break;
        }
        default:
          reader.Cancel();
          writer.Cancel();
          break;
      }
      const absl::StatusOr<std::string> read = co_await reader;
      EXPECT_FALSE(read.ok());
      const absl::Status wrote = co_await writer;
      EXPECT_FALSE(wrote.ok());
      if (stream != nullptr && stream->is_open()) stream->Abort();
    }
  };
  RunTask(body);
}

INSTANTIATE_TEST_SUITE_P(AllReactors, StreamOnWorkersTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
