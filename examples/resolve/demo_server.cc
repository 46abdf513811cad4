#include "plait/examples/resolve/demo_server.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <optional>
#include <string>
#include <utility>

#include "plait/io/ops/operations.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"

namespace examples {

using plait::DnsQuestion;
using plait::SocketAddress;

absl::StatusOr<DemoServer> DemoServer::Open(absl::Duration slow) {
  plait::sys::SystemCalls& system = plait::sys::Calls();
  const int socket = system.Socket(AF_INET, SOCK_DGRAM, 0);
  if (socket < 0) return plait::ErrnoToStatus(socket, "open the demonstration's UDP socket");
  SocketAddress address = SocketAddress::Loopback(0);
  int result = system.Bind(socket, address.data(), static_cast<socklen_t>(address.size()));
  if (result == 0) result = system.SocketName(socket, address.room(), address.room_size());
  if (result < 0) {
    system.Close(socket);  // no reactor knows it yet
    return plait::ErrnoToStatus(result, "bind the demonstration's UDP socket to 127.0.0.1");
  }
  return DemoServer(socket, address, slow);
}

DemoServer::DemoServer(int socket, const SocketAddress& address, absl::Duration slow)
    : socket_(socket), address_(address), slow_(slow) {
  zone_.AddAddress("www.example", "192.0.2.10");
  zone_.AddAddress("www.example", "2001:db8::10");
  zone_.AddAlias("alias.example", "www.example");
  zone_.AddAddress("six.example", "2001:db8::6");
  zone_.AddAddress("slow.example", "192.0.2.20");
  zone_.AddPointer("192.0.2.10", "www.example");
  zone_.AddPointer("2001:db8::10", "www.example");
}

plait::Task<absl::Status> DemoServer::Serve() {
  const absl::Status served =
      co_await plait::WithTaskGroup([this](plait::TaskGroup& group) { return Listen(group); });
  static_cast<void>(co_await socket_.Close());  // there is nothing more to lose
  co_return served;
}

// One task a question, so that a slow answer holds up no other.
plait::Task<absl::Status> DemoServer::Listen(plait::TaskGroup& group) {
  for (;;) {
    char buffer[512];
    iovec part{.iov_base = buffer, .iov_len = sizeof(buffer)};
    SocketAddress asker;
    msghdr message{};
    message.msg_name = asker.room();
    message.msg_namelen = static_cast<socklen_t>(asker.size());
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const size_t size =
        co_await plait::OrReturn(plait::io::ReceiveMessage(socket_.get(), &message));
    *asker.room_size() = message.msg_namelen;
    const std::optional<DnsQuestion> question =
        plait::ParseQuestion(absl::string_view(buffer, size));
    if (question.has_value()) group.Spawn(Answer(*question, asker));
  }
}

plait::Task<absl::Status> DemoServer::Answer(DnsQuestion question, SocketAddress asker) {
  if (question.name == "silent.example") co_return absl::OkStatus();
  if (question.name == "slow.example") co_await plait::OrReturn(plait::Sleep(slow_));
  std::string packet = zone_.Answer(question);
  iovec part{.iov_base = packet.data(), .iov_len = packet.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(asker.data());  // only read
  message.msg_namelen = static_cast<socklen_t>(asker.size());
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const absl::StatusOr<size_t> sent = co_await plait::io::SendMessage(socket_.get(), &message);
  // Who has stopped waiting is none of the server's business.
  co_return absl::IsCancelled(sent.status()) ? sent.status() : absl::OkStatus();
}

}  // namespace examples
