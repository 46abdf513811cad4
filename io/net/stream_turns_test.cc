// A task whose reads and writes never have to wait lets others have their turn, on a loop and on a
// pool. In each test nobody else would let them.
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;

struct Scheduler {
  ReactorFactory reactor;
  bool pool = false;

  static std::string Name(const testing::TestParamInfo<Scheduler>& info) {
    return absl::StrCat(info.param.reactor.name, info.param.pool ? "Pool" : "Loop");
  }
};

std::vector<Scheduler> Schedulers() {
  std::vector<Scheduler> all;
  for (const ReactorFactory& reactor : AllReactors()) {
    for (const bool pool : {false, true}) all.push_back({reactor, pool});
  }
  return all;
}

class StreamTurnsTest : public testing::TestWithParam<Scheduler> {
 protected:
  // How often `await_once` is awaited, each time ready, until a task that was queued before has had
  // its turn.
  int CountUntilOthersRun(const std::function<Task<void>()>& await_once) {
    const auto note = [](Atomic<bool>* ran) -> Task<void> {
      ran->store(true, internal::kRelaxed);
      co_return;
    };
    const auto body = [&]() -> Task<int> {
      co_await await_once();  // what it does the first time may wait
      Atomic<bool> ran{false};
      JoinHandle<void> sibling = Spawn(note(&ran));
      int count = 0;
      for (; !ran.load(internal::kRelaxed); ++count) co_await await_once();  // or for ever
      co_await sibling;
      co_return count;
    };
    return BlockOn(*executor_, body());
  }
  // On a loop, where the order is known.
  void ExpectSoon(int count) {
    if (!GetParam().pool) {
      EXPECT_LE(count, internal::kReadyAwaits + 1);
    }
  }
  Executor& executor() { return *executor_; }

 private:
  static std::unique_ptr<Executor> MakeExecutor() {
    if (!GetParam().pool) return std::make_unique<EventLoop>(GetParam().reactor.make(nullptr));
    return std::make_unique<WorkStealingPool>(WorkStealingPoolOptions{
        .threads = 1, .reactor = [] { return GetParam().reactor.make(nullptr); }});
  }

  std::unique_ptr<Executor> executor_ = MakeExecutor();
};

Task<void> Drop(Stream stream) {
  stream.Abort();
  co_return;
}

// As its peer does that always reads.
void TakeAll(int fd, size_t size) {
  char bytes[64];
  ASSERT_EQ(::read(fd, bytes, sizeof(bytes)), static_cast<ssize_t>(size));
}

TEST_P(StreamTurnsTest, AWriterWhosePeerAlwaysReads) {
  FdPair pair = MakeSocketPair();
  Stream stream = MakeStream(pair.first);
  const int count = CountUntilOthersRun([&]() -> Task<void> {
    const absl::Status written = co_await stream.Write("some");
    EXPECT_TRUE(written.ok()) << written;
    TakeAll(pair.second.get(), 4);
  });
  ExpectSoon(count);
  BlockOn(executor(), Drop(std::move(stream)));
}

TEST_P(StreamTurnsTest, AWriterToManyStreams) {
  constexpr size_t kStreams = 50;
  std::vector<OwnedFd> peers;
  std::vector<Stream> streams;
  for (size_t i = 0; i < kStreams; ++i) {
    FdPair pair = MakeSocketPair();
    streams.push_back(MakeStream(pair.first));
    peers.push_back(std::move(pair.second));
  }
  size_t next = 0;
  const int count = CountUntilOthersRun([&]() -> Task<void> {
    const absl::Status written = co_await streams[next].Write("some");
    EXPECT_TRUE(written.ok()) << written;
    TakeAll(peers[next].get(), 4);
    next = (next + 1) % kStreams;
  });
  ExpectSoon(count);
  for (Stream& stream : streams) BlockOn(executor(), Drop(std::move(stream)));
}

TEST_P(StreamTurnsTest, AReaderWhosePeerAlwaysWrites) {
  FdPair pair = MakeSocketPair();
  Stream stream = MakeStream(pair.first);
  GuardedBuffer bytes(64);
  const int count = CountUntilOthersRun([&]() -> Task<void> {
    WriteAll(pair.second.get(), "some");
    const absl::StatusOr<size_t> size = co_await stream.Read(bytes.span());
    EXPECT_TRUE(size.ok()) << size.status();
  });
  ExpectSoon(count);
  BlockOn(executor(), Drop(std::move(stream)));
}

TEST_P(StreamTurnsTest, AReaderOfWhatWasReadAhead) {
  constexpr size_t kLines = 10'000;
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), std::string(kLines, '\n'));
  Stream stream = MakeStream(pair.first);
  const int lines = CountUntilOthersRun([&]() -> Task<void> {
    const absl::StatusOr<std::string> line = co_await stream.ReadLine();
    EXPECT_TRUE(line.ok()) << line.status();
  });
  ExpectSoon(lines);
  GuardedBuffer byte(1);
  const int bytes = CountUntilOthersRun([&]() -> Task<void> {
    const absl::Status read = co_await stream.ReadExactly(byte.span());
    EXPECT_TRUE(read.ok()) << read;
  });
  ExpectSoon(bytes);
  BlockOn(executor(), Drop(std::move(stream)));
}

// What it read came before the cancel, and is not lost.
TEST_P(StreamTurnsTest, AReadThatGivesOthersTheirTurnKeepsItsBytes) {
  constexpr int kBytes = 1000;
  FdPair pair = MakeSocketPair();
  std::string sent;
  for (int i = 0; i < kBytes; ++i) sent.push_back(static_cast<char>('a' + i % 26));
  WriteAll(pair.second.get(), sent);
  Stream stream = MakeStream(pair.first);
  const auto read_all = [&stream](std::string* got) -> Task<absl::Status> {
    GuardedBuffer byte(1);
    for (;;) {
      co_await OrReturn(stream.ReadExactly(byte.span()));
      got->push_back(*byte.data());
    }
  };
  const auto body = [&]() -> Task<void> {
    const absl::StatusOr<size_t> ahead = co_await stream.ReadMore();
    EXPECT_TRUE(ahead.ok()) << ahead.status();
    std::string got;
    JoinHandle<absl::Status> reading = Spawn(read_all(&got));
    for (int i = 0; i < 3; ++i) co_await Yield();  // it is somewhere in the middle
    reading.Cancel();
    const absl::Status ended = co_await reading;
    EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
    GuardedBuffer rest(sent.size() - got.size());
    const absl::Status read = co_await stream.ReadExactly(rest.span());
    EXPECT_TRUE(read.ok()) << read;
    EXPECT_EQ(got + std::string(rest.text(rest.size())), sent);
    stream.Abort();
  };
  BlockOn(executor(), body());
}

// These wait for the reactor or the clock each time, and so let others run.
TEST_P(StreamTurnsTest, DatagramsOperationsAndTimersThatAreDue) {
  absl::StatusOr<DatagramSocket> socket = DatagramSocket::Bind(SocketAddress::Loopback(0));
  ASSERT_TRUE(socket.ok()) << socket.status();
  const SocketAddress to = socket->local_address();
  CountUntilOthersRun([&]() -> Task<void> {
    const absl::Status sent = co_await socket->SendTo("some", to);  // what nobody reads is dropped
    EXPECT_TRUE(sent.ok()) << sent;
  });
  FdPair pipe = MakePipe();
  CountUntilOthersRun([&]() -> Task<void> {
    const absl::StatusOr<size_t> size =
        co_await io::Write(pipe.second.get(), absl::MakeConstSpan("x", 1));
    EXPECT_TRUE(size.ok()) << size.status();
    TakeAll(pipe.first.get(), 1);
  });
  CountUntilOthersRun([]() -> Task<void> {
    const absl::Status slept = co_await Sleep(absl::ZeroDuration());
    EXPECT_TRUE(slept.ok()) << slept;
  });
}

INSTANTIATE_TEST_SUITE_P(All, StreamTurnsTest, testing::ValuesIn(Schedulers()), Scheduler::Name);

}  // namespace
}  // namespace plait
