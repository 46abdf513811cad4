#include "plait/io/dns/internal/ares_callbacks.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/uio.h>

#include <memory>

#include "absl/status/statusor.h"
#include "plait/io/dns/internal/host_name.h"
#include "plait/io/system/system_calls.h"

namespace plait::internal {
namespace {

ssize_t SendUninterrupted(int fd, const msghdr& message) {
  ssize_t result = 0;
  do {
    result = sys::Calls().SendMessage(fd, &message, 0);
  } while (result == -EINTR);
  return result;
}

}  // namespace

AresChannel::Lookup* AresChannel::Callbacks::Take(void* query_pointer) {
  const std::unique_ptr<Query> query(static_cast<Query*>(query_pointer));
  if (query->lookup == nullptr) {
    --query->channel->abandoned_;
  } else {
    query->lookup->query_ = nullptr;
  }
  return query->lookup;
}

void AresChannel::Callbacks::OnAddresses(void* query, int status, int /*timeouts*/,
                                         ares_addrinfo* found) {
  Lookup* const lookup = Take(query);
  if (lookup != nullptr) {
    for (const ares_addrinfo_node* node = found == nullptr ? nullptr : found->nodes;
         node != nullptr; node = node->ai_next) {
      absl::StatusOr<SocketAddress> address =
          SocketAddress::FromSystem(node->ai_addr, static_cast<size_t>(node->ai_addrlen));
      if (address.ok()) lookup->answer_.addresses.push_back(*address);
    }
    lookup->channel_.Finish(*lookup, status);
  }
  if (found != nullptr) ares_freeaddrinfo(found);
}

void AresChannel::Callbacks::OnName(void* query, int status, int /*timeouts*/, unsigned char* reply,
                                    int size) {
  const SocketAddress address = static_cast<Query*>(query)->address;
  Lookup* const lookup = Take(query);
  if (lookup == nullptr) return;
  if (status == ARES_SUCCESS) {
    const bool ipv4 = address.family() == SocketAddress::Family::kIpv4;
    const void* const ip =
        ipv4 ? static_cast<const void*>(
                   &reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr)
             : &reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr;
    hostent* found = nullptr;
    status = ares_parse_ptr_reply(reply, size, ip, ipv4 ? 4 : 16, address.system_family(), &found);
    if (status == ARES_SUCCESS) {
      lookup->answer_.name = found->h_name;
      // It is shown to people and compared with lists: what is no host's name is no answer.
      if (!CheckHostName(lookup->answer_.name).ok()) status = ARES_EBADRESP;
      ares_free_hostent(found);
    }
  }
  lookup->channel_.Finish(*lookup, status);
}

void AresChannel::Callbacks::OnSocketState(void* channel, ares_socket_t fd, int read, int write) {
  static_cast<AresChannel*>(channel)->WatchSocket(fd, read != 0, write != 0);
}

ares_socket_t AresChannel::Callbacks::Open(int domain, int type, int protocol, void* channel) {
  const int fd = sys::Calls().Socket(domain, type, protocol);
  if (fd >= 0 && type == SOCK_STREAM) {
    const int on = 1;  // as c-ares does to sockets of its own
    sys::Calls().SetSocketOption(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return static_cast<AresChannel*>(channel)->NoteError(fd);
}

int AresChannel::Callbacks::Close(ares_socket_t fd, void* channel) {
  static_cast<AresChannel*>(channel)->CloseSocket(fd);
  return 0;
}

int AresChannel::Callbacks::Connect(ares_socket_t fd, const sockaddr* address, ares_socklen_t size,
                                    void* channel) {
  return static_cast<AresChannel*>(channel)->NoteError(sys::Calls().Connect(fd, address, size));
}

ares_ssize_t AresChannel::Callbacks::Receive(ares_socket_t fd, void* data, size_t size, int flags,
                                             sockaddr* from, ares_socklen_t* from_size,
                                             void* channel) {
  iovec part{.iov_base = data, .iov_len = size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_name = from;
  if (from != nullptr) message.msg_namelen = *from_size;
  ssize_t result = 0;
  do {
    result = sys::Calls().ReceiveMessage(fd, &message, flags);
  } while (result == -EINTR);
  if (from != nullptr) *from_size = message.msg_namelen;
  return static_cast<AresChannel*>(channel)->NoteError(result);
}

ares_ssize_t AresChannel::Callbacks::Send(ares_socket_t fd, const iovec* parts, int count,
                                          void* channel) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);  // only read
  message.msg_iovlen = static_cast<size_t>(count);
  ssize_t result = SendUninterrupted(fd, message);
  if (result == -ECONNREFUSED) {
    // On a UDP socket this tells of a packet that was sent before, and so of another query, and
    // is told once. This packet is told of when c-ares receives, which ends all queries of the
    // server.
    static_cast<AresChannel*>(channel)->NoteError(result);
    result = SendUninterrupted(fd, message);
  }
  return static_cast<AresChannel*>(channel)->NoteError(result);
}

int AresChannel::NoteError(int64_t result) noexcept {
  if (result >= 0) return static_cast<int>(result);
  const int error = static_cast<int>(-result);
  if (error != EAGAIN && error != EWOULDBLOCK && error != EINPROGRESS) socket_error_ = -error;
  errno = error;
  return -1;
}

}  // namespace plait::internal
