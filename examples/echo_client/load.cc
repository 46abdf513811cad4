#include "plait/examples/echo_client/load.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/net/peers/histogram.h"
#include "plait/runtime/core/environment.h"

namespace examples {
namespace {

using plait::OrReturn;

constexpr size_t kLeastBuffer = 16 * 1024;
constexpr size_t kMostBuffer = 256 * 1024;

// What all connections share. They run on one thread, so plain variables do.
struct Session {
  explicit Session(Load l) : load(std::move(l)) {}

  int64_t NowNanos() const { return plait::Clock::Real().Now().nanos(); }

  const Load load;
  bool over = false;
  peers::Histogram latency;
};

// One connection's half-finished business.
class Conversation {
 public:
  Conversation(Session& session, plait::Stream stream, size_t number)
      : session_(session),
        stream_(std::move(stream)),
        size_(static_cast<size_t>(session.load.size)),
        in_flight_(static_cast<size_t>(session.load.in_flight)),
        sent_at_(in_flight_) {
    // Of its own, so that an answer to somebody else is noticed; as often as messages are on their
    // way, so that they are sent at once.
    std::string message(size_, '\0');
    for (size_t i = 0; i < size_; ++i) message[i] = static_cast<char>((i + number * 31) * 7 + 1);
    for (size_t i = 0; i < in_flight_; ++i) messages_ += message;
    // A Write never waits for the server, which may be waiting for us to read.
    stream_.set_high_water_mark(messages_.size());
    buffer_.resize(std::clamp(messages_.size(), kLeastBuffer, kMostBuffer));
  }

  // co_await: until the session is over and all that was sent has come back.
  plait::Task<absl::Status> Run() {
    co_await OrReturn(Send(in_flight_));
    while (waited_for_ > 0) {
      const size_t count = co_await OrReturn(stream_.Read(absl::MakeSpan(buffer_)));
      if (count == 0) co_return absl::UnavailableError("the server has closed a connection");
      co_await OrReturn(Check(absl::string_view(buffer_.data(), count)));
      const size_t came = Complete(count);
      if (came > 0 && !session_.over) co_await OrReturn(Send(came));
    }
    co_return co_await stream_.Close();
  }

 private:
  plait::Task<absl::Status> Send(size_t count) {
    const int64_t now = session_.NowNanos();
    for (size_t i = 0; i < count; ++i) sent_at_[(oldest_ + waited_for_ + i) % in_flight_] = now;
    waited_for_ += count;
    co_return co_await stream_.Write(absl::string_view(messages_).substr(0, count * size_));
  }

  absl::Status Check(absl::string_view bytes) const {
    if (bytes.size() > waited_for_ * size_ - partial_) {
      return absl::DataLossError("the server sent more than it was sent");
    }
    for (size_t at = partial_; !bytes.empty(); at = 0) {
      const absl::string_view expected = absl::string_view(messages_).substr(at, bytes.size());
      if (std::memcmp(bytes.data(), expected.data(), expected.size()) != 0) {
        return absl::DataLossError("the server sent other bytes than it was sent");
      }
      // What is behind the last message begins as the first does.
      bytes.remove_prefix(expected.size());
    }
    return absl::OkStatus();
  }

  // How many messages came to their ends with `count` bytes more.
  size_t Complete(size_t count) {
    partial_ += count;
    const size_t came = partial_ / size_;
    partial_ %= size_;
    const int64_t now = came > 0 ? session_.NowNanos() : 0;
    for (size_t i = 0; i < came; ++i) {
      session_.latency.Add(now - sent_at_[oldest_]);
      oldest_ = (oldest_ + 1) % in_flight_;
    }
    waited_for_ -= came;
    return came;
  }

  Session& session_;
  plait::Stream stream_;
  const size_t size_;
  const size_t in_flight_;
  std::string messages_;  // `in_flight_` times the same
  std::vector<char> buffer_;
  std::vector<int64_t> sent_at_;  // a ring, the oldest at oldest_
  size_t oldest_ = 0;
  size_t waited_for_ = 0;  // messages that have not come back whole
  size_t partial_ = 0;     // bytes of the oldest that have
};

plait::Task<absl::Status> Converse(Session& session, plait::Stream stream, size_t number) {
  Conversation conversation(session, std::move(stream), number);
  co_return co_await conversation.Run();
}

}  // namespace

plait::Task<absl::StatusOr<LoadResult>> PutLoad(Load load) {
  Session session(std::move(load));
  std::vector<plait::Stream> streams;
  plait::ConnectOptions connect;
  connect.timeout = session.load.connect_timeout;
  for (int64_t i = 0; i < session.load.connections; ++i) {
    streams.push_back(co_await OrReturn(plait::Connect(session.load.target, connect)));
  }
  const int64_t start = session.NowNanos();
  auto body = [&](plait::TaskGroup& group) -> plait::Task<absl::Status> {
    size_t number = 0;
    for (plait::Stream& stream : streams) {
      group.Spawn(Converse(session, std::move(stream), number++), {.name = "connection"});
    }
    co_await OrReturn(plait::Sleep(session.load.duration));
    session.over = true;
    co_return absl::OkStatus();
  };
  co_await OrReturn(plait::WithTaskGroup(std::move(body)));
  LoadResult result;
  result.elapsed = absl::Nanoseconds(session.NowNanos() - start);
  result.requests = session.latency.count();
  result.p50 = absl::Nanoseconds(session.latency.Quantile(0.50));
  result.p99 = absl::Nanoseconds(session.latency.Quantile(0.99));
  co_return result;
}

}  // namespace examples
