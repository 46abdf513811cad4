// Traps: a wake-up lost between check and park (sends from callbacks and from elsewhere); a cancel
// that races completion (the end against receives and sends); a buffer freed while the kernel owns
// it (what is being sent stays first in the queue).
#include "plait/io/net/datagram_protocol.h"

#include <errno.h>

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
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"

namespace plait {
namespace {

using sys::FaultInjection;

class Recorder : public DatagramProtocol {
 public:
  void OnConnected(DatagramTransport& transport) override {
    this->transport = &transport;
    events.push_back("connected");
  }
  void OnDatagram(absl::string_view data, const ReceivedDatagram& datagram) override {
    events.push_back(absl::StrCat("\"", data, "\""));
    last = datagram;
  }
  void OnError(const absl::Status& error) override {
    events.push_back("error");
    errors.push_back(error);
  }
  void OnClosed(const absl::Status& status) override {
    events.push_back("closed");
    closed = status;
    transport = nullptr;
  }
  void OnPauseWriting() override { events.push_back("pause"); }
  void OnResumeWriting() override { events.push_back("resume"); }
  std::string story() const { return absl::StrJoin(events, " "); }

  DatagramTransport* transport = nullptr;
  ReceivedDatagram last;
  std::vector<std::string> events;
  std::vector<absl::Status> errors;
  std::optional<absl::Status> closed;
};

DatagramSocket Udp() { return Must(DatagramSocket::Bind(SocketAddress::Loopback(0))); }

// Until nothing more happens by itself: only then does the fixture's clock go on.
Task<void> Settle() {
  const absl::Status slept = co_await Sleep(absl::Milliseconds(1));
  EXPECT_TRUE(slept.ok()) << slept;
}

Task<std::string> Receive(const DatagramSocket& socket) {
  const GuardedBuffer buffer(1000);
  const absl::StatusOr<ReceivedDatagram> got = co_await socket.ReceiveFrom(buffer.span());
  EXPECT_TRUE(got.ok()) << got.status();
  co_return got.ok() ? std::string(buffer.text(got->size)) : "";
}

using Running = JoinHandle<absl::Status>;

class DatagramProtocolTest : public NetTest {
 protected:
  // Runs `protocol` on `socket` beside `body`; what the protocol ended with.
  template <class Body>
  absl::Status Converse(DatagramProtocol& protocol, DatagramSocket socket, Body body,
                        size_t largest = kLargestDatagram) {
    const auto both = [&]() -> Task<absl::Status> {
      Running running = Spawn(RunDatagramProtocol(std::move(socket), protocol, largest));
      co_await Settle();
      co_await body(running);
      co_return co_await running;
    };
    return RunTask(both);
  }
};

INSTANTIATE_TEST_SUITE_P(AllReactors, DatagramProtocolTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(DatagramProtocolTest, DatagramsComeWithTheirSendersAndAreAnswered) {
  Recorder recorder;
  const auto body = [&](Running&) -> Task<void> {
    DatagramSocket peer = Udp();
    const SocketAddress local = recorder.transport->datagram_socket().local_address();
    for (const char* text : {"one", "", "two"}) {
      const absl::Status sent = co_await peer.SendTo(text, local);
      EXPECT_TRUE(sent.ok()) << sent;
    }
    co_await YieldUntil([&] { return recorder.events.size() == 4; });
    EXPECT_EQ(recorder.last.from, peer.local_address());
    EXPECT_TRUE(recorder.transport->SendTo("answer", recorder.last.from));
    EXPECT_TRUE(recorder.transport->SendTo("", recorder.last.from));
    const std::string answer = co_await Receive(peer);
    EXPECT_EQ(answer, "answer");
    const std::string empty = co_await Receive(peer);
    EXPECT_EQ(empty, "");
    recorder.transport->Close();
  };
  const absl::Status status = Converse(recorder, Udp(), body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.story(), "connected \"one\" \"\" \"two\" closed");
  EXPECT_EQ(recorder.closed, absl::OkStatus());
}

TEST_P(DatagramProtocolTest, Line49WhatIsLongerThanTheLargestIsCutOffAndSaysSo) {
  Recorder recorder;
  const auto body = [&](Running&) -> Task<void> {
    DatagramSocket peer = Udp();
    const absl::Status sent =
        co_await peer.SendTo("0123456789", recorder.transport->datagram_socket().local_address());
    EXPECT_TRUE(sent.ok()) << sent;
    co_await YieldUntil([&] { return recorder.events.size() == 2; });
    EXPECT_TRUE(recorder.last.truncated);
    EXPECT_EQ(recorder.last.full_size, 10u);
    recorder.transport->Close();
  };
  const absl::Status status = Converse(recorder, Udp(), body, /*largest=*/4);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.story(), "connected \"0123\" closed");
}

TEST_P(DatagramProtocolTest, ErrorsAreToldAndEndNothing) {
  Recorder recorder;
  const SocketAddress nobody = Udp().local_address();
  const auto body = [&](Running& running) -> Task<void> {
    DatagramTransport& transport = *recorder.transport;
    EXPECT_TRUE(transport.Send("is there anybody?"));
    co_await YieldUntil([&] { return !recorder.errors.empty(); });
    EXPECT_EQ(recorder.errors[0].code(), absl::StatusCode::kUnavailable) << recorder.errors[0];
    EXPECT_TRUE(absl::StrContains(recorder.errors[0].message(), "ECONNREFUSED"));
    EXPECT_TRUE(transport.Send(std::string(100'000, 'x')));
    co_await YieldUntil([&] { return recorder.errors.size() > 1; });
    EXPECT_EQ(recorder.errors[1].code(), absl::StatusCode::kInvalidArgument) << recorder.errors[1];
    EXPECT_EQ(transport.write_buffer_size(), 0u) << "it was dropped";
    DatagramSocket somebody = Must(DatagramSocket::Bind(nobody));
    EXPECT_TRUE(transport.Send("hello"));
    const std::string heard = co_await Receive(somebody);
    EXPECT_EQ(heard, "hello");
    EXPECT_FALSE(running.done());
    transport.Close();
  };
  const absl::Status status = Converse(recorder, Must(DatagramSocket::Connect(nobody)), body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(DatagramProtocolTest, WhatTheNetworkAnswersIsToldAndEndsNothing) {
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  Recorder recorder;
  const auto body = [&](Running&) -> Task<void> {
    DatagramSocket peer = Udp();
    const SocketAddress local = recorder.transport->datagram_socket().local_address();
    size_t told = 0;
    for (const int error : {EACCES, EMSGSIZE, ENOPROTOOPT, EPROTO, EHOSTUNREACH}) {
      faults.FailNext(FaultInjection::kReceiveMessage, error);
      const absl::Status sent = co_await peer.SendTo("data", local);
      EXPECT_TRUE(sent.ok()) << sent;
      ++told;
      co_await YieldUntil(
          [&] { return recorder.closed.has_value() || recorder.events.size() == 1 + 2 * told; });
      EXPECT_EQ(recorder.errors.size(), told);
      if (recorder.closed.has_value()) co_return;
    }
    EXPECT_EQ(recorder.errors[0].code(), absl::StatusCode::kPermissionDenied) << recorder.errors[0];
    recorder.transport->Close();
  };
  const absl::Status status = Converse(recorder, Udp(), body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(DatagramProtocolTest, AnErrorWithoutEndIsToldTenTimesASecondAndDoesNotKeepItFromClosing) {
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  Recorder recorder;
  const auto body = [&](Running&) -> Task<void> {
    DatagramSocket peer = Udp();
    faults.FailAll(FaultInjection::kReceiveMessage, EIO);
    const absl::Status sent =
        co_await peer.SendTo("data", recorder.transport->datagram_socket().local_address());
    EXPECT_TRUE(sent.ok()) << sent;
    const absl::Status slept = co_await Sleep(absl::Seconds(10));
    EXPECT_TRUE(slept.ok()) << slept;
    EXPECT_GE(recorder.errors.size(), 100u);
    EXPECT_LE(recorder.errors.size(), 120u);
    if (recorder.transport != nullptr) recorder.transport->Close();
  };
  const absl::Status status = Converse(recorder, Udp(), body);
  EXPECT_TRUE(status.ok()) << status;
}

// A connected Unix socket waits while its peer is full.
TEST_P(DatagramProtocolTest, SendingAsksToPauseAndToGoOnAndCloseSendsAllThatWaits) {
  Recorder recorder;
  DatagramSocket peer = Must(DatagramSocket::BindAnywhere(SocketAddress::Family::kUnix));
  const auto body = [&](Running& running) -> Task<void> {
    DatagramTransport& transport = *recorder.transport;
    const absl::Status set = transport.SetWriteLimits(100'000, 1'000);
    EXPECT_TRUE(set.ok()) << set;
    EXPECT_EQ(transport.SetWriteLimits(1, 2).code(), absl::StatusCode::kInvalidArgument);
    for (int i = 0; i < 2000; ++i) EXPECT_TRUE(transport.Send(absl::StrCat(i)));
    EXPECT_EQ(recorder.story(), "connected pause") << "empty and short ones count as well";
    co_await Settle();
    EXPECT_EQ(recorder.story(), "connected pause") << "the peer is full";
    transport.Close();
    EXPECT_FALSE(transport.Send("too late"));
    co_await Settle();
    EXPECT_FALSE(running.done());
    for (int i = 0; i < 2000; ++i) {
      const std::string text = co_await Receive(peer);
      EXPECT_EQ(text, absl::StrCat(i));
    }
    const absl::Status closed = co_await peer.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  const absl::Status status =
      Converse(recorder, Must(DatagramSocket::Connect(peer.local_address())), body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(recorder.story(), "connected pause resume closed");
}

TEST_P(DatagramProtocolTest, WhatComesAfterCloseIsNotTold) {
  Recorder recorder;
  DatagramSocket full = Must(DatagramSocket::BindAnywhere(SocketAddress::Family::kUnix));
  DatagramSocket socket = Must(DatagramSocket::Connect(full.local_address()));
  const auto body = [&](Running& running) -> Task<void> {
    for (int i = 0; i < 2000; ++i) EXPECT_TRUE(recorder.transport->Send("x"));
    recorder.transport->Close();
    const absl::Status sent =
        co_await full.SendTo("hello?", recorder.transport->datagram_socket().local_address());
    EXPECT_TRUE(sent.ok()) << sent;
    co_await Settle();
    EXPECT_FALSE(running.done());
    recorder.transport->Abort();
  };
  const absl::Status status = Converse(recorder, std::move(socket), body);
  EXPECT_EQ(status, absl::AbortedError("the socket was aborted by this side"));
  EXPECT_EQ(recorder.story(), "connected pause closed");
  EXPECT_EQ(recorder.closed, status);
  const auto close = [&]() -> Task<void> { static_cast<void>(co_await full.Close()); };
  RunTask(close);
}

TEST_P(DatagramProtocolTest, ACancelEndsItAndIsTold) {
  Recorder recorder;
  const int before = OpenDescriptors();
  const auto body = [&](Running& running) -> Task<void> {
    running.Cancel();
    co_return;
  };
  const absl::Status status = Converse(recorder, Udp(), body);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(recorder.story(), "connected closed");
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(DatagramProtocolTest, ASocketThatIsClosedAlreadyIsToldSo) {
  Recorder recorder;
  const auto body = [&]() { return RunDatagramProtocol(DatagramSocket(), recorder); };
  const absl::Status status = RunTask(body);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(recorder.story(), "connected closed");
}

// Ends it in one of its callbacks.
class Ender : public Recorder {
 public:
  Ender(std::string at, bool abort) : at_(std::move(at)), abort_(abort) {}

  void OnConnected(DatagramTransport& transport) override {
    Recorder::OnConnected(transport);
    End("connected");
  }
  void OnDatagram(absl::string_view data, const ReceivedDatagram& datagram) override {
    Recorder::OnDatagram(data, datagram);
    End("datagram");
  }
  void OnError(const absl::Status& error) override {
    Recorder::OnError(error);
    End("error");
  }

 private:
  void End(absl::string_view at) {
    if (at != at_) return;
    abort_ ? transport->Abort() : transport->Close();
  }

  const std::string at_;
  const bool abort_;
};

TEST_P(DatagramProtocolTest, EveryCallbackMayEndIt) {
  for (const std::string at : {"connected", "datagram", "error"}) {
    for (const bool abort : {false, true}) {
      Ender ender(at, abort);
      const auto body = [&](Running&) -> Task<void> {
        if (ender.transport == nullptr) co_return;
        DatagramSocket peer = Udp();
        if (at == "error") ender.transport->SendTo(std::string(100'000, 'x'), peer.local_address());
        static_cast<void>(
            co_await peer.SendTo("data", ender.transport->datagram_socket().local_address()));
      };
      const absl::Status status = Converse(ender, Udp(), body);
      EXPECT_EQ(status.code(), abort ? absl::StatusCode::kAborted : absl::StatusCode::kOk)
          << at << ": " << status;
      EXPECT_EQ(ender.events.back(), "closed");
    }
  }
}

}  // namespace
}  // namespace plait
