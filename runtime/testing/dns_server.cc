#include "plait/runtime/testing/dns_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <optional>
#include <utility>

#include "plait/runtime/core/check.h"

namespace plait {
namespace {

// All that comes at once: a packet that is dropped would be asked for again only much later.
void GrowReceiveBuffer(int fd) {
  const int bytes = 4 << 20;
#ifdef SO_RCVBUFFORCE
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0) return;
#endif
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

}  // namespace

DnsServer::DnsServer(Handler handler) : handler_(std::move(handler)), stop_(MakePipe()) {
  // The number that the system gives to one may be taken for the other.
  for (int attempt = 0; udp_.get() < 0; ++attempt) {
    PLAIT_CHECK(attempt < 100, "no port is free for both UDP and TCP");
    TcpListener listener = MakeTcpListener();
    OwnedFd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    PLAIT_CHECK(udp.get() >= 0, "no UDP socket");
    if (::bind(udp.get(), listener.name(), sizeof(listener.address)) != 0) continue;
    address_ = *SocketAddress::FromSystem(listener.name(), sizeof(listener.address));
    udp_ = std::move(udp);
    tcp_ = std::move(listener.fd);
  }
  GrowReceiveBuffer(udp_.get());
  thread_ = StartThread("dns_server", [this] { Serve(); });
}

DnsServer::~DnsServer() {
  stop_.second.Reset();
  thread_.join();
}

void DnsServer::Send(const SocketAddress& peer, absl::string_view packet) {
  // One that has gone does not hear of it.
  static_cast<void>(::sendto(udp_.get(), packet.data(), packet.size(), MSG_NOSIGNAL, peer.data(),
                             static_cast<socklen_t>(peer.size())));
}

void DnsServer::Serve() {
  std::vector<Connection> connections;
  for (;;) {
    std::vector<pollfd> waits = {{.fd = stop_.first.get(), .events = POLLIN},
                                 {.fd = udp_.get(), .events = POLLIN},
                                 {.fd = tcp_.get(), .events = POLLIN}};
    for (const Connection& connection : connections) {
      waits.push_back({.fd = connection.fd.get(), .events = POLLIN});
    }
    if (::poll(waits.data(), waits.size(), -1) < 0) continue;
    if (waits[0].revents != 0) return;
    if (waits[1].revents != 0) ServeUdp();
    std::vector<Connection> open;
    for (size_t i = 0; i < connections.size(); ++i) {
      const bool ended = waits[3 + i].revents != 0 && !ServeConnection(connections[i]);
      if (!ended) open.push_back(std::move(connections[i]));
    }
    connections = std::move(open);
    if (waits[2].revents != 0) {
      OwnedFd accepted(::accept(tcp_.get(), nullptr, nullptr));
      if (accepted.get() >= 0) connections.push_back({.fd = std::move(accepted), .received = ""});
    }
  }
}

void DnsServer::ServeUdp() {
  char buffer[2048];
  Question question;
  const ssize_t size = ::recvfrom(udp_.get(), buffer, sizeof(buffer), MSG_DONTWAIT,
                                  question.peer.room(), question.peer.room_size());
  if (size < 0) return;
  const std::optional<DnsQuestion> parsed =
      ParseQuestion(absl::string_view(buffer, static_cast<size_t>(size)));
  PLAIT_CHECK(parsed.has_value(), "a DNS client sent what is no question");
  static_cast<DnsQuestion&>(question) = *parsed;
  questions_.fetch_add(1, internal::kRelease);
  for (const std::string& packet : handler_(question)) Send(question.peer, packet);
}

bool DnsServer::ServeConnection(Connection& connection) {
  char buffer[2048];
  const ssize_t size = ::recv(connection.fd.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  if (size <= 0) return false;
  connection.received.append(buffer, static_cast<size_t>(size));
  std::string& received = connection.received;
  while (received.size() >= 2) {
    const size_t length = static_cast<size_t>(static_cast<uint8_t>(received[0])) << 8 |
                          static_cast<uint8_t>(received[1]);
    if (received.size() < 2 + length) break;
    const std::optional<DnsQuestion> parsed =
        ParseQuestion(absl::string_view(received).substr(2, length));
    PLAIT_CHECK(parsed.has_value(), "a DNS client sent what is no question");
    received.erase(0, 2 + length);
    Question question;
    static_cast<DnsQuestion&>(question) = *parsed;
    question.tcp = true;
    questions_.fetch_add(1, internal::kRelease);
    tcp_questions_.fetch_add(1, internal::kRelease);
    for (const std::string& packet : handler_(question)) {
      std::string framed = {static_cast<char>(packet.size() >> 8),
                            static_cast<char>(packet.size() & 255)};
      framed += packet;
      if (::send(connection.fd.get(), framed.data(), framed.size(), MSG_NOSIGNAL) < 0) return false;
    }
  }
  return true;
}

}  // namespace plait
