#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "plait/io/net/peers/load.h"
#include "plait/io/net/peers/peer.h"

namespace peers {
namespace {

constexpr size_t kBufferSize = Pattern::kRun;

// How far apart in the pattern two neighbours begin.
constexpr uint64_t kShift = 977;

struct Connection {
  int fd = -1;
  // Positions in the stream, which does not begin at 0, so that no two connections send the same.
  uint64_t wanted = 0;    // up to here it is to be sent
  uint64_t sent = 0;      // up to here it was
  uint64_t received = 0;  // up to here it has come back
  uint64_t complete = 0;  // the same, in whole messages
  // When each message in flight was sent, the oldest at `oldest`.
  std::vector<int64_t> sent_at;
  size_t oldest = 0;
};

class EchoRun {
 public:
  explicit EchoRun(const Load& load)
      : load_(load),
        size_(static_cast<uint64_t>(load.size)),
        epoll_(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        connections_(static_cast<size_t>(load.connections)),
        buffer_(kBufferSize) {
    for (size_t i = 0; i < connections_.size(); ++i) Open(connections_[i], i);
  }

  void Run() {
    const int64_t now = NowNanos();
    for (Connection& connection : connections_) {
      std::fill(connection.sent_at.begin(), connection.sent_at.end(), now);
      connection.wanted += connection.sent_at.size() * size_;
      Send(connection);
    }
    Measurement measurement(load_);
    while (!measurement.Over(done_, latency_)) Turn(measurement.timeout_ms());
    measurement.Print(latency_);
  }

 private:
  void Open(Connection& connection, size_t index) {
    connection.fd = ConnectTo(static_cast<uint16_t>(load_.port), /*blocking=*/false);
    connection.wanted = connection.sent = connection.received = connection.complete =
        index * kShift;
    connection.sent_at.resize(static_cast<size_t>(load_.in_flight));
    epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = &connection}};
    Check(epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event), "epoll_ctl");
  }

  void Turn(int timeout_ms) {
    epoll_event events[256];
    const int count = epoll_wait(epoll_, events, std::size(events), timeout_ms);
    if (count < 0 && errno != EINTR) Check(count, "epoll_wait");
    for (int i = 0; i < count; ++i) {
      Connection& connection = *static_cast<Connection*>(events[i].data.ptr);
      if (events[i].events & ~EPOLLOUT) Receive(connection);
      if (connection.sent < connection.wanted) Send(connection);
    }
  }

  void Receive(Connection& connection) {
    ssize_t size;
    do {
      size = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
      if (size == 0) Die("the server has closed a connection");
      if (size < 0) {
        if (errno == EAGAIN) return;
        Check(-1, "recv");
      }
      OnData(connection, static_cast<size_t>(size));
    } while (size == static_cast<ssize_t>(buffer_.size()));
  }

  void OnData(Connection& connection, size_t size) {
    if (connection.received + size > connection.sent) Die("the server sent more than it was sent");
    if (std::memcmp(buffer_.data(), pattern_.At(connection.received), size) != 0) {
      Die("the server sent other bytes than it was sent");
    }
    connection.received += size;
    if (connection.received - connection.complete < size_) return;
    const int64_t now = NowNanos();
    for (; connection.received - connection.complete >= size_; connection.complete += size_) {
      // In place of the one that has come back, another goes.
      int64_t& sent_at = connection.sent_at[connection.oldest];
      latency_.Add(now - sent_at);
      sent_at = now;
      connection.oldest =
          connection.oldest + 1 == connection.sent_at.size() ? 0 : connection.oldest + 1;
      connection.wanted += size_;
      ++done_;
    }
  }

  void Send(Connection& connection) {
    while (connection.sent < connection.wanted) {
      const uint64_t size = std::min(connection.wanted - connection.sent, Pattern::kRun);
      const ssize_t sent = send(connection.fd, pattern_.At(connection.sent), size, MSG_NOSIGNAL);
      if (sent < 0) {
        // EAGAIN also while it is still connecting.
        if (errno == EAGAIN) return;
        Check(-1, "send");
      }
      connection.sent += static_cast<uint64_t>(sent);
    }
  }

  const Load load_;
  const uint64_t size_;
  const int epoll_;
  const Pattern pattern_;
  std::vector<Connection> connections_;
  std::vector<char> buffer_;
  Histogram latency_;
  int64_t done_ = 0;
};

}  // namespace

void RunEcho(const Load& load) { EchoRun(load).Run(); }

}  // namespace peers
