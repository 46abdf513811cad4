// Listener: a socket that connections come in on. (asyncio: the sockets of create_server and
// create_unix_server.)
//
//   plait::Listener listener = co_await plait::OrReturn(plait::Listen("127.0.0.1:8080"));
//   for (;;) {
//     plait::Stream stream = co_await plait::OrReturn(listener.Accept());
//     ...
//   }
//
// Most programs hand it to Serve (server.h), which runs a task for each connection.
//
// Out of descriptors. When the system has no descriptor or no memory for a connection, Accept
// neither gives up nor goes round in circles: the connection stays where it is, in the system's
// queue, and Accept tries again ten times a second until there is room. What is wrong with a single
// connection is passed over; one whose peer went away again before it was accepted may be, too.
//
// Threads: a Listener belongs to the executor on which it accepts. Where that has several threads,
// Accept and Close may be called on any of them, and the connections are at home with each in turn
// (see stream.h). To have several executors share the work make one for each, with `reuse_port`, or
// hand its Streams over before they are used.
// Lifetime: may be moved, closed or dropped while an Accept waits, which then ends with
// absl::CancelledError; drop it on that thread, or when its executor is gone.
#ifndef PLAIT_IO_NET_LISTENER_H_
#define PLAIT_IO_NET_LISTENER_H_

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/io/net/accept_shots.h"
#include "plait/io/net/address.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/task/task.h"

namespace plait {

struct ListenOptions {
  // How many connections may wait for an Accept, at least 1; the system has a limit of its own
  // (net.core.somaxconn).
  int backlog = 4096;
  // A server that starts again gets its port at once, although connections of the one before
  // linger (SO_REUSEADDR).
  bool reuse_address = true;
  // Several listeners share the address, one a thread say, and the system deals the connections
  // out (SO_REUSEPORT).
  bool reuse_port = false;
  // An IPv6 address is for IPv6 only; otherwise [::] takes IPv4 too.
  bool ipv6_only = false;
  // Small pieces are sent at once, without waiting for more (TCP_NODELAY): for the connections.
  bool no_delay = true;
  // A Unix socket's file on which nobody listens any more, as a server that was killed leaves it,
  // is replaced. One on which somebody does, or that is no socket, is not.
  bool replace_stale_path = true;
  // Closing removes the file of a Unix socket, if it still is this one's.
  bool remove_path = true;
};

class Listener {
 public:
  // One that is closed.
  Listener() = default;
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&& other) noexcept {
    Listener taken(std::move(other));
    std::swap(state_, taken.state_);
    return *this;
  }
  ~Listener();

  // co_await: the next connection. Those that wait side by side are served in their order.
  // FailedPrecondition when it is closed. Cancellation: absl::CancelledError; no connection is
  // lost.
  Task<absl::StatusOr<Stream>> Accept() { return AcceptOn(state_, nullptr, nullptr); }

  // co_await: ends what waits with absl::CancelledError, and closes. Connections that nobody has
  // accepted yet are reset by the system. Closing again does nothing.
  Task<absl::Status> Close();

  // Where it listens: with the port that the system chose, where it was asked to. No address when
  // it was moved from.
  SocketAddress local_address() const;
  bool is_open() const noexcept;
  // -1 when it is closed. For options and inspection.
  int descriptor() const noexcept;

 private:
  friend class Server;
  friend absl::StatusOr<Listener> Listen(const SocketAddress& address, ListenOptions options);
  struct State;
  using StateRef = std::shared_ptr<State>;
  // Told of what makes Accept wait, once for each time that it begins to, and of a connection that
  // was dropped as its peer could not be asked for, where nothing waits.
  using ErrorHandler = std::function<void(const absl::Status&)>;

  // Another hold on the same socket; closing either closes it.
  Listener Share() const { return Listener(state_); }

  explicit Listener(StateRef state) noexcept : state_(std::move(state)) {}
  // By `shots`, where it is not null and when that pays: for a caller that takes all that comes.
  static Task<absl::StatusOr<Stream>> AcceptOn(StateRef state, const ErrorHandler* on_error,
                                               internal::AcceptShots* shots);
  static internal::AcceptShots ShotsOf(const StateRef& state);
  // Set when it is closed.
  static Event& ClosedOf(const StateRef& state);
  static Task<absl::Status> CloseState(StateRef state);

  StateRef state_;
};

// A socket that listens on `address`; port 0 lets the system choose. Any thread; does not wait.
// FailedPrecondition (EADDRINUSE) when somebody has the address, Unavailable (EADDRNOTAVAIL) when
// it is none of this machine's, PermissionDenied and so on; each names the address.
absl::StatusOr<Listener> Listen(const SocketAddress& address, ListenOptions options = {});
// As SocketAddress::Parse takes it: "127.0.0.1:8080", "[::]:0", "unix:/run/service".
// InvalidArgument for what is no address, and for names of hosts.
absl::StatusOr<Listener> Listen(absl::string_view address, ListenOptions options = {});

}  // namespace plait

#endif  // PLAIT_IO_NET_LISTENER_H_
