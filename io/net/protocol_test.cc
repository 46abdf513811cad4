// Traps: a cancel that races completion (an end of the connection against reads, writes and each
// other); a wake-up lost between check and park (writes from callbacks and from elsewhere while the
// writer is about to wait); a buffer freed while the kernel owns it (what is being sent stays).
#include "plait/io/net/protocol.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/server.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_pools.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// Writes down what it is told, neighbouring data as one.
class Recorder : public Protocol {
 public:
  void OnConnected(Transport& transport) override {
    this->transport = &transport;
    events.push_back("connected");
  }
  void OnData(absl::string_view data) override {
    EXPECT_FALSE(data.empty());
    if (received.empty()) events.push_back("data");
    received.append(data.data(), data.size());
  }
  bool OnEnd() override {
    events.push_back("end");
    return keep_open;
  }
  void OnClosed(const absl::Status& status) override {
    events.push_back("closed");
    closed = status;
    transport = nullptr;
  }
  void OnPauseWriting() override {
    events.push_back("pause");
    EXPECT_FALSE(std::exchange(paused, true)) << "they alternate";
  }
  void OnResumeWriting() override {
    events.push_back("resume");
    EXPECT_TRUE(std::exchange(paused, false)) << "they alternate";
  }
  std::string story() const { return absl::StrJoin(events, " "); }

  Transport* transport = nullptr;
  bool keep_open = false;
  bool paused = false;
  std::string received;
  std::vector<std::string> events;
  std::optional<absl::Status> closed;
};

Stream MakeStream(OwnedFd& end) { return Stream(io::OwnedDescriptor(end.Release())); }

Task<void> Turns(int turns) {
  for (int i = 0; i < turns; ++i) co_await Yield();
}

// Until nothing more happens by itself: only then does the fixture's clock go on.
Task<void> Settle() {
  const absl::Status slept = co_await Sleep(absl::Milliseconds(1));
  EXPECT_TRUE(slept.ok()) << slept;
}

class ProtocolTest : public NetTest {
 protected:
  // `body` is given the far end of a connection whose near end `protocol` runs on; what the
  // protocol ended with.
  template <class Body>
  absl::Status Converse(Protocol& protocol, Body body, bool unix = false) {
    FdPair pair = unix ? MakeSocketPair() : MakeTcpPair();
    Stream near = MakeStream(pair.first);
    Stream far = MakeStream(pair.second);
    const auto both = [&]() -> Task<absl::Status> {
      JoinHandle<absl::Status> running = Spawn(RunProtocol(std::move(near), protocol));
      co_await Settle();
      co_await body(far, running);
      const absl::Status status = co_await running;
      far.Abort();
      co_await Settle();
      co_return status;
    };
    return RunTask(both);
  }
};

using Running = JoinHandle<absl::Status>;

INSTANTIATE_TEST_SUITE_P(AllReactors, ProtocolTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

Task<void> Say(Stream& stream, std::string text) {
  const absl::Status written = co_await stream.Write(text);
  EXPECT_TRUE(written.ok()) << written;
}

// All that comes until the end.
Task<std::string> Rest(Stream& stream) {
  absl::StatusOr<std::string> rest = co_await stream.ReadAll(size_t{1} << 30);
  EXPECT_TRUE(rest.ok()) << rest.status();
  co_return rest.ok() ? *std::move(rest) : "";
}

// --- from beginning to end ---

TEST_P(ProtocolTest, TheCallbacksTellAConnectionFromItsBeginningToItsEnd) {
  Recorder recorder;
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    EXPECT_EQ(recorder.story(), "connected");
    co_await Say(far, "hello ");
    co_await Say(far, "there");
    const absl::Status ended = co_await far.ShutdownWrite();
    EXPECT_TRUE(ended.ok()) << ended;
    const std::string rest = co_await Rest(far);
    EXPECT_EQ(rest, "") << "it closes in its turn";
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.story(), "connected data end closed");
  EXPECT_EQ(recorder.received, "hello there");
  EXPECT_EQ(recorder.closed, absl::OkStatus());
}

TEST_P(ProtocolTest, WhatTheStreamHadReadAheadComesFirst) {
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), "a line\nand more");
  pair.second.Reset();
  Stream near = MakeStream(pair.first);
  Recorder recorder;
  const auto body = [&]() -> Task<absl::Status> {
    const absl::StatusOr<std::string> line = co_await near.ReadLine();
    EXPECT_EQ(line.value_or("?"), "a line");
    co_return co_await RunProtocol(std::move(near), recorder);
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.received, "and more");
}

class Echo : public Protocol {
 public:
  void OnConnected(Transport& transport) override { transport_ = &transport; }
  void OnData(absl::string_view data) override { EXPECT_TRUE(transport_->Write(data)); }
  void OnPauseWriting() override {
    ++pauses;
    transport_->PauseReading();
  }
  void OnResumeWriting() override { transport_->ResumeReading(); }

  int pauses = 0;

 private:
  Transport* transport_ = nullptr;
};

TEST_P(ProtocolTest, AnEchoThatPausesReadingWhileItsPeerDoesNotReadLosesNoByte) {
  Echo echo;
  const std::string data = Pattern(8'000'000);
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    const auto send = [&]() -> Task<void> {
      co_await Say(far, data);
      const absl::Status ended = co_await far.ShutdownWrite();
      EXPECT_TRUE(ended.ok()) << ended;
    };
    JoinHandle<void> sending = Spawn(send());
    co_await Settle();
    const std::string answer = co_await Rest(far);
    EXPECT_TRUE(answer == data) << answer.size();
    co_await sending;
  };
  const absl::Status status = Converse(echo, body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_GT(echo.pauses, 0);
}

// --- writing ---

TEST_P(ProtocolTest, WritingAsksToPauseAboveTheHighLimitAndToGoOnAtTheLowOne) {
  Recorder recorder;
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    Transport& transport = *recorder.transport;
    const absl::Status set = transport.SetWriteLimits(100'000, 1'000);
    EXPECT_TRUE(set.ok()) << set;
    EXPECT_TRUE(transport.Write(std::string(100'000, 'a')));
    EXPECT_EQ(transport.write_buffer_size(), 100'000u);
    EXPECT_FALSE(recorder.paused) << "as much as the limit may wait";
    EXPECT_TRUE(transport.Write(std::string(10'000'000, 'b')));
    EXPECT_TRUE(recorder.paused) << "inside of Write";
    EXPECT_TRUE(transport.Write("more")) << "nothing is refused";
    EXPECT_EQ(transport.write_buffer_size(), 10'100'004u);
    co_await Settle();
    EXPECT_TRUE(recorder.paused) << "the peer has not read";
    std::string read;
    while (read.size() < 10'100'004) {
      const absl::StatusOr<std::string> part = co_await far.Read(size_t{1} << 20);
      EXPECT_TRUE(part.ok() && !part->empty()) << part.status();
      if (!part.ok() || part->empty()) break;
      read += *part;
    }
    EXPECT_EQ(read, absl::StrCat(std::string(100'000, 'a'), std::string(10'000'000, 'b'), "more"));
    co_await Settle();
    EXPECT_FALSE(recorder.paused);
    EXPECT_EQ(transport.write_buffer_size(), 0u);
    transport.Close();
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.story(), "connected pause resume closed");
}

TEST_P(ProtocolTest, LimitsThatAreChangedHoldAtOnceAndContradictionsAreRefused) {
  Recorder recorder;
  const auto body = [&](Stream&, Running&) -> Task<void> {
    Transport& transport = *recorder.transport;
    EXPECT_EQ(transport.SetWriteLimits(5, 6),
              absl::InvalidArgumentError("write limits: the low one, 6, is above the high one, 5"));
    EXPECT_TRUE(transport.Write("0123456789"));
    EXPECT_EQ(recorder.story(), "connected");
    absl::Status set = transport.SetWriteLimits(9, 1);
    EXPECT_TRUE(set.ok()) << set;
    EXPECT_EQ(recorder.story(), "connected pause");
    set = transport.SetWriteLimits(9, 9);
    EXPECT_EQ(recorder.story(), "connected pause");
    set = transport.SetWriteLimits(20, 10);
    EXPECT_EQ(recorder.story(), "connected pause resume");
    transport.Abort();
    co_return;
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
}

TEST_P(ProtocolTest, WritesFromElsewhereAreSentWheneverTheyCome) {
  Recorder recorder;
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    for (const int i : ShareOf(200)) {
      EXPECT_TRUE(recorder.transport->Write(absl::StrCat("line ", i, "\n")));
      co_await Turns(i % 5);
      if (i % 7 == 0) {
        EXPECT_TRUE(recorder.transport->Write(""));
      }
      const absl::StatusOr<std::string> line = co_await far.ReadLine();
      EXPECT_EQ(line.value_or("?"), absl::StrCat("line ", i));
    }
    recorder.transport->Close();
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ProtocolTest, ShutdownWriteComesBehindWhatWasWrittenAndReadingGoesOn) {
  Recorder recorder;
  const std::string data = Pattern(2'000'000);
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    EXPECT_TRUE(recorder.transport->Write(data));
    recorder.transport->ShutdownWrite();
    EXPECT_FALSE(recorder.transport->Write("too late"));
    const std::string all = co_await Rest(far);
    EXPECT_TRUE(all == data);
    EXPECT_FALSE(recorder.transport->is_closing());
    co_await Say(far, "still here");
    const absl::Status closed = co_await far.ShutdownWrite();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.received, "still here");
}

// --- reading ---

TEST_P(ProtocolTest, NothingIsToldWhileReadingIsPausedNotEvenTheEnd) {
  Recorder recorder;
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    // A read waits already.
    recorder.transport->PauseReading();
    EXPECT_FALSE(recorder.transport->is_reading());
    co_await Say(far, "held back");
    const absl::Status ended = co_await far.ShutdownWrite();
    EXPECT_TRUE(ended.ok()) << ended;
    co_await Settle();
    EXPECT_EQ(recorder.story(), "connected");
    recorder.transport->ResumeReading();
    EXPECT_TRUE(recorder.transport->is_reading());
    const std::string rest = co_await Rest(far);
    EXPECT_EQ(rest, "");
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.story(), "connected data end closed");
  EXPECT_EQ(recorder.received, "held back");
}

TEST_P(ProtocolTest, TheEndIsHeldBackToo) {
  Recorder recorder;
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    recorder.transport->PauseReading();
    const absl::Status ended = co_await far.ShutdownWrite();
    EXPECT_TRUE(ended.ok()) << ended;
    co_await Settle();
    EXPECT_EQ(recorder.story(), "connected");
    recorder.transport->ResumeReading();
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.story(), "connected end closed");
}

TEST_P(ProtocolTest, Line29AConnectionThatIsKeptOpenAtTheEndIsWrittenTo) {
  Recorder recorder;
  recorder.keep_open = true;
  const auto body = [&](Stream& far, Running&) -> Task<void> {
    const absl::Status ended = co_await far.ShutdownWrite();
    EXPECT_TRUE(ended.ok()) << ended;
    co_await Settle();
    EXPECT_EQ(recorder.story(), "connected end");
    EXPECT_FALSE(recorder.transport->is_closing());
    EXPECT_TRUE(recorder.transport->Write("goodbye"));
    recorder.transport->Close();
    const std::string rest = co_await Rest(far);
    EXPECT_EQ(rest, "goodbye");
  };
  const absl::Status status = Converse(recorder, body);
  EXPECT_TRUE(status.ok()) << status;
}

// --- ends ---

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

// --- servers, and several threads ---

// Sends much at once, and waits for the end.
class Lecturer : public Protocol {
 public:
  explicit Lecturer(const std::string& text) : text_(text) {}
  void OnConnected(Transport& transport) override { transport.Write(text_); }
  void OnData(absl::string_view) override {}

 private:
  const std::string& text_;
};

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

class ProtocolOnWorkersTest : public testing::TestWithParam<PoolFactory> {};

INSTANTIATE_TEST_SUITE_P(AllPools, ProtocolOnWorkersTest, testing::ValuesIn(AllPools()),
                         PoolFactory::Name);

// Sends back what comes, and minds that nobody else is in a callback, without a lock of its own.
class CarefulEcho : public Protocol {
 public:
  void OnConnected(Transport& transport) override { transport_ = &transport; }
  void OnData(absl::string_view data) override {
    EXPECT_EQ(inside_++, 0);
    transport_->Write(data);
    --inside_;
  }
  void OnPauseWriting() override { transport_->PauseReading(); }
  void OnResumeWriting() override {
    EXPECT_EQ(inside_++, 0);
    transport_->ResumeReading();
    --inside_;
  }

 private:
  Transport* transport_ = nullptr;
  int inside_ = 0;
};

TEST_P(ProtocolOnWorkersTest, CallbacksComeOneAtATimeWhicheverThreadsTheLoopsAreOn) {
  const std::unique_ptr<Executor> pool = GetParam().make(3);
  const std::string text = Pattern(static_cast<size_t>(std::max(512 << 10, Repeats(4 << 20))));
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    CarefulEcho echo;
    co_return co_await RunProtocol(std::move(stream), echo);
  };
  const auto send = [&](Stream& stream) -> Task<absl::Status> {
    co_await OrReturn(stream.Write(text));
    co_return co_await stream.ShutdownWrite();
  };
  const auto converse = [&](SocketAddress address) -> Task<absl::Status> {
    OwnedFd fd = Dial(address);
    Stream stream = MakeStream(fd);
    JoinHandle<absl::Status> sending = Spawn(send(stream));
    const std::string answer = co_await OrReturn(stream.ReadAll(size_t{1} << 30));
    EXPECT_TRUE(answer == text);
    co_await OrReturn(sending);
    co_return co_await stream.Close();
  };
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), handle);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    const auto all = [&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 6; ++i) group.Spawn(converse(server.local_address()));
      co_return absl::OkStatus();
    };
    co_await OrReturn(WithTaskGroup(all));
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = BlockOn(*pool, body());
  EXPECT_TRUE(ran.ok()) << ran;
}

// However far each of them has come, on whichever worker.
TEST_P(ProtocolOnWorkersTest, WhatWasWrittenIsSentAlsoWhereTheServerClosesTheConnection) {
  constexpr int kClients = 8;
  const std::unique_ptr<Executor> pool = GetParam().make(3);
  const std::string text = Pattern(512 << 10);
  // Every other one on a strand of its own.
  internal::Atomic<int> handled{0};
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    Lecturer lecturer(text);
    Strand strand(*pool);
    const bool on_strand = handled.fetch_add(1, internal::kRelaxed) % 2 != 0;
    co_return co_await Spawn(RunProtocol(std::move(stream), lecturer),
                             {.executor = on_strand ? &strand : nullptr});
  };
  const auto listen = [&](SocketAddress address, Latch& began,
                          Event& closed) -> Task<absl::Status> {
    OwnedFd fd = Dial(address);
    Stream client = MakeStream(fd);
    const std::string first = co_await OrReturn(client.ReadExactly(1000));
    began.CountDown();
    // In every other round it reads on at once, so that the server's writes go on.
    co_await OrReturn(closed.Wait());
    const std::string rest = co_await OrReturn(client.ReadAll(size_t{1} << 30));
    EXPECT_EQ(first.size() + rest.size(), text.size());
    EXPECT_TRUE(first + rest == text);
    co_return co_await client.Close();
  };
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), handle);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    for (int round = 0; round < Repeats(10); ++round) {
      Latch began(kClients);
      Event closed(round % 2 != 0);
      const auto all = [&](TaskGroup& group) -> Task<absl::Status> {
        for (int i = 0; i < kClients; ++i) {
          group.Spawn(listen(server.local_address(), began, closed));
        }
        co_await OrReturn(began.Wait());
        server.CloseClients();
        closed.Set();
        co_return absl::OkStatus();
      };
      co_await OrReturn(WithTaskGroup(all));
    }
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = BlockOn(*pool, body());
  EXPECT_TRUE(ran.ok()) << ran;
}

}  // namespace
}  // namespace plait
