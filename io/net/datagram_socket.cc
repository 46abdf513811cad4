#include "plait/io/net/datagram_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "plait/io/net/socket_error.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/task_context.h"

namespace plait {
namespace {

using Family = SocketAddress::Family;

#ifdef __linux__
// Asked to, Linux gives the length that the datagram had.
constexpr int kTellFullSize = MSG_TRUNC;
#else
constexpr int kTellFullSize = 0;
#endif

// A Unix socket's address without a name; to bind to it is to let the system choose one.
SocketAddress UnnamedUnix() {
  const ::sockaddr unnamed{.sa_family = AF_UNIX, .sa_data = {}};
  return SocketAddress::FromSystem(&unnamed, sizeof(sa_family_t)).value_or(SocketAddress());
}

SocketAddress Anywhere(Family family) {
  switch (family) {
    case Family::kIpv4:
      return SocketAddress::Any(0);
    case Family::kIpv6:
      return SocketAddress::AnyIpv6(0);
    case Family::kUnix:
      return UnnamedUnix();
    case Family::kNone:
      break;
  }
  return SocketAddress();
}

// What `ask`, getsockname or getpeername, says; no address where it says nothing.
using AskAddress = int (sys::SystemCalls::*)(int, sockaddr*, socklen_t*) noexcept;

// 0, or -errno; then it is no address.
int AskFor(SocketAddress& address, int fd, AskAddress ask) {
  address = SocketAddress();
  ::sockaddr* const room = address.room();
  const int asked = (sys::Calls().*ask)(fd, room, address.room_size());
  if (asked < 0) address = SocketAddress();
  return asked;
}

// Another task may close the socket up to the moment when this begins.
io::internal::Request MessageRequest(IoOpcode opcode, const io::OwnedDescriptor& socket,
                                     ::msghdr* message, int flags) {
  io::internal::Request request{
      .opcode = opcode, .fd = socket.get(), .args = {}, .owner = &socket.cell()};
  request.args.message = message;
  request.args.flags = static_cast<uint32_t>(flags);
  return request;
}

absl::Status Closed(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": the socket is closed"));
}

// Linux gives a socket that is bound to every address also what is sent to groups that others have
// joined. Not where it is too old to be told otherwise.
void HearOwnGroupsOnly(int fd, Family family) {
  const int off = 0;
#ifdef IP_MULTICAST_ALL
  if (family == Family::kIpv4) {
    sys::Calls().SetSocketOption(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof(off));
  }
#endif
#ifdef IPV6_MULTICAST_ALL
  if (family == Family::kIpv6) {
    sys::Calls().SetSocketOption(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &off, sizeof(off));
  }
#endif
  static_cast<void>(fd), static_cast<void>(family), static_cast<void>(off);
}

// The system's number for an interface; 0 for an empty name.
absl::StatusOr<unsigned> InterfaceIndex(absl::string_view name) {
  if (name.empty()) return 0u;
  const int index = sys::Calls().InterfaceIndex(std::string(name).c_str());
  if (index >= 0) return static_cast<unsigned>(index);
  const std::string what = absl::StrCat("network interface \"", name, "\"");
  if (index != -ENODEV) return ErrnoToStatus(index, what);
  return absl::NotFoundError(absl::StrCat("there is no ", what));
}

}  // namespace

namespace internal {

DatagramReceive::DatagramReceive(const DatagramSocket& socket, absl::Span<char> into,
                                 bool ask_from) noexcept
    : OperationAwaiter(
          MessageRequest(IoOpcode::kReceiveMessage, socket.descriptor_, &header_, kTellFullSize)),
      socket_(socket),
      open_(socket.is_open()),
      part_{.iov_base = into.data(), .iov_len = into.size()} {
  header_.msg_iov = &part_;
  header_.msg_iovlen = 1;
  if (ask_from || socket.peer_.family() == Family::kNone) {
    header_.msg_name = from_.room();
    header_.msg_namelen = *from_.room_size();
  }
}

absl::StatusOr<ReceivedDatagram> DatagramReceive::await_resume() {
  const absl::StatusOr<int32_t> result = TakeResult();
  if (!result.ok()) {
    const SocketAddress& peer = socket_.peer_address();
    const std::string what = peer.family() != Family::kNone
                                 ? absl::StrCat("receive from ", peer.ToString())
                                 : absl::StrCat("receive at ", socket_.local_.ToString());
    return open_ ? NameError(result.status(), what) : Closed(what);
  }
  ReceivedDatagram received;
  received.full_size = static_cast<size_t>(*result);
  received.size = std::min(received.full_size, part_.iov_len);
  received.truncated = (header_.msg_flags & MSG_TRUNC) != 0;
  if (header_.msg_name == nullptr) {
    received.from = socket_.peer_;
  } else if (header_.msg_namelen >= sizeof(sa_family_t)) {
    *from_.room_size() = header_.msg_namelen;
    received.from = from_;
  } else if (socket_.local_.family() == Family::kUnix) {
    received.from = UnnamedUnix();
  }
  return received;
}

DatagramSend::DatagramSend(const DatagramSocket& socket, absl::string_view data,
                           const SocketAddress& to) noexcept
    : OperationAwaiter(
          MessageRequest(IoOpcode::kSendMessage, socket.descriptor_, &header_, /*flags=*/0)),
      socket_(socket),
      fd_(socket.descriptor()),
      at_once_(to.family() == Family::kUnix),
      // sendmsg only reads what a message consists of.
      part_{.iov_base = const_cast<char*>(data.data()), .iov_len = data.size()},
      to_(to) {
  header_.msg_iov = &part_;
  header_.msg_iovlen = 1;
  if (to.family() != Family::kNone) {
    header_.msg_name = const_cast<::sockaddr*>(to_.data());
    header_.msg_namelen = static_cast<socklen_t>(to_.size());
  }
}

void DatagramSend::SendAtOnce(const PromiseBase& waiter) noexcept {
  if (waiter.context->stop_requested()) {
    sent_at_once_ = -ECANCELED;
    return;
  }
  // On a pool another thread may close the socket, and a third have its number then.
  const bool duplicates = Worker::Current() != nullptr && Worker::Current()->group() != nullptr;
  const int fd = duplicates ? socket_.descriptor_.Duplicate() : fd_;
  if (fd < 0) {
    sent_at_once_ = fd == -EBADF && fd_ >= 0 && !socket_.is_open() ? -ECANCELED : fd;
    return;
  }
  do {
    sent_at_once_ = sys::Calls().SendMessage(fd, &header_, /*flags=*/0);
  } while (sent_at_once_ == -EINTR);
  if (duplicates) sys::Calls().Close(fd);
}

absl::Status DatagramSend::await_resume() const {
  absl::Status status =
      at_once_ ? ErrnoToStatus(static_cast<int>(std::min<ssize_t>(sent_at_once_, 0)), "sendmsg")
               : TakeResult().status();
  if (status.ok()) return status;
  const SocketAddress& to = to_.family() != Family::kNone ? to_ : socket_.peer_;
  const std::string what = absl::StrCat("send ", part_.iov_len, " bytes to ", to.ToString());
  return fd_ >= 0 ? NameError(status, what) : Closed(what);
}

}  // namespace internal

DatagramSocket::DatagramSocket(io::OwnedDescriptor descriptor)
    : descriptor_(std::move(descriptor)) {
  if (!descriptor_.valid()) return;
  // One that is none has its answer from its first operation.
  sys::Calls().SetNonBlocking(descriptor_.get());
  AskFor(local_, descriptor_.get(), &sys::SystemCalls::SocketName);
  AskFor(peer_, descriptor_.get(), &sys::SystemCalls::PeerName);
}

absl::StatusOr<DatagramSocket> DatagramSocket::Make(const SocketAddress& like,
                                                    const std::string& what,
                                                    const DatagramOptions& options) {
  if (like.family() == Family::kNone) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": this is no address"));
  }
  const int fd = sys::Calls().Socket(like.system_family(), SOCK_DGRAM, 0);
  if (fd < 0) return ErrnoToStatus(fd, what);
  DatagramSocket socket;
  socket.descriptor_ = io::OwnedDescriptor(fd);
  const auto set = [fd](int level, int name, bool on) {
    const int value = on ? 1 : 0;
    return sys::Calls().SetSocketOption(fd, level, name, &value, sizeof(value));
  };
  int result = 0;
  if (options.reuse_address) result = set(SOL_SOCKET, SO_REUSEADDR, true);
  if (result >= 0 && options.reuse_port) result = set(SOL_SOCKET, SO_REUSEPORT, true);
  if (result >= 0 && options.broadcast) result = set(SOL_SOCKET, SO_BROADCAST, true);
  if (result >= 0 && like.family() == Family::kIpv6) {
    result = set(IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only);
  }
  if (result < 0) return ErrnoToStatus(result, what);
  HearOwnGroupsOnly(fd, like.family());
  return socket;
}

absl::StatusOr<DatagramSocket> DatagramSocket::Bind(const SocketAddress& local,
                                                    const DatagramOptions& options) {
  const std::string what = absl::StrCat("bind to ", local.ToString());
  absl::StatusOr<DatagramSocket> socket = Make(local, what, options);
  if (!socket.ok()) return socket;
  const int bound =
      sys::Calls().Bind(socket->descriptor(), local.data(), static_cast<socklen_t>(local.size()));
  if (bound < 0) return ErrnoToStatus(bound, what);
  const int named = AskFor(socket->local_, socket->descriptor(), &sys::SystemCalls::SocketName);
  if (named < 0) return ErrnoToStatus(named, what);
  return socket;
}

absl::StatusOr<DatagramSocket> DatagramSocket::BindAnywhere(Family family,
                                                            const DatagramOptions& options) {
  return Bind(Anywhere(family), options);
}

absl::StatusOr<DatagramSocket> DatagramSocket::Connect(const SocketAddress& peer,
                                                       const DatagramOptions& options) {
  const std::string what = absl::StrCat("connect to ", peer.ToString());
  if (peer.family() == Family::kNone) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": this is no address"));
  }
  const bool chosen = options.local.family() == Family::kNone;
  // To be bound anywhere before it is connected, it would receive from others in between.
  absl::StatusOr<DatagramSocket> socket = !chosen ? Bind(options.local, options)
                                          : peer.family() == Family::kUnix
                                              ? Bind(UnnamedUnix(), options)
                                              : Make(peer, "make a socket", options);
  if (!socket.ok()) {
    return absl::Status(socket.status().code(),
                        absl::StrCat(what, ": ", socket.status().message()));
  }
  const int fd = socket->descriptor();
  const int connected = sys::Calls().Connect(fd, peer.data(), static_cast<socklen_t>(peer.size()));
  if (connected < 0) return ErrnoToStatus(connected, what);
  const int named = AskFor(socket->local_, fd, &sys::SystemCalls::SocketName);
  if (named < 0) return ErrnoToStatus(named, what);
  socket->peer_ = peer;
  return socket;
}

absl::StatusOr<std::pair<DatagramSocket, DatagramSocket>> DatagramSocket::Pair() {
  int fds[2];
  const int made = sys::Calls().SocketPair(AF_UNIX, SOCK_DGRAM, 0, fds);
  if (made < 0) return ErrnoToStatus(made, "make a pair of datagram sockets");
  return std::pair(DatagramSocket(io::OwnedDescriptor(fds[0])),
                   DatagramSocket(io::OwnedDescriptor(fds[1])));
}

Task<absl::Status> DatagramSocket::Close() {
  if (!is_open()) co_return absl::OkStatus();
  const absl::Status closed = co_await descriptor_.Close();
  co_return internal::NameError(closed, absl::StrCat("close ", local_.ToString()));
}

// --- options ---

absl::Status DatagramSocket::SetOption(int level, int name, const void* value, size_t size,
                                       absl::string_view what) const {
  const std::string naming = absl::StrCat("set ", what, " of ", local_.ToString());
  if (!is_open()) return Closed(naming);
  return ErrnoToStatus(
      sys::Calls().SetSocketOption(descriptor(), level, name, value, static_cast<socklen_t>(size)),
      naming);
}

absl::Status DatagramSocket::SetBroadcast(bool on) const {
  return SetFlag(SOL_SOCKET, SO_BROADCAST, on ? 1 : 0, "broadcast");
}

absl::Status DatagramSocket::SetHops(int hops) const {
  return is_ipv6() ? SetFlag(IPPROTO_IPV6, IPV6_UNICAST_HOPS, hops, "the hops")
                   : SetFlag(IPPROTO_IP, IP_TTL, hops, "the hops");
}

absl::Status DatagramSocket::SetReceiveBuffer(int bytes) const {
  return SetFlag(SOL_SOCKET, SO_RCVBUF, bytes, "the receive buffer");
}

absl::Status DatagramSocket::SetSendBuffer(int bytes) const {
  return SetFlag(SOL_SOCKET, SO_SNDBUF, bytes, "the send buffer");
}

absl::Status DatagramSocket::ChangeMembership(bool join, const SocketAddress& group,
                                              absl::string_view interface) const {
  const std::string what =
      absl::StrCat(join ? "join " : "leave ", group.ip().empty() ? group.ToString() : group.ip(),
                   " at ", local_.ToString());
  if (!is_open()) return Closed(what);
  if (!group.is_ip()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": a group has an IP address"));
  }
  const absl::StatusOr<unsigned> index = InterfaceIndex(interface);
  if (!index.ok()) {
    return absl::Status(index.status().code(), absl::StrCat(what, ": ", index.status().message()));
  }
  int result = 0;
  if (group.family() == Family::kIpv4) {
    ::ip_mreqn request{};
    request.imr_multiaddr = reinterpret_cast<const ::sockaddr_in*>(group.data())->sin_addr;
    request.imr_ifindex = static_cast<int>(*index);
    result = sys::Calls().SetSocketOption(descriptor(), IPPROTO_IP,
                                          join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request,
                                          sizeof(request));
  } else {
    ::ipv6_mreq request{};
    request.ipv6mr_multiaddr = reinterpret_cast<const ::sockaddr_in6*>(group.data())->sin6_addr;
    request.ipv6mr_interface = *index != 0 ? *index : group.scope();
    result = sys::Calls().SetSocketOption(descriptor(), IPPROTO_IPV6,
                                          join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request,
                                          sizeof(request));
  }
  if (!join && result == -EADDRNOTAVAIL) {
    return absl::NotFoundError(absl::StrCat(what, ": the socket has not joined it"));
  }
  return ErrnoToStatus(result, what);
}

absl::Status DatagramSocket::JoinGroup(const SocketAddress& group,
                                       absl::string_view interface) const {
  return ChangeMembership(/*join=*/true, group, interface);
}

absl::Status DatagramSocket::LeaveGroup(const SocketAddress& group,
                                        absl::string_view interface) const {
  return ChangeMembership(/*join=*/false, group, interface);
}

absl::Status DatagramSocket::SetGroupInterface(absl::string_view interface) const {
  constexpr absl::string_view kWhat = "the interface for groups";
  const absl::StatusOr<unsigned> index = InterfaceIndex(interface);
  if (!index.ok()) {
    return absl::Status(
        index.status().code(),
        absl::StrCat("set ", kWhat, " of ", local_.ToString(), ": ", index.status().message()));
  }
  if (is_ipv6()) {
    return SetFlag(IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(*index), kWhat);
  }
  ::ip_mreqn request{};
  request.imr_ifindex = static_cast<int>(*index);
  return SetOption(IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof(request), kWhat);
}

absl::Status DatagramSocket::SetGroupHops(int hops) const {
  return is_ipv6() ? SetFlag(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops, "the hops to groups")
                   : SetFlag(IPPROTO_IP, IP_MULTICAST_TTL, hops, "the hops to groups");
}

absl::Status DatagramSocket::SetGroupLoopback(bool on) const {
  return is_ipv6() ? SetFlag(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, on ? 1 : 0, "the groups' loopback")
                   : SetFlag(IPPROTO_IP, IP_MULTICAST_LOOP, on ? 1 : 0, "the groups' loopback");
}

}  // namespace plait
