// The floor of the ping-pong: two loops around epoll.
#include <sys/epoll.h>
#include <unistd.h>

#include <thread>

#include "plait/io/net/peers/peer.h"
#include "plait/io/net/peers/ping_pong.h"

namespace peers {
namespace {

void Register(int epoll, int fd, uint64_t data) {
  epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data = {.u64 = data}};
  Check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void SendAll(int fd, std::string_view text) {
  const ssize_t sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(text.size())) Die("a send was short or failed");
}

// Waits, and calls on_ready(data) for each event.
template <class OnReady>
void Turn(int epoll, OnReady on_ready) {
  epoll_event events[2 * kConnections];
  const int count = epoll_wait(epoll, events, std::size(events), -1);
  if (count < 0 && errno != EINTR) Check(count, "epoll_wait");
  for (int i = 0; i < count; ++i) on_ready(events[i].data.u64);
}

void Serve(int listener) {
  const int epoll = Check(epoll_create1(0), "epoll_create1");
  Register(epoll, listener, static_cast<uint64_t>(listener));
  int left = kConnections;
  while (left > 0) {
    Turn(epoll, [&](uint64_t data) {
      const int ready = static_cast<int>(data);
      char buffer[4096];
      if (ready == listener) {
        int fd;
        while ((fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) {
          Register(epoll, fd, static_cast<uint64_t>(fd));
        }
      } else if (Check(static_cast<int>(recv(ready, buffer, sizeof(buffer), 0)), "recv") > 0) {
        SendAll(ready, kResponse);
      } else {
        close(ready);
        --left;
      }
    });
  }
}

void Ask(uint16_t port) {
  const int epoll = Check(epoll_create1(0), "epoll_create1");
  struct Connection {
    int fd;
    int done;
  } connections[kConnections];
  const sockaddr_in server = Loopback(INADDR_LOOPBACK, port);
  for (uint64_t i = 0; i < kConnections; ++i) {
    const int fd = Check(socket(AF_INET, SOCK_STREAM, 0), "socket");
    Check(connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof(server)), "connect");
    connections[i] = {.fd = fd, .done = 0};
    Register(epoll, fd, i);
    SendAll(fd, kRequest);
  }
  int left = kConnections;
  while (left > 0) {
    Turn(epoll, [&](uint64_t data) {
      Connection& connection = connections[data];
      char buffer[4096];
      if (Check(static_cast<int>(recv(connection.fd, buffer, sizeof(buffer), 0)), "recv") == 0) {
        Die("the server has closed a connection");
      }
      if (++connection.done < kRequestsEach) {
        SendAll(connection.fd, kRequest);
      } else {
        close(connection.fd);
        --left;
      }
    });
  }
}

}  // namespace
}  // namespace peers

int main() {
  const int listener = peers::Listen(0);
  const uint16_t port = peers::PortOf(listener);
  const peers::PingPongTimer timer;
  std::thread server([listener] { peers::Serve(listener); });
  std::thread client([port] { peers::Ask(port); });
  client.join();
  server.join();
  timer.Print();
}
