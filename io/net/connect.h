// Connect: a Stream to an address, or to a host by its name. (asyncio: open_connection,
// create_connection with happy eyeballs, open_unix_connection.)
//
//   plait::ConnectOptions options;
//   options.timeout = absl::Seconds(5);
//   plait::Stream stream = co_await plait::OrReturn(plait::Connect("example.com:443", options));
//
// A host's addresses are tried as RFC 8305 ("happy eyeballs") says: IPv6 and IPv4 in turns, each
// with a head start of a quarter of a second before the next is tried beside it, or at once when
// one fails. The first connection wins; the others are cancelled and closed before Connect returns.
//
// Errors: a Status that names what was connected to. Unavailable when nobody listens there or the
// network does not lead there, or when as many as it wants wait for a Unix socket's listener
// already (EAGAIN: nothing tells when there is room; try again after a while); DeadlineExceeded at
// the end of the timeout; InvalidArgument for what is no address; NotFound for a name or a Unix
// socket that does not exist; those of Resolver (io/dns). Where several addresses failed, the error
// of each is in the message. Cancellation: absl::CancelledError, with every socket closed; a
// connection that was there first is given. Threads: on an executor with a reactor, to which the
// Stream belongs (see stream.h). Lifetime: arguments are copied, but for the Resolver, which
// outlives the co_await.
#ifndef PLAIT_IO_NET_CONNECT_H_
#define PLAIT_IO_NET_CONNECT_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/io/dns/resolver.h"
#include "plait/io/net/address.h"
#include "plait/io/net/endpoint.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/task/task.h"

namespace plait {

struct ConnectOptions {
  // For all of it: the name's lookup and every attempt. Not negative.
  absl::Duration timeout = absl::InfiniteDuration();
  // The head start of an address before the next one. Infinite: the next is tried only when those
  // before have failed.
  absl::Duration attempt_delay = absl::Milliseconds(250);
  // Where the connection comes from; with port 0 any of its ports. Not set: the system chooses.
  std::optional<SocketAddress> local;
  // Which of a host's addresses are tried.
  AddressFamily family = AddressFamily::kAny;
  // Who is asked for names. Null: one of the system's configuration, made for the occasion.
  Resolver* resolver = nullptr;
  // Small pieces are sent at once, without waiting for more (TCP_NODELAY).
  bool no_delay = true;
};

// co_await: a connection to this very address.
Task<absl::StatusOr<Stream>> Connect(const SocketAddress& address, ConnectOptions options = {});
// To whichever of `addresses` answers first, tried in the order of RFC 8305.
Task<absl::StatusOr<Stream>> Connect(std::vector<SocketAddress> addresses,
                                     ConnectOptions options = {});
// To a host.
Task<absl::StatusOr<Stream>> Connect(Endpoint endpoint, ConnectOptions options = {});
// To what people write: "127.0.0.1:80", "[::1]:80", "unix:/run/service", "example.com:443".
Task<absl::StatusOr<Stream>> Connect(absl::string_view target, ConnectOptions options = {});

}  // namespace plait

#endif  // PLAIT_IO_NET_CONNECT_H_
