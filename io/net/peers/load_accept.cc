#include <sys/epoll.h>
#include <unistd.h>

#include <vector>

#include "plait/io/net/peers/load.h"
#include "plait/io/net/peers/peer.h"

namespace peers {
namespace {

struct Connection {
  int fd = -1;
  int64_t began = 0;
  size_t sent = 0;
  size_t received = 0;
};

class AcceptRun {
 public:
  explicit AcceptRun(const Load& load)
      : load_(load),
        size_(static_cast<size_t>(load.size)),
        epoll_(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        connections_(static_cast<size_t>(load.connections)),
        buffer_(size_) {
    if (size_ > Pattern::kRun) Die("in this mode --size is 64 KiB at most");
  }

  void Run() {
    for (Connection& connection : connections_) Begin(connection);
    Measurement measurement(load_);
    while (!measurement.Over(done_, latency_)) Turn(measurement.timeout_ms());
    measurement.Print(latency_);
  }

 private:
  void Begin(Connection& connection) {
    connection = {.began = NowNanos()};
    connection.fd = ConnectTo(static_cast<uint16_t>(load_.port), /*blocking=*/false);
    epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = &connection}};
    Check(epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event), "epoll_ctl");
  }

  void Turn(int timeout_ms) {
    epoll_event events[256];
    const int count = epoll_wait(epoll_, events, std::size(events), timeout_ms);
    if (count < 0 && errno != EINTR) Check(count, "epoll_wait");
    for (int i = 0; i < count; ++i) {
      Connection& connection = *static_cast<Connection*>(events[i].data.ptr);
      if (connection.sent < size_) Send(connection);
      if (connection.received < connection.sent) Receive(connection);
    }
  }

  void Send(Connection& connection) {
    const ssize_t sent =
        send(connection.fd, pattern_.At(connection.sent), size_ - connection.sent, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN) return;
      Check(-1, "send");
    }
    connection.sent += static_cast<size_t>(sent);
  }

  void Receive(Connection& connection) {
    const ssize_t size = recv(connection.fd, buffer_.data(), size_ - connection.received, 0);
    if (size == 0) Die("the server has closed a connection");
    if (size < 0) {
      if (errno == EAGAIN) return;
      Check(-1, "recv");
    }
    const auto received = static_cast<size_t>(size);
    if (std::memcmp(buffer_.data(), pattern_.At(connection.received), received) != 0) {
      Die("the server sent other bytes than it was sent");
    }
    connection.received += received;
    if (connection.received < size_) return;
    // The end of the stream, as a peer that is done sends it, and no reset.
    Check(close(connection.fd), "close");
    latency_.Add(NowNanos() - connection.began);
    ++done_;
    Begin(connection);
  }

  const Load load_;
  const size_t size_;
  const int epoll_;
  const Pattern pattern_;
  std::vector<Connection> connections_;
  std::vector<char> buffer_;
  Histogram latency_;
  int64_t done_ = 0;
};

}  // namespace

void RunAccept(const Load& load) { AcceptRun(load).Run(); }

}  // namespace peers
