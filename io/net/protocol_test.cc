// What a Protocol is told, from the beginning on, and how it writes and reads. Traps: a wake-up
// lost between check and park (writes from callbacks and from elsewhere while the writer is about
// to wait); a buffer freed while the kernel owns it (what is being sent stays).
#include "plait/io/net/protocol.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/protocol_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

INSTANTIATE_TEST_SUITE_P(AllReactors, ProtocolTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

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

}  // namespace
}  // namespace plait
