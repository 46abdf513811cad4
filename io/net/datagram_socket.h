// DatagramSocket: messages that are sent and received whole: UDP over IPv4 and IPv6, and Unix
// datagrams.
//
//   plait::DatagramSocket socket = co_await plait::OrReturn(
//       plait::DatagramSocket::Bind(plait::SocketAddress::Loopback(5353)));
//   char buffer[2048];
//   plait::ReceivedDatagram got =
//       co_await plait::OrReturn(socket.ReceiveFrom(absl::MakeSpan(buffer)));
//   co_await plait::OrReturn(socket.SendTo(absl::string_view(buffer, got.size), got.from));
//
// UDP may lose a datagram, change the order and, rarely, double one; sent means that the system has
// taken it. Unix datagrams arrive, in order, or the send says why not. An empty datagram is a
// datagram: there is no end of the stream.
//
// Threads: a socket belongs to the loop that first awaits it; making one, its options and its
// addresses may be asked for on any thread, one at a time. Any number of tasks of that loop may
// send and receive at once; receives are served in order, though who was served second may go on
// first. Lifetime: the socket and the memory of an operation outlive its co_await, and the socket
// is not moved meanwhile; it may be closed, which ends what is pending with absl::CancelledError.
// Drop it on a thread of the executor that used it, or when that is gone (io::OwnedDescriptor).
//
// Cancellation: absl::CancelledError; a datagram that had been taken by then is given, so none is
// lost by it. Errors: a Status that names the operation and the peer, or the own address. An answer
// that nobody is there (ECONNREFUSED) comes as Unavailable, to whichever operation of a connected
// socket is next; the socket goes on. A UDP socket that is not connected never hears of it. A
// datagram that is too long to be sent (65,507 bytes over IPv4 at the most) is InvalidArgument. A
// closed socket is FailedPrecondition. Cost: sending and receiving allocate nothing and make no
// coroutine.
#ifndef PLAIT_IO_NET_DATAGRAM_SOCKET_H_
#define PLAIT_IO_NET_DATAGRAM_SOCKET_H_

#include <sys/socket.h>
#include <sys/uio.h>

#include <coroutine>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/net/address.h"
#include "plait/io/ops/operations.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/task.h"

namespace plait {

class DatagramSocket;

struct ReceivedDatagram {
  size_t size = 0;         // the bytes at the beginning of the buffer that it fills
  size_t full_size = 0;    // of the datagram, as it was sent
  bool truncated = false;  // there was no room for all of it, and the rest is gone
  // Who sent it. A Unix socket that is bound to nothing has an empty path, and cannot be answered.
  SocketAddress from;
};

struct DatagramOptions {
  // Connect only: where it sends from. No address: the system chooses; a Unix socket gets an
  // abstract name, so that it can be answered.
  SocketAddress local;
  // Other sockets may have the same address and port, if they say so, too: each gets what is sent
  // to a multicast group or broadcast, one gets what is sent to the address.
  bool reuse_address = false;
  // Other sockets of the same user, too; the system spreads what comes among them.
  bool reuse_port = false;
  // May send to broadcast addresses, which is PermissionDenied otherwise. IPv4.
  bool broadcast = false;
  // IPv6 only: it takes no IPv4. Otherwise one that is bound to AnyIpv6 does, and IPv4 peers have
  // addresses such as [::ffff:192.0.2.1]:53.
  bool ipv6_only = false;
};

namespace internal {

class [[nodiscard]] DatagramReceive final : public io::internal::OperationAwaiter {
 public:
  DatagramReceive(const DatagramSocket& socket, absl::Span<char> into, bool ask_from) noexcept;
  absl::StatusOr<ReceivedDatagram> await_resume();

 private:
  const DatagramSocket& socket_;
  const bool open_;
  ::iovec part_;
  ::msghdr header_{};
  SocketAddress from_;
};

class [[nodiscard]] DatagramReceiveAwaitable {
 public:
  DatagramReceiveAwaitable(const DatagramSocket& socket, absl::Span<char> into,
                           bool ask_from) noexcept
      : socket_(socket), into_(into), ask_from_(ask_from) {}
  DatagramReceive operator co_await() const noexcept {
    return DatagramReceive(socket_, into_, ask_from_);
  }

 private:
  const DatagramSocket& socket_;
  absl::Span<char> into_;
  bool ask_from_;
};

class [[nodiscard]] DatagramSend final : public io::internal::OperationAwaiter {
 public:
  // To the peer that the socket is connected to where `to` is no address.
  DatagramSend(const DatagramSocket& socket, absl::string_view data,
               const SocketAddress& to) noexcept;
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    if (!at_once_) return OperationAwaiter::await_suspend(waiter);
    SendAtOnce(waiter.promise());
    if (sent_at_once_ != -ECANCELED) return SpendOrYield(waiter.promise());
    waiter.promise().ScheduleLast();  // a loop that ignores it lets others have their turn
    return true;
  }
  absl::Status await_resume() const;
  // For OrReturn.
  bool await_failed() const noexcept {
    return at_once_ ? sent_at_once_ < 0 : OperationAwaiter::await_failed();
  }

 private:
  void SendAtOnce(const PromiseBase& waiter) noexcept;

  const DatagramSocket& socket_;
  const int fd_;
  // The system tells nobody when a Unix socket that one is not connected to has room again.
  const bool at_once_;
  ssize_t sent_at_once_ = 0;  // or -errno
  ::iovec part_;
  ::msghdr header_{};
  SocketAddress to_;
};

class [[nodiscard]] DatagramSendAwaitable {
 public:
  DatagramSendAwaitable(const DatagramSocket& socket, absl::string_view data,
                        const SocketAddress& to) noexcept
      : socket_(socket), data_(data), to_(to) {}
  DatagramSend operator co_await() const noexcept { return DatagramSend(socket_, data_, to_); }

 private:
  const DatagramSocket& socket_;
  absl::string_view data_;
  SocketAddress to_;
};

}  // namespace internal

class DatagramSocket {
 public:
  // One that is closed.
  DatagramSocket() = default;
  // Takes a datagram socket, which it makes non-blocking.
  explicit DatagramSocket(io::OwnedDescriptor descriptor);

  // One that receives at `local`; port 0 lets the system choose. FailedPrecondition when the
  // address is in use, Unavailable when it is none of this machine, PermissionDenied when it may
  // not be had. A Unix path is a file, which stays there when the socket is closed and which keeps
  // others from binding to it; remove it with io::Unlink.
  static absl::StatusOr<DatagramSocket> Bind(const SocketAddress& local,
                                             const DatagramOptions& options = {});
  // One that receives at an address that the system chooses: of all that the machine has, with a
  // free port; an abstract name for Unix sockets.
  static absl::StatusOr<DatagramSocket> BindAnywhere(SocketAddress::Family family,
                                                     const DatagramOptions& options = {});
  // One that sends to `peer` and receives from nobody else. Nothing is sent by that, so a UDP peer
  // that does not exist is found out later, if ever; a Unix one at once (NotFound, Unavailable).
  static absl::StatusOr<DatagramSocket> Connect(const SocketAddress& peer,
                                                const DatagramOptions& options = {});
  // Two Unix sockets that are connected to each other.
  static absl::StatusOr<std::pair<DatagramSocket, DatagramSocket>> Pair();

  // co_await StatusOr<ReceivedDatagram>: the next datagram. What of it finds no room in `into` is
  // lost, and `truncated` says so; the next one is not touched by that.
  internal::DatagramReceiveAwaitable ReceiveFrom(absl::Span<char> into) const {
    return internal::DatagramReceiveAwaitable(*this, into, /*ask_from=*/true);
  }
  // The same for a connected socket, where `from` is the peer without asking.
  internal::DatagramReceiveAwaitable Receive(absl::Span<char> into) const {
    return internal::DatagramReceiveAwaitable(*this, into, /*ask_from=*/false);
  }

  // co_await Status: sends `data` as one datagram. Waits for room where the system's memory for the
  // socket is full; but a Unix receiver that is full, and not the one that the socket is connected
  // to, is Unavailable at once, as the system has no way to wait for that.
  internal::DatagramSendAwaitable SendTo(absl::string_view data, const SocketAddress& to) const {
    return internal::DatagramSendAwaitable(*this, data, to);
  }
  // To the peer; InvalidArgument where the socket is not connected.
  internal::DatagramSendAwaitable Send(absl::string_view data) const {
    return internal::DatagramSendAwaitable(*this, data, SocketAddress());
  }

  // --- options; InvalidArgument or Unimplemented where the family has none such ---

  absl::Status SetBroadcast(bool on) const;
  // How many routers a datagram may pass: 1 to 255.
  absl::Status SetHops(int hops) const;
  // How large the system's memory for datagrams that were not received, or sent, may become. It
  // counts more than their bytes, and has a bound of its own.
  absl::Status SetReceiveBuffer(int bytes) const;
  absl::Status SetSendBuffer(int bytes) const;

  // Receives also what is sent to `group`, at the port that the socket is bound to, on one of the
  // machine's interfaces ("eth0"); empty: the system chooses, or for IPv6 the scope of `group`.
  // NotFound when there is no such interface, and for leaving a group that it has not joined;
  // FailedPrecondition when it has joined already.
  // Leaving, and closing the socket, ends it.
  absl::Status JoinGroup(const SocketAddress& group, absl::string_view interface = {}) const;
  absl::Status LeaveGroup(const SocketAddress& group, absl::string_view interface = {}) const;
  // Where what is sent to groups goes out; 0 to 255 hops, 1 at first; whether members on this
  // machine get it, too, as they do at first.
  absl::Status SetGroupInterface(absl::string_view interface) const;
  absl::Status SetGroupHops(int hops) const;
  absl::Status SetGroupLoopback(bool on) const;

  // --- what it is ---

  bool is_open() const noexcept { return descriptor_.valid(); }
  // -1 when it is closed. For options and inspection.
  int descriptor() const noexcept { return descriptor_.get(); }
  // Where it receives; kept when it is closed.
  const SocketAddress& local_address() const noexcept { return local_; }
  // Whom it is connected to, or no address.
  const SocketAddress& peer_address() const noexcept { return peer_; }

  // co_await: ends what is pending with absl::CancelledError, and closes. Again does nothing.
  Task<absl::Status> Close();

 private:
  friend class internal::DatagramReceive;
  friend class internal::DatagramSend;

  static absl::StatusOr<DatagramSocket> Make(const SocketAddress& like, const std::string& what,
                                             const DatagramOptions& options);
  // "set the hops of 127.0.0.1:53" and so on are what errors say.
  absl::Status SetOption(int level, int name, const void* value, size_t size,
                         absl::string_view what) const;
  absl::Status SetFlag(int level, int name, int value, absl::string_view what) const {
    return SetOption(level, name, &value, sizeof(value), what);
  }
  absl::Status ChangeMembership(bool join, const SocketAddress& group,
                                absl::string_view interface) const;
  bool is_ipv6() const noexcept { return local_.family() == SocketAddress::Family::kIpv6; }

  io::OwnedDescriptor descriptor_;
  SocketAddress local_;
  SocketAddress peer_;
};

}  // namespace plait

#endif  // PLAIT_IO_NET_DATAGRAM_SOCKET_H_
