// The floor for readiness: an echo server that is nothing but a loop around epoll.
//
// One thread, edge-triggered, each connection registered once. What was received is sent from the
// buffer that it was received into, so that a round trip is two system calls and its share of one
// epoll_wait. Only what the peer is too slow to take is kept, and its connection is not read from
// until that has gone.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "plait/io/net/peers/peer.h"

namespace peers {
namespace {

constexpr size_t kBufferSize = 64 * 1024;

class EchoServer {
 public:
  explicit EchoServer(int listener)
      : listener_(listener),
        epoll_(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        unsent_(RaiseDescriptorLimit()),
        buffer_(std::make_unique<char[]>(kBufferSize)) {
    Register(listener_, EPOLLIN);
  }

  [[noreturn]] void Run() {
    std::array<epoll_event, 512> events;
    while (true) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      if (count < 0 && errno != EINTR) Check(count, "epoll_wait");
      for (int i = 0; i < count; ++i) {
        const int fd = events[i].data.fd;
        if (fd == listener_) {
          AcceptAll();
        } else {
          OnReady(fd, events[i].events);
        }
      }
    }
  }

 private:
  void Register(int fd, uint32_t events) {
    epoll_event event = {.events = events, .data = {.fd = fd}};
    Check(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }

  void AcceptAll() {
    while (true) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      Register(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
  }

  void OnReady(int fd, uint32_t events) {
    std::string& unsent = unsent_[fd];
    if (!unsent.empty()) [[unlikely]] {
      const size_t sent = Send(fd, unsent.data(), unsent.size());
      unsent.erase(0, sent);
      if (!unsent.empty()) return;
      // What has come meanwhile had its event already, and so had the end of the stream.
      events |= EPOLLIN | EPOLLRDHUP;
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) Echo(fd, events);
  }

  void Echo(int fd, uint32_t events) {
    // A buffer that was not filled means that there is no more, and the next bytes will have an
    // event of their own; but the end of the stream may have had its event with this one.
    const bool ends = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    while (true) {
      const ssize_t size = recv(fd, buffer_.get(), kBufferSize, 0);
      if (size > 0) {
        const auto received = static_cast<size_t>(size);
        const size_t sent = Send(fd, buffer_.get(), received);
        if (sent < received) [[unlikely]] {
          unsent_[fd].assign(buffer_.get() + sent, received - sent);
          return;
        }
        if (received < kBufferSize && !ends) return;
      } else if (size < 0 && errno == EAGAIN) {
        return;
      } else if (size == 0 || errno != EINTR) {
        close(fd);
        return;
      }
    }
  }

  // How many bytes went. When the peer is gone all of them did: recv will say so.
  static size_t Send(int fd, const char* data, size_t size) {
    const ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<size_t>(sent);
    return errno == EAGAIN ? 0 : size;
  }

  const int listener_;
  const int epoll_;
  // By descriptor: what the peer did not take yet.
  std::vector<std::string> unsent_;
  const std::unique_ptr<char[]> buffer_;
};

}  // namespace
}  // namespace peers

int main(int argc, char** argv) { peers::EchoServer(peers::ListenAsTold(argc, argv)).Run(); }
