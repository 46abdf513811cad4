// How a protocol's connection ends. Traps: a cancel that races completion (an end of the connection
// against reads, writes and each other).
#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/protocol.h"
#include "plait/io/net/protocol_fixture.h"
#include "plait/io/net/server.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/inline/inline_executor.h"

namespace plait {
namespace {

INSTANTIATE_TEST_SUITE_P(AllReactors, ProtocolTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(ProtocolTest, Line30CloseSendsWhatWasWrittenAndTellsNothingMore) {
  Recorder recorder;
  const std::string data = Pattern(3'000'000);
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    Transport& transport = *recorder.transport;
    EXPECT_TRUE(transport.Write(data));
    transport.Close();
    EXPECT_TRUE(transport.is_closing());
    EXPECT_FALSE(transport.Write("too late"));
    transport.ResumeReading();
    EXPECT_FALSE(transport.is_reading());
    co_await Settle();
    const std::string all = co_await Rest(far);
    EXPECT_TRUE(all == data) << all.size();
  };
  const absl::Status status = Converse(recorder, body, /*unix=*/true);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.story(), "connected pause resume closed");
}

TEST_P(ProtocolTest, AbortDropsWhatWasNotSentAndEndsACloseThatHangs) {
  Recorder recorder;
  const auto body = [&](Stream& far, Running& running) -> Task<void> {
    EXPECT_TRUE(recorder.transport->Write(std::string(50'000'000, 'x')));
    recorder.transport->Close();
    co_await Settle();
    EXPECT_FALSE(running.done()) << "the peer reads nothing";
    recorder.transport->Abort();
    co_await Settle();
    EXPECT_TRUE(running.done());
    EXPECT_EQ(recorder.transport, nullptr);
    static_cast<void>(far);
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_EQ(status, absl::AbortedError("the connection was aborted by this side"));
  EXPECT_EQ(recorder.closed, status);
  EXPECT_EQ(recorder.events.back(), "closed");
}

TEST_P(ProtocolTest, Line33APeerThatResetsTheConnectionIsTheStatus) {
  Recorder recorder;
  FdPair pair = MakeTcpPair();
  Stream near = MakeStream(pair.first);
  const auto body = [&]() -> Task<absl::Status> {
    Running running = Spawn(RunProtocol(std::move(near), recorder));
    co_await Settle();
    CloseWithReset(std::move(pair.second));
    co_return co_await running;
  };
  const absl::Status status = RunTask(body);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "ECONNRESET")) << status;
  EXPECT_EQ(recorder.story(), "connected closed");
  EXPECT_EQ(recorder.closed, status);
}

TEST_P(ProtocolTest, AWriteThatFailsEndsTheConnectionWithItsStatus) {
  Recorder recorder;
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    recorder.transport->PauseReading();
    far.Abort();
    co_await Settle();
    EXPECT_TRUE(recorder.transport->Write("into nothing"));
  };
  const absl::Status status = Converse(recorder, body, /*unix=*/true);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "EPIPE")) << status;
  EXPECT_EQ(recorder.closed, status);
}

TEST_P(ProtocolTest, ACancelEndsTheConnectionAndIsTold) {
  Recorder recorder;
  const auto body = [&](Stream& far, Running& running) -> Task<void> {
    EXPECT_TRUE(recorder.transport->Write(std::string(50'000'000, 'x')));
    co_await Settle();
    running.Cancel();
    co_await Settle();
    EXPECT_TRUE(running.done());
    static_cast<void>(far);
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(recorder.events.back(), "closed");
  EXPECT_TRUE(absl::IsCancelled(*recorder.closed));
}

// Ends the connection in one of its callbacks.
class Ender : public Recorder {
 public:
  Ender(std::string at, bool abort) : at_(std::move(at)), abort_(abort) {}

  void OnConnected(Transport& transport) override {
    Recorder::OnConnected(transport);
    End("connected");
  }
  void OnData(absl::string_view data) override {
    Recorder::OnData(data);
    End("data");
  }
  bool OnEnd() override {
    Recorder::OnEnd();
    End("end");
    return true;
  }
  void OnPauseWriting() override {
    Recorder::OnPauseWriting();
    End("pause");
  }
  void OnResumeWriting() override {
    Recorder::OnResumeWriting();
    End("resume");
  }

 private:
  void End(absl::string_view at) {
    if (at != at_) return;
    if (abort_) {
      transport->Abort();
    } else {
      transport->Write("bye");
      transport->Close();
    }
  }

  const std::string at_;
  const bool abort_;
};

TEST_P(ProtocolTest, EveryCallbackMayEndTheConnection) {
  for (const std::string at : {"connected", "data", "end", "pause", "resume"}) {
    for (const bool abort : {false, true}) {
      Ender ender(at, abort);
      const auto body = [&](Stream& far, Running&) -> Task<void> {
        if (ender.transport != nullptr) {
          const absl::Status set = ender.transport->SetWriteLimits(10, 5);
          EXPECT_TRUE(set.ok()) << set;
          ender.transport->Write("0123456789 and more ");
          co_await Settle();
        }
        // What is not read when a connection is closed may cost its peer the rest.
        if (at == "data") static_cast<void>(co_await far.Write("data"));
        static_cast<void>(co_await far.ShutdownWrite());
        const absl::StatusOr<std::string> rest = co_await far.ReadAll(1000);
        if (!abort) {
          EXPECT_TRUE(absl::EndsWith(rest.value_or("?"), "bye")) << at << rest.status();
        }
      };
      const absl::Status status = Converse(ender, body);
      EXPECT_EQ(status.code(), abort ? absl::StatusCode::kAborted : absl::StatusCode::kOk)
          << at << ": " << status;
      EXPECT_EQ(ender.events.back(), "closed");
      EXPECT_EQ(std::count(ender.events.begin(), ender.events.end(), "closed"), 1);
      EXPECT_TRUE(absl::StrContains(ender.story(), at)) << ender.story();
    }
  }
}

TEST_P(ProtocolTest, AStreamThatIsClosedAlreadyIsToldSo) {
  Recorder recorder;
  const auto body = [&]() { return RunProtocol(Stream(), recorder); };
  const absl::Status status = RunTask(body);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(recorder.story(), "connected closed");
}

TEST_P(ProtocolTest, ManyConnectionsThatEndInAllWaysAtOnceLeaveNothingBehind) {
  const int before = OpenDescriptors();
  const auto body = [&]() -> Task<void> {
    for (const int i : ShareOf(60)) {
      FdPair pair = MakeSocketPair();
      Stream near = MakeStream(pair.first);
      Stream far = MakeStream(pair.second);
      Recorder recorder;
      Running running = Spawn(RunProtocol(std::move(near), recorder));
      co_await Turns(i % 4);
      if (recorder.transport != nullptr && i % 2 == 0) {
        recorder.transport->Write(std::string(1'000'000, 'x'));
      }
      co_await Turns(i % 3);
      if (i % 5 == 0) far.Abort();
      if (i % 5 == 1) running.Cancel();
      if (i % 5 == 2 && recorder.transport != nullptr) recorder.transport->Abort();
      if (i % 5 == 3) static_cast<void>(co_await far.ShutdownWrite());
      if (i % 3 == 0) running.Cancel();
      if (i % 4 == 0) far.Abort();
      if (i % 5 == 4 && recorder.transport != nullptr) recorder.transport->Close();
      if (i % 5 == 4 && recorder.transport == nullptr) running.Cancel();
      if (far.is_open()) static_cast<void>(co_await far.ReadAll(10'000'000));
      running.Cancel();
      const absl::Status status = co_await running;
      // One that was cancelled before it began has told nothing.
      if (!recorder.events.empty()) {
        EXPECT_EQ(recorder.closed, status);
        EXPECT_EQ(recorder.events.back(), "closed");
      }
      far.Abort();
    }
    co_await Turns(10);
  };
  RunTask(body);
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(ProtocolTest, WhatWasWrittenIsSentAlsoWhereTheServerClosesTheConnection) {
  const std::string text = Pattern(8 << 20);
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    Lecturer lecturer(text);
    co_return co_await RunProtocol(std::move(stream), lecturer);
  };
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), handle);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    OwnedFd fd = Dial(server.local_address());
    SetBufferSizes(fd.get(), 16 << 10);
    Stream client = MakeStream(fd);
    const std::string first = co_await OrReturn(client.ReadExactly(1000));
    server.CloseClients();
    const std::string rest = co_await OrReturn(client.ReadAll(size_t{1} << 30));
    EXPECT_EQ(first.size() + rest.size(), text.size());
    EXPECT_TRUE(first + rest == text);
    co_await OrReturn(client.Close());
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
}

// Neither reads nor writes, so that no operation of its own tells it of anything.
class Waiter : public Protocol {
 public:
  explicit Waiter(Event& connected) : connected_(connected) {}
  void OnConnected(Transport& transport) override {
    transport.PauseReading();
    connected_.Set();
  }
  void OnData(absl::string_view) override { ADD_FAILURE() << "it does not read"; }
  void OnClosed(const absl::Status& status) override { closed = status; }

  absl::Status closed;

 private:
  Event& connected_;
};

TEST_P(ProtocolTest, OneThatWaitsForNothingHearsThatItsServerClosesIt) {
  for (const bool aborts : {false, true}) {
    SCOPED_TRACE(aborts);
    Event connected;
    Event ended;
    const auto handle = [&](Stream stream) -> Task<absl::Status> {
      Waiter waiter(connected);
      const absl::Status status = co_await RunProtocol(std::move(stream), waiter);
      EXPECT_TRUE(absl::IsCancelled(status)) << status;
      EXPECT_EQ(waiter.closed, status);
      ended.Set();
      co_return status;
    };
    const auto body = [&]() -> Task<absl::Status> {
      Server server(ListenLocally(), handle);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      OwnedFd fd = Dial(server.local_address());
      Stream client = MakeStream(fd);
      co_await OrReturn(connected.Wait());
      aborts ? server.AbortClients() : server.CloseClients();
      co_await OrReturn(Timeout(absl::Seconds(20), ended.Wait()));
      server.Stop();
      co_return co_await serving;
    };
    const absl::Status ran = RunTask(body);
    EXPECT_TRUE(ran.ok()) << ran;
  }
}

// Which runs what waits there inside of what lets it go on.
TEST_P(ProtocolTest, SoDoesOneOnAnInlineExecutor) {
  InlineExecutor at_once;
  Event connected;
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    Waiter waiter(connected);
    const absl::Status status =
        co_await Spawn(RunProtocol(std::move(stream), waiter), {.executor = &at_once});
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_EQ(waiter.closed, status);
    co_return status;
  };
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), handle);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    OwnedFd fd = Dial(server.local_address());
    Stream client = MakeStream(fd);
    co_await OrReturn(connected.Wait());
    server.CloseClients();
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
}

#if defined(__cpp_exceptions)

TEST_P(ProtocolTest, WhatACallbackThrowsComesOutThoughItHasAborted) {
  class Thrower : public Recorder {
   public:
    void OnData(absl::string_view) override {
      transport->Abort();
      throw std::runtime_error("in a callback");
    }
  };
  Thrower thrower;
  FdPair pair = MakeTcpPair();
  Stream near = MakeStream(pair.first);
  Stream far = MakeStream(pair.second);
  const auto body = [&]() -> Task<absl::Status> {
    co_await OrReturn(far.Write("hello"));
    try {
      co_return co_await RunProtocol(std::move(near), thrower);
    } catch (const std::runtime_error& error) {
      co_return absl::UnknownError(error.what());
    }
  };
  EXPECT_EQ(RunTask(body), absl::UnknownError("in a callback"));
  EXPECT_FALSE(thrower.closed.has_value());
  EXPECT_NE(thrower.events.back(), "closed");
}

#endif

}  // namespace
}  // namespace plait
