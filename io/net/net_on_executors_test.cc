// What connections, listeners, datagrams and descriptors that are passed on promise, on every
// executor that waits for I/O: programs in which neither the order nor the thread of a task
// matters. The tests of each of them, on a loop, have the details; what a pool does differently is
// in stream_on_workers_test.cc and server_on_workers_test.cc.
//
// Traps: a wake-up lost between check and park (reads that meet each byte by itself); a buffer
// freed while the kernel owns it (guarded, of a Write that is cancelled); a cancel that races
// completion (of a Write, of a Connect).
#include <errno.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/datagram_protocol.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/net/descriptor_passing.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/pipe.h"
#include "plait/io/net/stdio.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/net/stream_talk.h"
#include "plait/io/system/fault_injection.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using sys::FaultInjection;

// Of what the kernel takes of a small connection, and the stream, this is more.
constexpr size_t kALot = size_t{2} << 20;

class NetOnExecutorsTest : public IoTest {
 protected:
  NetOnExecutorsTest() : IoTest(/*blocking_threads=*/2) {
    executor();  // what it has open is there before a test counts
  }

  // Runs all of `tasks` side by side and expects them to succeed.
  void RunTogether(std::vector<Task<absl::Status>> tasks) {
    const auto spawn = [&](TaskGroup& group) -> Task<absl::Status> {
      for (Task<absl::Status>& task : tasks) group.Spawn(std::move(task));
      co_return absl::OkStatus();
    };
    const auto body = [&]() -> Task<absl::Status> { co_return co_await WithTaskGroup(spawn); };
    const absl::Status ran = RunTask(body);
    EXPECT_TRUE(ran.ok()) << ran;
  }
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, NetOnExecutorsTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

SocketAddress Of(const TcpListener& listener) {
  return *SocketAddress::FromSystem(listener.name(), sizeof(listener.address));
}

// --- streams ---

// Has `stream` accept more than its peer's kernel takes.
Task<absl::Status> WriteInTheBackground(Stream& stream, const std::string& text) {
  stream.set_high_water_mark(text.size());
  const absl::Status wrote = co_await stream.Write(text);
  EXPECT_GT(stream.unsent(), 0u) << "this says nothing";
  co_return wrote;
}

TEST_P(NetOnExecutorsTest, AStreamThatStillSendsInTheBackgroundOutlivesItsExecutor) {
  const std::string text = Pattern(kALot);
  FdPair pair = MakeSmallTcpPair();
  Stream stream = MakeStream(pair.first);
  const auto body = [&]() -> Task<absl::Status> {
    co_return co_await WriteInTheBackground(stream, text);
  };
  const absl::Status wrote = RunTask(body);
  EXPECT_TRUE(wrote.ok()) << wrote;
  EndExecutor();
  EXPECT_EQ(stream.unsent(), 0u) << "nobody sends it any more";
  stream.Abort();
  const std::string got = ReadExactly(pair.second.get(), text.size());
  EXPECT_LT(got.size(), text.size());
  EXPECT_TRUE(got == text.substr(0, got.size()));
}

TEST_P(NetOnExecutorsTest, WhatATaskWaitsForWhenItsExecutorIsClosedIsSentToTheEnd) {
  const std::string text = Pattern(kALot);
  FdPair pair = MakeSmallTcpPair();
  absl::Status closed = absl::UnknownError("never");
  const auto send = [&](Stream stream, Event& begun) -> Task<void> {
    const absl::Status wrote = co_await WriteInTheBackground(stream, text);
    EXPECT_TRUE(wrote.ok()) << wrote;
    begun.Set();
    Event never;
    const absl::Status cancelled = co_await never.Wait();
    EXPECT_TRUE(absl::IsCancelled(cancelled)) << cancelled;
    closed = co_await Uncancellable(stream.Close());
  };
  const auto body = [&]() -> Task<void> {
    Event begun;
    JoinHandle<void> sending = Spawn(send(MakeStream(pair.first), begun));
    const absl::Status waited = co_await begun.Wait();
    EXPECT_TRUE(waited.ok()) << waited;
  };
  RunTask(body);
  std::string got;
  Thread peer = StartThread("peer", [&] { got = ReadExactly(pair.second.get(), text.size()); });
  EndExecutor();
  EXPECT_TRUE(closed.ok()) << closed;
  peer.join();
  EXPECT_TRUE(got == text) << got.size() << " bytes";
}

TEST_P(NetOnExecutorsTest, Line48APeerThatHasHungUpDoesNotKeepTheExecutorBusy) {
  FaultInjection calls;
  const CallsInForce scope(*this, calls);
  const auto looks = [&calls] {
    return calls.count(FaultInjection::kEpollWait) + calls.count(FaultInjection::kIoUringEnter) +
           calls.count(FaultInjection::kKqueueEvents);
  };
  for (const bool tcp : {true, false}) {
    FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
    const auto body = [&]() -> Task<absl::Status> {
      Stream stream = MakeStream(pair.first);
      WriteAll(pair.second.get(), "x");
      co_await OrReturn(stream.ReadExactly(1));
      tcp ? CloseWithReset(std::move(pair.second)) : pair.second.Reset();
      const int64_t before = looks();
      // Nothing but this is waited for.
      co_await OrReturn(Sleep(absl::Milliseconds(20)));
      EXPECT_LT(looks() - before, 1000) << "it asks over and over";
      co_return absl::OkStatus();
    };
    const absl::Status ran = RunTask(body);
    EXPECT_TRUE(ran.ok()) << ran;
  }
}

TEST_P(NetOnExecutorsTest, Line65ASocketThatIsAlwaysReadyStarvesNobody) {
  FdPair busy = MakeSocketPair();
  FdPair quiet = MakeSocketPair();
  const auto talks_to_itself = [&]() -> Task<absl::Status> {
    Stream one = MakeStream(busy.first);
    Stream other = MakeStream(busy.second);
    for (;;) {
      co_await OrReturn(one.Write("x"));
      co_await OrReturn(other.ReadExactly(1));
    }
  };
  const auto body = [&]() -> Task<absl::Status> {
    JoinHandle<absl::Status> talking = Spawn(talks_to_itself());
    Stream one = MakeStream(quiet.first);
    Stream other = MakeStream(quiet.second);
    for (int i = 0; i < Repeats(20); ++i) {
      co_await OrReturn(Sleep(absl::Microseconds(50)));
      // It waits for what comes.
      auto hearing = Spawn(other.ReadExactly(1), {.eager = true});
      co_await OrReturn(one.Write("y"));
      co_await OrReturn(hearing);
    }
    EXPECT_FALSE(talking.done());
    talking.Cancel();
    static_cast<void>(co_await talking);
    co_return absl::OkStatus();
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
}

TEST_P(NetOnExecutorsTest, Line29EveryKindOfReadGetsItsPartOfWhatComesByteByByteAndThenTheEnd) {
  std::vector<Stream> streams;
  for (const bool tcp : {true, false, true}) {
    FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
    streams.push_back(MakeStream(pair.first));
    streams.push_back(MakeStream(pair.second));
  }
  std::vector<Task<absl::Status>> tasks;
  for (size_t i = 0; i < streams.size(); i += 2) {
    tasks.push_back(SendByteByByte(streams[i]));
    tasks.push_back(ReadInAllWays(streams[i + 1]));
  }
  RunTogether(std::move(tasks));
}

Task<absl::Status> WriteAndEnd(Stream& stream, const std::string& text) {
  for (size_t sent = 0, size = 1; sent < text.size(); size = size * 7 % 40'009) {
    const std::string part = text.substr(sent, size);
    co_await OrReturn(WriteText(stream, part));
    sent += part.size();
  }
  co_return co_await stream.ShutdownWrite();
}

Task<absl::Status> ReadToTheEnd(Stream& stream, const std::string& text) {
  std::string all;
  for (;;) {
    const std::string some = co_await OrReturn(ReadText(stream, 5000));
    if (some.empty()) break;
    all += some;
  }
  EXPECT_TRUE(all == text) << all.size() << " bytes";
  co_return absl::OkStatus();
}

TEST_P(NetOnExecutorsTest, Line44BothDirectionsCarryALotAtOnceThroughSmallBuffers) {
  const std::string text = Pattern(500'000);
  std::vector<Stream> streams;
  for (const bool tcp : {true, false}) {
    FdPair pair = tcp ? MakeSmallTcpPair() : MakeSocketPair();
    if (!tcp) SetBufferSizes(pair.first.get(), 8192);
    streams.push_back(MakeStream(pair.first));
    streams.push_back(MakeStream(pair.second));
  }
  std::vector<Task<absl::Status>> tasks;
  for (Stream& stream : streams) {
    tasks.push_back(WriteAndEnd(stream, text));
    tasks.push_back(ReadToTheEnd(stream, text));
  }
  RunTogether(std::move(tasks));
  const auto close = [&]() -> Task<absl::Status> {
    for (Stream& stream : streams) co_await OrReturn(stream.Close());
    co_return absl::OkStatus();
  };
  const absl::Status closed = RunTask(close);
  EXPECT_TRUE(closed.ok()) << closed;
}

TEST_P(NetOnExecutorsTest, Line33AResetEndsAReadThatWaitsAndAllThatComesAfterIt) {
  const auto body = [&]() -> Task<void> {
    FdPair pair = MakeTcpPair();
    Stream stream = MakeStream(pair.first);
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadText(stream), {.eager = true});
    CloseWithReset(std::move(pair.second));
    absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(absl::IsUnavailable(read.status())) << read.status();
    EXPECT_TRUE(absl::StrContains(read.status().message(), "ECONNRESET")) << read.status();
    // The system says it once; it is not to be taken for the end.
    read = co_await stream.ReadLine();
    EXPECT_TRUE(absl::IsUnavailable(read.status())) << read.status();
    const absl::Status written = co_await stream.Write("x");
    EXPECT_TRUE(absl::IsFailedPrecondition(written) || absl::IsUnavailable(written)) << written;
  };
  RunTask(body);
}

TEST_P(NetOnExecutorsTest, Line32WritingToAPeerThatHasGoneIsAnErrorAndNoSignal) {
  for (const bool pipe : {false, true}) {
    SCOPED_TRACE(pipe);
    const auto body = [&]() -> Task<void> {
      FdPair pair = pipe ? MakePipe() : MakeSocketPair();
      Stream stream = MakeStream(pipe ? pair.second : pair.first);
      (pipe ? pair.first : pair.second).Reset();
      const absl::Status written = co_await stream.Write("x");
      EXPECT_TRUE(absl::IsFailedPrecondition(written)) << written;
      EXPECT_TRUE(absl::StrContains(written.message(), "EPIPE")) << written;
      EXPECT_EQ(AcceptedBytes(written), size_t{0});
      const absl::Status flushed = co_await stream.Flush();
      EXPECT_TRUE(absl::IsFailedPrecondition(flushed)) << flushed;
    };
    RunTask(body);
  }
}

TEST_P(NetOnExecutorsTest, AWriteThatIsCutShortByAPeerThatDoesNotReadSaysHowMuchOfItArrives) {
  const std::string text = Pattern(kALot);
  const auto body = [&](bool by_timeout) -> Task<void> {
    FdPair pair = MakeSmallTcpPair();
    Stream stream = MakeStream(pair.first);
    Stream peer = MakeStream(pair.second);
    absl::Status written;
    if (by_timeout) {
      written = co_await Timeout(absl::Milliseconds(2), WriteText(stream, text));
      EXPECT_TRUE(absl::IsDeadlineExceeded(written)) << written;
    } else {
      JoinHandle<absl::Status> writing = Spawn(WriteText(stream, text), {.eager = true});
      for (int i = 0; i < 5; ++i) co_await Yield();
      EXPECT_FALSE(writing.done());
      writing.Cancel();
      written = co_await writing;
      EXPECT_TRUE(absl::IsCancelled(written)) << written;
    }
    const size_t accepted = AcceptedBytes(written).value_or(kALot);
    EXPECT_LT(accepted, kALot);
    JoinHandle<absl::Status> closing = Spawn(stream.Close());
    const absl::Status read = co_await ReadToTheEnd(peer, text.substr(0, accepted));
    EXPECT_TRUE(read.ok()) << read;
    const absl::Status closed = co_await closing;
    EXPECT_TRUE(closed.ok()) << closed;
  };
  for (const bool by_timeout : {false, true}) {
    RunTask([&] { return body(by_timeout); });
  }
}

TEST_P(NetOnExecutorsTest, APipeGoesOneWayAndEndsWithItsWriter) {
  const std::string text = Pattern(300'000);
  std::optional<PipeEnds> pipe = Must(Pipe());
  const auto write = [&]() -> Task<absl::Status> {
    co_await OrReturn(WriteText(pipe->writer, text));
    co_return co_await pipe->writer.Close();
  };
  const auto read = [&]() -> Task<absl::Status> {
    co_await OrReturn(ReadToTheEnd(pipe->reader, text));
    co_return co_await pipe->reader.Close();
  };
  std::vector<Task<absl::Status>> tasks;
  tasks.push_back(write());
  tasks.push_back(read());
  RunTogether(std::move(tasks));
}

TEST_P(NetOnExecutorsTest, AStandardStreamIsReadLineByLine) {
  FdPair pipe = MakePipe();
  WriteAll(pipe.second.get(), "one\ntwo\nthree");
  pipe.second.Reset();
  const auto body = [&]() -> Task<absl::Status> {
    const int fd = pipe.first.get();
    Stream input = co_await OrReturn(internal::OpenStandardStream(fd, /*input=*/true));
    std::vector<std::string> lines;
    const auto collect = [&](std::string line) { lines.push_back(std::move(line)); };
    co_await OrReturn(ForEach(input.Lines(), collect));
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three"}));
    co_return co_await input.Close();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

// --- connecting and accepting ---

TEST_P(NetOnExecutorsTest, Line39ARefusalIsUnavailableAndOfSeveralAddressesTheNextIsTried) {
  const TcpListener refusing = MakeRefusingPort();
  const FullListener silent = MakeFullListener();
  const TcpListener listening = MakeTcpListener();
  const int before = OpenSockets();
  const auto body = [&]() -> Task<absl::Status> {
    const absl::StatusOr<Stream> refused = co_await Connect(Of(refusing));
    EXPECT_TRUE(absl::IsUnavailable(refused.status())) << refused.status();
    EXPECT_TRUE(absl::StrContains(refused.status().message(), Of(refusing).ToString()))
        << refused.status();
    ConnectOptions options;
    options.attempt_delay = absl::Milliseconds(1);
    const std::vector<SocketAddress> all = {Of(refusing), Of(silent.listener), Of(listening)};
    Stream stream = co_await OrReturn(Connect(all, options));
    const SocketAddress peer = co_await OrReturn(stream.peer_address());
    EXPECT_EQ(peer, Of(listening));
    EXPECT_EQ(OpenSockets(), before + 1) << "the losers are closed";
    co_return co_await stream.Close();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
  EXPECT_EQ(OpenSockets(), before);
}

TEST_P(NetOnExecutorsTest, AHostIsFoundAndConnectedToByItsName) {
  const TcpListener listening = MakeTcpListener();
  const auto body = [&]() -> Task<absl::Status> {
    ConnectOptions options;
    options.family = AddressFamily::kIpv4;
    Stream stream =
        co_await OrReturn(Connect(absl::StrCat("localhost:", Of(listening).port()), options));
    const SocketAddress peer = co_await OrReturn(stream.peer_address());
    EXPECT_EQ(peer, Of(listening));
    co_return co_await stream.Close();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(NetOnExecutorsTest, AUnixListenerWithoutRoomIsUnavailableAndMayBeTriedAgain) {
  const UnixListener full = MakeUnixListener(/*backlog=*/0);
  const SocketAddress address = *SocketAddress::FromSystem(full.name(), full.size);
  const int before = OpenSockets();
  const auto body = [&]() -> Task<absl::Status> {
    Stream waits = co_await OrReturn(Connect(address));
    const absl::StatusOr<Stream> refused = co_await Connect(address);
    EXPECT_TRUE(absl::IsUnavailable(refused.status())) << refused.status();
    EXPECT_TRUE(absl::StartsWith(refused.status().message(), "connect to unix:"))
        << refused.status();
    EXPECT_EQ(OpenSockets(), before + 1);
    const OwnedFd accepted(::accept(full.fd.get(), nullptr, nullptr));
    Stream again = co_await OrReturn(Connect(address));
    co_await OrReturn(again.Close());
    co_return co_await waits.Close();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(NetOnExecutorsTest, ADeadlineAndACancelEndAConnectThatHangsAndCloseItsSocket) {
  const FullListener silent = MakeFullListener();
  const int before = OpenSockets();
  const auto body = [&]() -> Task<void> {
    ConnectOptions hurried;
    hurried.timeout = absl::Milliseconds(10);
    const absl::StatusOr<Stream> late = co_await Connect(Of(silent.listener), hurried);
    EXPECT_TRUE(absl::IsDeadlineExceeded(late.status())) << late.status();
    EXPECT_EQ(OpenSockets(), before);
    JoinHandle<absl::StatusOr<Stream>> connecting =
        Spawn(Connect(Of(silent.listener)), {.eager = true});
    connecting.Cancel();
    const absl::StatusOr<Stream> cancelled = co_await connecting;
    EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
    EXPECT_EQ(OpenSockets(), before);
  };
  RunTask(body);
}

TEST_P(NetOnExecutorsTest, Line41And42AnAcceptGoesOnAfterBrokenConnectionsAndWithoutDescriptors) {
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    for (const int error : {ECONNABORTED, EMFILE}) {
      const int64_t before = faults.hits(FaultInjection::kAccept);
      faults.Fail(FaultInjection::kAccept, error, {.times = 2});
      const OwnedFd client = Dial(listener.local_address());
      Stream stream = co_await OrReturn(listener.Accept());
      EXPECT_EQ(faults.hits(FaultInjection::kAccept) - before, 2) << error;
      WriteAll(client.get(), "x");
      const std::string text = co_await OrReturn(ReadText(stream));
      EXPECT_EQ(text, "x");
      co_await OrReturn(stream.Close());
    }
    co_return co_await listener.Close();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

// --- descriptors ---

constexpr int kFiles = 60;

Task<absl::Status> SendFiles(Stream& stream) {
  for (int i = 0; i < kFiles; ++i) {
    const OwnedFd file = MakeFile(absl::StrCat(i));
    co_await OrReturn(SendDescriptor(stream, "x", file.get()));
    if (i % 3 == 0) co_await Yield();
  }
  co_return co_await stream.Close();
}

Task<absl::Status> ReceiveFiles(Stream& stream) {
  int next = 0;
  for (;;) {
    GuardedBuffer buffer(16);
    ReceivedDescriptors got = co_await OrReturn(ReceiveDescriptors(stream, buffer.span()));
    if (got.size == 0) break;
    for (io::OwnedDescriptor& descriptor : got.descriptors) {
      EXPECT_EQ(FileContent(descriptor.get()), absl::StrCat(next));
      ++next;
      co_await OrReturn(descriptor.Close());
    }
  }
  EXPECT_EQ(next, kFiles);
  co_return co_await stream.Close();
}

TEST_P(NetOnExecutorsTest, DescriptorsArriveOnceAndInTheirOrderAndNoneIsLeft) {
  const int before = OpenFiles();
  std::vector<Stream> streams;
  for (int i = 0; i < 2; ++i) {
    FdPair pair = MakeSocketPair();
    streams.push_back(MakeStream(pair.first));
    streams.push_back(MakeStream(pair.second));
  }
  std::vector<Task<absl::Status>> tasks;
  for (size_t i = 0; i < streams.size(); i += 2) {
    tasks.push_back(SendFiles(streams[i]));
    tasks.push_back(ReceiveFiles(streams[i + 1]));
  }
  RunTogether(std::move(tasks));
  EXPECT_EQ(OpenFiles(), before);
}

// --- datagrams by callbacks ---

// Answers each, until "end" comes. What it counts is guarded by that callbacks come one at a time.
class Echo final : public DatagramProtocol {
 public:
  void OnConnected(DatagramTransport& transport) override { transport_ = &transport; }
  void OnDatagram(absl::string_view data, const ReceivedDatagram& datagram) override {
    ++received_;
    if (data == "end") return transport_->Close();
    EXPECT_TRUE(transport_->SendTo(data, datagram.from));
  }
  void OnError(const absl::Status& error) override { ADD_FAILURE() << error; }
  void OnClosed(const absl::Status& status) override {
    ++received_;
    EXPECT_TRUE(status.ok()) << status;
  }
  int received() const { return received_; }

 private:
  DatagramTransport* transport_ = nullptr;
  int received_ = 0;
};

constexpr int kQuestions = 40;

// One at a time, of which none is lost on this machine.
Task<absl::Status> Ask(SocketAddress address) {
  DatagramSocket socket = co_await OrReturn(DatagramSocket::Connect(address));
  for (int i = 0; i < kQuestions; ++i) {
    const std::string question = absl::StrCat(i);
    co_await OrReturn(socket.Send(question));
    GuardedBuffer buffer(16);
    const ReceivedDatagram answer = co_await OrReturn(socket.Receive(buffer.span()));
    EXPECT_EQ(buffer.text(answer.size), question);
  }
  co_return co_await socket.Close();
}

TEST_P(NetOnExecutorsTest, ADatagramProtocolIsCalledOnceForEachThingAndNeverTwiceAtATime) {
  constexpr int kClients = 3;
  Echo echo;
  const auto body = [&]() -> Task<absl::Status> {
    DatagramSocket socket = co_await OrReturn(DatagramSocket::Bind(SocketAddress::Loopback(0)));
    const SocketAddress address = socket.local_address();
    JoinHandle<absl::Status> running = Spawn(RunDatagramProtocol(std::move(socket), echo));
    const auto ask = [&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < kClients; ++i) group.Spawn(Ask(address));
      co_return absl::OkStatus();
    };
    const absl::Status asked = co_await WithTaskGroup(ask);
    EXPECT_TRUE(asked.ok()) << asked;
    DatagramSocket last = co_await OrReturn(DatagramSocket::Connect(address));
    co_await OrReturn(last.Send("end"));
    co_await OrReturn(last.Close());
    co_return co_await running;
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
  EXPECT_EQ(echo.received(), kClients * kQuestions + 2);
}

}  // namespace
}  // namespace plait
