// A cancel against operations of every kind that are about to complete, on every executor that
// waits for I/O, a thousand times each (a fiftieth of that under a sanitizer; fewer where each
// takes a connection). What it says of its outcome is true: nothing that arrived is lost or told
// twice. Closes are in close_races_test.cc; what a reactor does alone is in
// io/reactor/reactor_races_test.cc.
//
// Traps: a cancel that races the completion, a buffer freed while the kernel owns it, a wake-up
// lost between check and park.
#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/file/file.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/net_races_fixture.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/send_file.h"
#include "plait/io/net/socket_pair.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/races.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

Task<Count> WriteOnce(int fd, std::string bytes) {
  const GuardedBuffer buffer(bytes);
  co_return co_await io::Write(fd, absl::MakeConstSpan(buffer.text(bytes.size())));
}

Task<Count> WriteOnceAt(int fd, std::string bytes, int64_t offset) {
  const GuardedBuffer buffer(bytes);
  co_return co_await io::WriteAt(fd, absl::MakeConstSpan(buffer.text(bytes.size())), offset);
}

Task<Text> ReadOnceAt(int fd, size_t size, int64_t offset) {
  GuardedBuffer buffer(size);
  const Count count = co_await io::ReadAt(fd, buffer.span(), offset);
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

Task<absl::StatusOr<uint32_t>> PollOnce(int fd) { co_return co_await io::Poll(fd, kPollReadable); }

Task<absl::Status> DoSleep(absl::Duration duration) { co_return co_await Sleep(duration); }

class CancelRaces : public NetRaces {};

INSTANTIATE_TEST_SUITE_P(AllExecutors, CancelRaces, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

// Where the reactor has multishots, by one: it goes on through all the cancels.
TEST_P(CancelRaces, ReadsOfAConnection) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream reader = Own(pair.first);
    Stream writer = Own(pair.second);
    uint64_t sent = 0;
    uint64_t received = 0;
    for (int i = 0, races = Races(1'000); i < races; ++i) {
      JoinHandle<Text> reading = Spawn(Read(reader, 1 + jitter_(16)));
      if (jitter_(2) != 0) co_await Yield();
      // Not far ahead, so that there is not always something there.
      const size_t size = sent - received < 32 ? 1 + jitter_(16) : 0;
      const absl::Status written = co_await Write(writer, BytesAt(sent, size));
      EXPECT_TRUE(written.ok()) << written;
      sent += size;
      const Text some = co_await Finish(std::move(reading));
      if (!some.ok()) continue;
      EXPECT_EQ(*some, BytesAt(received, some->size()));
      received += some->size();
    }
    const absl::Status ended = co_await writer.Close();
    EXPECT_TRUE(ended.ok()) << ended;
    while (received < sent) {
      const Text rest = co_await Read(reader, 64);
      EXPECT_TRUE(rest.ok() && !rest->empty()) << "it is lost";
      if (!rest.ok() || rest->empty()) break;
      EXPECT_EQ(*rest, BytesAt(received, rest->size()));
      received += rest->size();
    }
    const absl::Status closed = co_await reader.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

TEST_P(CancelRaces, Writes) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    SetBufferSizes(pair.first.get(), 4096);
    const int fd = pair.first.Release();
    Stream reader = Own(pair.second);
    JoinHandle<uint64_t> reading = Spawn(ReadToTheEnd(reader));
    uint64_t sent = 0;
    for (int i = 0, races = Races(1'000); i < races; ++i) {
      const Count count = co_await Finish(Spawn(WriteOnce(fd, BytesAt(sent, 1 + jitter_(4000)))));
      if (count.ok()) sent += *count;
    }
    const absl::Status closed = co_await io::Close(fd);
    EXPECT_TRUE(closed.ok()) << closed;
    EXPECT_EQ(co_await reading, sent);
    const absl::Status reader_closed = co_await reader.Close();
    EXPECT_TRUE(reader_closed.ok()) << reader_closed;
  };
  RunTask(body);
}

TEST_P(CancelRaces, Accepts) {
  const SocketAddress address = NewAddress();
  const auto body = [&]() -> Task<void> {
    Listener listener = *Listen(address);
    int waiting = 0;  // connected, and not accepted
    for (int i = 0, races = Races(1'000); i < races; ++i) {
      JoinHandle<absl::StatusOr<Stream>> accepting = Spawn(listener.Accept());
      if (jitter_(2) != 0) co_await Yield();
      if (waiting < 8) {
        const absl::StatusOr<Stream> client = co_await Connect(address);
        EXPECT_TRUE(client.ok()) << client.status();
        ++waiting;
      }
      const absl::StatusOr<Stream> accepted = co_await Finish(std::move(accepting));
      if (accepted.ok()) --waiting;
    }
    for (; waiting > 0; --waiting) {
      const absl::StatusOr<Stream> rest = co_await Timeout(absl::Seconds(60), listener.Accept());
      EXPECT_TRUE(rest.ok()) << "it is lost: " << rest.status();
    }
    const absl::Status closed = co_await listener.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

// Ends when the listener is closed.
Task<void> AcceptAndReset(Listener& listener) {
  for (;;) {
    absl::StatusOr<Stream> accepted = co_await listener.Accept();
    if (!accepted.ok()) co_return;
    accepted->Abort();
  }
}

TEST_P(CancelRaces, Connects) {
  const auto body = [&]() -> Task<void> {
    Listener listener = *Listen(SocketAddress::Loopback(0));
    const SocketAddress address = listener.local_address();
    JoinHandle<void> accepting = Spawn(AcceptAndReset(listener));
    for (int i = 0, races = Races(300); i < races; ++i) {
      JoinHandle<absl::StatusOr<Stream>> connecting = Spawn(Connect(address));
      co_await LetSomeTimePass();
      if (jitter_(8) != 0) connecting.Cancel();
      absl::StatusOr<Stream> client = co_await connecting;
      if (client.ok()) {
        client->Abort();
      } else {
        // It may have been accepted, and reset, already.
        EXPECT_TRUE(absl::IsCancelled(client.status()) || absl::IsUnavailable(client.status()))
            << client.status();
      }
    }
    const absl::Status closed = co_await listener.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    co_await accepting;
  };
  RunTask(body);
}

TEST_P(CancelRaces, ReceivedDatagrams) {
  const auto body = [&]() -> Task<void> {
    auto pair = *DatagramSocket::Pair();
    uint64_t sent = 0;
    uint64_t received = 0;
    for (int i = 0, races = Races(1'000); i < races; ++i) {
      JoinHandle<Text> receiving = Spawn(Receive(pair.first));
      if (jitter_(2) != 0) co_await Yield();
      if (sent - received < 4) {
        const std::string number = absl::StrCat(sent++);
        const absl::Status status = co_await pair.second.Send(number);
        EXPECT_TRUE(status.ok()) << status;
      }
      const Text one = co_await Finish(std::move(receiving));
      if (!one.ok()) continue;
      EXPECT_EQ(*one, absl::StrCat(received));
      ++received;
    }
    for (; received < sent; ++received) {
      const Text rest = co_await Timeout(absl::Seconds(60), Receive(pair.first));
      EXPECT_TRUE(rest.ok() && *rest == absl::StrCat(received)) << rest.status();
    }
    const absl::Status first = co_await pair.first.Close();
    const absl::Status second = co_await pair.second.Close();
    EXPECT_TRUE(first.ok() && second.ok()) << first << second;
  };
  RunTask(body);
}

TEST_P(CancelRaces, ReadsAndWritesOfAFile) {
  const TestFolder folder;
  constexpr size_t kSize = 64 * 1024;
  const std::string path = folder.Write("file", BytesAt(0, kSize));
  const auto body = [&]() -> Task<void> {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    for (int i = 0, races = Races(500); i < races; ++i) {
      const auto at = static_cast<int64_t>(jitter_(kSize));
      const size_t size = 1 + jitter_(8192);
      const size_t there = std::min<size_t>(size, kSize - static_cast<size_t>(at));
      const std::string expected = BytesAt(static_cast<uint64_t>(at), there);
      const Text read = co_await Finish(Spawn(ReadOnceAt(fd, size, at)));
      if (read.ok()) {
        EXPECT_TRUE(*read == expected) << "at " << at;
      }
      const Count written = co_await Finish(Spawn(WriteOnceAt(fd, expected, at)));
      EXPECT_TRUE(!written.ok() || *written == there);
    }
    const absl::Status closed = co_await io::Close(fd);
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
  EXPECT_TRUE(folder.Content("file") == BytesAt(0, kSize));
}

TEST_P(CancelRaces, Polls) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeSocketPair();
    const int fd = pair.first.Release();
    for (int i = 0, races = Races(1'000); i < races; ++i) {
      JoinHandle<absl::StatusOr<uint32_t>> polling = Spawn(PollOnce(fd));
      if (jitter_(2) != 0) co_await Yield();
      WriteAll(pair.second.get(), "x");
      const absl::StatusOr<uint32_t> events = co_await Finish(std::move(polling));
      EXPECT_TRUE(!events.ok() || *events == kPollReadable);
      EXPECT_EQ(Drain(fd), "x");
    }
    const absl::Status closed = co_await io::Close(fd);
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

TEST_P(CancelRaces, SleepsAndTimeouts) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream reader = Own(pair.first);
    Stream writer = Own(pair.second);
    uint64_t sent = 0;
    uint64_t received = 0;
    for (int i = 0, races = Races(1'000); i < races; ++i) {
      const absl::Status slept =
          co_await Finish(Spawn(DoSleep(absl::Nanoseconds(jitter_(30'000)))));
      static_cast<void>(slept);
      JoinHandle<Text> reading =
          Spawn(Timeout(absl::Nanoseconds(jitter_(30'000)), Read(reader, 1 + jitter_(8))));
      if (sent - received < 16) {
        const absl::Status written = co_await Write(writer, BytesAt(sent, 1));
        EXPECT_TRUE(written.ok()) << written;
        ++sent;
      }
      const Text some = co_await reading;
      if (some.ok()) {
        EXPECT_EQ(*some, BytesAt(received, some->size()));
        received += some->size();
      } else {
        EXPECT_TRUE(absl::IsDeadlineExceeded(some.status())) << some.status();
      }
    }
    const absl::Status ended = co_await writer.Close();
    EXPECT_TRUE(ended.ok()) << ended;
    const Text rest = co_await reader.ReadAll(1000);
    EXPECT_TRUE(rest.ok() && *rest == BytesAt(received, sent - received)) << rest.status();
    const absl::Status closed = co_await reader.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

TEST_P(CancelRaces, FilesThatAreSent) {
  const TestFolder folder;
  constexpr size_t kSize = 200'000;
  const std::string path = folder.Write("file", BytesAt(0, kSize));
  const auto body = [&]() -> Task<void> {
    File file = *co_await OpenFile(path);
    for (int i = 0, races = Races(100); i < races; ++i) {
      auto pair = *SocketPair();
      JoinHandle<uint64_t> reading = Spawn(ReadToTheEnd(pair.second));
      const absl::StatusOr<int64_t> sent = co_await Finish(Spawn(SendFile(pair.first, file)));
      const absl::Status closed = co_await pair.first.Close();
      EXPECT_TRUE(closed.ok()) << closed;
      const uint64_t received = co_await reading;
      // One that was cancelled before it had begun has sent nothing, and does not say so.
      EXPECT_EQ(received, sent.ok() ? kSize : AcceptedBytes(sent.status()).value_or(0));
      const absl::Status reader_closed = co_await pair.second.Close();
      EXPECT_TRUE(reader_closed.ok()) << reader_closed;
    }
    const absl::Status closed = co_await file.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

}  // namespace
}  // namespace plait
