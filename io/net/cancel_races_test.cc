// A cancel, and a close, against operations of every kind that are about to complete, on every
// executor that waits for I/O, a thousand times each (a fiftieth of that under a sanitizer; fewer
// where each takes a connection). What it says of its outcome is true: nothing that arrived is lost
// or told twice. At the end nothing is in flight (the executor's reactors CHECK it) and no
// descriptor is left. What a reactor does alone is in io/reactor/reactor_races_test.cc.
//
// Traps: a cancel that races the completion, a buffer freed while the kernel owns it, a wake-up
// lost between check and park.
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/file/file.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/send_file.h"
#include "plait/io/net/server.h"
#include "plait/io/net/socket_pair.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/races.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

using Text = absl::StatusOr<std::string>;
using Count = absl::StatusOr<size_t>;

std::string BytesAt(uint64_t position, size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = ByteAt(position + i);
  return bytes;
}

Task<Text> Read(Stream& stream, size_t size) {
  GuardedBuffer buffer(size);
  const Count count = co_await stream.Read(buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

Task<absl::Status> Write(Stream& stream, std::string bytes) {
  co_await OrReturn(stream.Write(bytes));
  co_return co_await stream.Flush();
}

Task<Text> Receive(const DatagramSocket& socket) {
  GuardedBuffer buffer(16);
  const auto received = co_await socket.Receive(buffer.span());
  if (!received.ok()) co_return received.status();
  co_return std::string(buffer.text(received->size));
}

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

// All that comes, which has to be the bytes from 0 on; how many.
Task<uint64_t> ReadToTheEnd(Stream& stream) {
  uint64_t received = 0;
  for (;;) {
    const Text some = co_await Read(stream, 4096);
    if (!some.ok() || some->empty()) co_return received;
    EXPECT_EQ(*some, BytesAt(received, some->size()));
    received += some->size();
  }
}

// That nobody else on this machine has.
SocketAddress NewAddress() {
  return *SocketAddress::UnixAbstract(absl::StrCat("plait-races-", RandomSeed()));
}

class CancelRacesTest : public IoTest {
 protected:
  CancelRacesTest() : IoTest(/*blocking_threads=*/2) {
    // The first one may leave something for all that follow.
    executor();
    EndExecutor();
    descriptors_ = OpenDescriptors();
  }
  ~CancelRacesTest() override {
    EndExecutor();
    EXPECT_EQ(OpenDescriptors(), descriptors_);
    RecordProperty("cancelled", cancelled_);
    RecordProperty("completed", completed_);
  }

  Task<void> LetSomeTimePass() {
    for (unsigned turns = jitter_(4); turns > 0; --turns) co_await Yield();
    if (jitter_(4) != 0) co_return;
    const absl::Status slept = co_await Sleep(absl::Nanoseconds(jitter_(30'000)));
    EXPECT_TRUE(slept.ok()) << slept;
  }

  // What it gives after a cancel that came at any moment, mostly.
  template <class T>
  Task<T> Finish(JoinHandle<T> handle) {
    co_await LetSomeTimePass();
    if (jitter_(8) != 0) handle.Cancel();
    T result = co_await handle;
    ExpectOneOutcome(result);
    co_return result;
  }
  template <class T>
  void ExpectOneOutcome(const T& result) {
    if (result.ok()) {
      ++completed_;
      return;
    }
    ++cancelled_;
    const absl::Status status = StatusOf(result);
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  }
  static absl::Status StatusOf(const absl::Status& status) { return status; }
  template <class T>
  static absl::Status StatusOf(const absl::StatusOr<T>& result) {
    return result.status();
  }

  static Stream Own(OwnedFd& end) { return MakeStream(end); }

  int descriptors_ = 0;
  Jitter jitter_{RaceSeed()};
  int64_t cancelled_ = 0;
  int64_t completed_ = 0;
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, CancelRacesTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

// Where the reactor has multishots, by one: it goes on through all the cancels.
TEST_P(CancelRacesTest, ReadsOfAConnection) {
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

TEST_P(CancelRacesTest, Writes) {
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

TEST_P(CancelRacesTest, Accepts) {
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

TEST_P(CancelRacesTest, Connects) {
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

TEST_P(CancelRacesTest, ReceivedDatagrams) {
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

TEST_P(CancelRacesTest, ReadsAndWritesOfAFile) {
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

TEST_P(CancelRacesTest, Polls) {
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

TEST_P(CancelRacesTest, SleepsAndTimeouts) {
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

TEST_P(CancelRacesTest, FilesThatAreSent) {
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
      EXPECT_LE(received, kSize);
      if (sent.ok()) {
        EXPECT_EQ(received, kSize);
      }
      const absl::Status reader_closed = co_await pair.second.Close();
      EXPECT_TRUE(reader_closed.ok()) << reader_closed;
    }
    const absl::Status closed = co_await file.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

// --- close ---

TEST_P(CancelRacesTest, ClosesOfStreamsListenersAndDatagramSockets) {
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(500); i < races; ++i) {
      FdPair ends = MakeSocketPair();
      Stream stream = Own(ends.first);
      Listener listener = *Listen(NewAddress());
      auto datagrams = *DatagramSocket::Pair();
      // Eager: once they have begun they need what they are of no more.
      JoinHandle<Text> reading = Spawn(Read(stream, 8), {.eager = true});
      JoinHandle<absl::StatusOr<Stream>> accepting = Spawn(listener.Accept(), {.eager = true});
      JoinHandle<Text> receiving = Spawn(Receive(datagrams.first), {.eager = true});
      if (jitter_(2) != 0) WriteAll(ends.second.get(), "x");
      if (jitter_(2) != 0) {
        const absl::Status sent = co_await datagrams.second.Send("x");
        EXPECT_TRUE(sent.ok()) << sent;
      }
      if (jitter_(2) != 0) {
        const absl::StatusOr<Stream> client = co_await Connect(listener.local_address());
        EXPECT_TRUE(client.ok()) << client.status();
      }
      co_await LetSomeTimePass();
      for (const absl::Status& closed :
           {co_await stream.Close(), co_await listener.Close(), co_await datagrams.first.Close(),
            co_await datagrams.second.Close()}) {
        EXPECT_TRUE(closed.ok()) << closed;
      }
      const Text read = co_await reading;
      EXPECT_TRUE(read.ok() ? *read == "x" : absl::IsCancelled(read.status())) << read.status();
      const absl::StatusOr<Stream> accepted = co_await accepting;
      EXPECT_TRUE(accepted.ok() || absl::IsCancelled(accepted.status())) << accepted.status();
      const Text received = co_await receiving;
      EXPECT_TRUE(received.ok() ? *received == "x" : absl::IsCancelled(received.status()))
          << received.status();
    }
  };
  RunTask(body);
}

Task<void> AskOnce(SocketAddress address) {
  absl::StatusOr<Stream> stream = co_await Connect(address);
  if (!stream.ok()) co_return;  // it has gone
  const absl::Status written = co_await stream->Write("x");
  const Text answer = co_await stream->Read(1);
  EXPECT_TRUE(!answer.ok() || !written.ok() || answer->empty() || *answer == "x");
}

Task<absl::Status> AnswerOnce(Stream stream) {
  const std::string question = co_await OrReturn(stream.Read(1));
  co_await OrReturn(stream.Write(question));
  co_return co_await stream.Close();
}

// Where the reactor has multishots, they come by one.
TEST_P(CancelRacesTest, AServerThatStopsOrIsCancelledWhileClientsCome) {
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(100); i < races; ++i) {
      const SocketAddress address = NewAddress();
      ServerOptions options;
      options.on_error = [](const absl::Status&, const SocketAddress&) {};
      // Its listener goes with it where it was cancelled before it had begun.
      std::optional<Server> server(std::in_place, *Listen(address), AnswerOnce, options);
      JoinHandle<absl::Status> serving = Spawn(server->Serve());
      JoinHandle<void> clients[] = {Spawn(AskOnce(address)), Spawn(AskOnce(address)),
                                    Spawn(AskOnce(address))};
      for (unsigned pauses = jitter_(6); pauses > 0; --pauses) co_await LetSomeTimePass();
      const bool cancels = jitter_(2) != 0;
      if (cancels) {
        serving.Cancel();
      } else {
        server->Stop();
      }
      const absl::Status served = co_await serving;
      EXPECT_TRUE(served.ok() || (cancels && absl::IsCancelled(served))) << served;
      EXPECT_EQ(server->connections(), 0u);
      server.reset();
      for (JoinHandle<void>& client : clients) co_await client;
    }
  };
  RunTask(body);
}

}  // namespace
}  // namespace plait
