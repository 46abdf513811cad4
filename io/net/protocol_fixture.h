// What the tests of protocols share: one that writes down what it is told, and a connection to it.
#ifndef PLAIT_IO_NET_PROTOCOL_FIXTURE_H_
#define PLAIT_IO_NET_PROTOCOL_FIXTURE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/protocol.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {

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

inline Stream MakeStream(OwnedFd& end) { return Stream(io::OwnedDescriptor(end.Release())); }

inline Task<void> Turns(int turns) {
  for (int i = 0; i < turns; ++i) co_await Yield();
}

// Until nothing more happens by itself: only then does the fixture's clock go on.
inline Task<void> Settle() {
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

inline Task<void> Say(Stream& stream, std::string text) {
  const absl::Status written = co_await stream.Write(text);
  EXPECT_TRUE(written.ok()) << written;
}

// All that comes until the end.
inline Task<std::string> Rest(Stream& stream) {
  absl::StatusOr<std::string> rest = co_await stream.ReadAll(size_t{1} << 30);
  EXPECT_TRUE(rest.ok()) << rest.status();
  co_return rest.ok() ? *std::move(rest) : "";
}

// Sends much at once, and waits for the end.
class Lecturer : public Protocol {
 public:
  explicit Lecturer(const std::string& text) : text_(text) {}
  void OnConnected(Transport& transport) override { transport.Write(text_); }
  void OnData(absl::string_view) override {}

 private:
  const std::string& text_;
};

}  // namespace plait

#endif  // PLAIT_IO_NET_PROTOCOL_FIXTURE_H_
