// Streams whose tasks are cancelled from other threads while bytes move, and streams that meet more
// than one loop. Traps: a cancel that races completion; a wake-up lost between check and park; a
// buffer that is freed while the kernel owns it.
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/socket_pair.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/net/stream_state.h"
#include "plait/io/net/stream_talk.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {
namespace {

class StreamRacesTest : public StreamLoopTest {
 protected:
  // Another thread cancels `handle`, soon.
  template <class T>
  JoinHandle<void> CancelFromOutside(JoinHandle<T>& handle) {
    return Spawn(CancelIt<T>(&handle), {.executor = &outside_});
  }

 private:
  template <class T>
  static Task<void> CancelIt(JoinHandle<T>* handle) {
    handle->Cancel();
    co_return;
  }

  ThreadExecutor outside_;
};

Task<absl::StatusOr<std::string>> ReadFully(Stream& stream, size_t size) {
  GuardedBuffer buffer(size);
  const absl::Status read = co_await stream.ReadExactly(buffer.span());
  if (!read.ok()) co_return read;
  co_return std::string(buffer.text(size));
}

TEST_P(StreamRacesTest, ReadsThatAreCancelledFromAnotherThreadLoseNoBytes) {
  const int rounds = Repeats(300);
  for (const bool tcp : {false, true}) {
    SCOPED_TRACE(tcp);
    const auto body = [&]() -> Task<absl::Status> {
      FdPair ends = tcp ? MakeTcpPair() : MakeSocketPair();
      Stream reader = MakeStream(ends.first);
      Stream writer = MakeStream(ends.second);
      const std::string text = Pattern(static_cast<size_t>(rounds) * 8);
      std::string all;
      for (int round = 0; round < rounds; ++round) {
        JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadFully(reader, 8));
        if (round % 2 == 0) co_await Yield();
        JoinHandle<void> cancelling = CancelFromOutside(reading);
        co_await OrReturn(writer.Write(absl::string_view(text).substr(8 * round, 3)));
        if (round % 3 == 0) co_await Yield();
        co_await OrReturn(writer.Write(absl::string_view(text).substr(8 * round + 3, 5)));
        const absl::StatusOr<std::string> read = co_await reading;
        co_await cancelling;
        if (read.ok()) {
          all += *read;
        } else {
          EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
          all += co_await OrReturn(reader.ReadExactly(8));
        }
      }
      EXPECT_TRUE(all == text);
      co_return absl::OkStatus();
    };
    const absl::Status done = RunTask(body);
    EXPECT_TRUE(done.ok()) << done;
  }
}

TEST_P(StreamRacesTest, LinesThatAreCancelledFromAnotherThreadAreReadByTheNext) {
  const int rounds = Repeats(300);
  for (const bool tcp : {false, true}) {
    SCOPED_TRACE(tcp);
    const auto body = [&]() -> Task<absl::Status> {
      FdPair ends = tcp ? MakeTcpPair() : MakeSocketPair();
      Stream reader = MakeStream(ends.first);
      Stream writer = MakeStream(ends.second);
      for (int round = 0; round < rounds; ++round) {
        const std::string line = absl::StrCat("line ", round, std::string(round, '.'));
        JoinHandle<absl::StatusOr<std::string>> reading = Spawn(reader.ReadLine());
        if (round % 2 == 0) co_await Yield();
        JoinHandle<void> cancelling = CancelFromOutside(reading);
        co_await OrReturn(writer.Write(line));
        co_await Yield();
        co_await OrReturn(writer.Write("\n"));
        absl::StatusOr<std::string> read = co_await reading;
        co_await cancelling;
        if (absl::IsCancelled(read.status())) read = co_await reader.ReadLine();
        EXPECT_TRUE(read.ok() && *read == line) << read.status();
      }
      co_return absl::OkStatus();
    };
    const absl::Status done = RunTask(body);
    EXPECT_TRUE(done.ok()) << done;
  }
}

TEST_P(StreamRacesTest, WritesThatAreCancelledFromAnotherThreadArriveAsFarAsTheySay) {
  const int rounds = Repeats(60);
  const auto body = [&]() -> Task<absl::Status> {
    FdPair ends = MakeSocketPair();
    SetBufferSizes(ends.first.get(), 8192);
    Stream writer = MakeStream(ends.first);
    Stream reader = MakeStream(ends.second);
    writer.set_high_water_mark(10'000);
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(reader.ReadAll(size_t{64} << 20));
    std::string expected;
    for (int round = 0; round < rounds; ++round) {
      const std::string text = Pattern(100'000, round);
      JoinHandle<absl::Status> writing = Spawn(WriteText(writer, text));
      for (int i = 0; i < round % 5; ++i) co_await Yield();
      JoinHandle<void> cancelling = CancelFromOutside(writing);
      const absl::Status written = co_await writing;
      co_await cancelling;
      if (written.ok()) {
        expected += text;
        continue;
      }
      EXPECT_TRUE(absl::IsCancelled(written)) << written;
      // One that never began says nothing of bytes.
      expected += text.substr(0, AcceptedBytes(written).value_or(0));
    }
    co_await OrReturn(writer.Close());
    const std::string read = co_await OrReturn(std::move(reading));
    EXPECT_EQ(read.size(), expected.size());
    EXPECT_TRUE(read == expected);
    co_return absl::OkStatus();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(StreamRacesTest, AStreamBelongsToTheLoopWhereItHasWaited) {
  absl::StatusOr<std::pair<Stream, Stream>> pair = SocketPair();
  ASSERT_TRUE(pair.ok()) << pair.status();
  const auto exchange = [&]() -> Task<absl::Status> {
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(pair->first.ReadLine());
    co_await Yield();
    co_await OrReturn(pair->second.Write("line\nmore"));
    EXPECT_EQ(co_await OrReturn(std::move(reading)), "line");
    co_return absl::OkStatus();
  };
  absl::Status done = RunTask(exchange);
  EXPECT_TRUE(done.ok()) << done;
  const auto elsewhere = [&]() -> Task<absl::Status> {
    // What need not wait is not refused, nor does it touch the loop.
    EXPECT_EQ(co_await OrReturn(pair->first.Read(2)), "mo");
    const absl::StatusOr<std::string> read = co_await pair->first.ReadExactly(3);
    EXPECT_TRUE(absl::IsFailedPrecondition(read.status())) << read.status();
    EXPECT_TRUE(absl::StrContains(read.status().message(), "thread")) << read.status();
    // The other end has never waited.
    co_await OrReturn(pair->second.Write("x"));
    co_return co_await pair->second.Close();
  };
  EventLoop other(GetParam().make(nullptr));
  done = BlockOn(other, elsewhere());
  EXPECT_TRUE(done.ok()) << done;
  const auto end = [&]() -> Task<absl::Status> {
    EXPECT_EQ(co_await OrReturn(pair->first.ReadAll(10)), "rex");
    co_return co_await pair->first.Close();
  };
  done = RunTask(end);
  EXPECT_TRUE(done.ok()) << done;
}

// Another thread, the stream's home, closes it as its number is about to be asked, which then is
// another socket's.
class ClosesItFirst final : public sys::SystemCalls {
 public:
  ClosesItFirst(internal::StreamRef stream, int other)
      : stream_(std::move(stream)), other_(other) {}
  int PeerName(int fd, ::sockaddr* address, socklen_t* size) noexcept override {
    CloseIt(fd);
    return SystemCalls::PeerName(fd, address, size);
  }
  int SocketName(int fd, ::sockaddr* address, socklen_t* size) noexcept override {
    CloseIt(fd);
    return SystemCalls::SocketName(fd, address, size);
  }

 private:
  void CloseIt(int fd) noexcept {
    if (stream_->closed()) return;
    stream_->Abort();
    EXPECT_EQ(::dup2(other_, fd), fd);
  }

  const internal::StreamRef stream_;
  const int other_;
};

TEST(StreamNamesTest, AStreamThatIsClosedMeanwhileIsNotCalledByAnothersName) {
  const FdPair others = MakeTcpPair();
  using State = internal::StreamState;
  const auto ask = [&](const auto& question) {
    FdPair pair = MakeSocketPair();
    const internal::StreamRef stream(
        new State(io::OwnedDescriptor(pair.first.Release()), SocketAddress()));
    const OwnedFd number(stream->fd());
    ClosesItFirst calls(stream, others.first.get());
    const sys::ScopedSystemCalls scope(calls);
    question(*stream.get());
  };
  ask([](const State& stream) {
    const absl::StatusOr<SocketAddress> peer = stream.PeerAddress();
    EXPECT_TRUE(absl::IsFailedPrecondition(peer.status())) << *peer;
  });
  ask([](const State& stream) {
    const absl::StatusOr<SocketAddress> own = stream.LocalAddress();
    EXPECT_TRUE(absl::IsFailedPrecondition(own.status())) << *own;
  });
  ask([](const State& stream) { EXPECT_EQ(stream.Name(), "a closed stream"); });
}

INSTANTIATE_TEST_SUITE_P(AllReactors, StreamRacesTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
