// StartTls: a Stream becomes a TlsStream. ConnectTls and OverTls do so from the start. (asyncio:
// start_tls, open_connection(ssl=...), start_server(ssl=...).)
//
//   auto context = co_await plait::OrReturn(plait::TlsContext::Client());
//   plait::TlsStream stream = co_await plait::OrReturn(
//       plait::ConnectTls("example.com:443", context));
//
//   plait::Task<absl::Status> Echo(plait::TlsStream stream) { ... }
//   co_await plait::Serve(std::move(listener), plait::OverTls(server_context, Echo));
//
//   co_await plait::OrReturn(stream.Write("STARTTLS\r\n"));       // SMTP, IMAP, ...
//   co_await plait::OrReturn(stream.ReadLine());
//   plait::TlsStream secure = co_await plait::OrReturn(
//       plait::StartTls(std::move(stream), context, "mail.example.com"));
//
// What the stream has read ahead by then is taken for the beginning of the peer's handshake, and
// never for text: what somebody has slipped in behind a plain "STARTTLS" makes the handshake fail,
// and does not come out as if it had been encrypted. What it has accepted to be sent goes first.
//
// Errors: the Status names the peer. Unauthenticated where the peer's certificate is refused (it is
// not for that name, has expired, nobody who is trusted vouches for it, ...), or the peer refuses
// this side's; FailedPrecondition where the peer speaks no TLS, or the two cannot agree;
// Unavailable where the peer goes away meanwhile; DeadlineExceeded at the end of the timeout;
// InvalidArgument for a name that is none. Where it fails the connection is closed, and the peer
// told why, as far as that needs no waiting. Cancellation: absl::CancelledError, and the connection
// is closed. Threads: on the executor to which the Stream belongs. Nobody else uses the Stream by
// then. Lifetime: arguments are copied. A Server still counts the connection as its own. Cost: the
// handshake's arithmetic runs on the task's thread, in one or two pieces in which nothing else
// does; keys of elliptic curves take a server less than RSA's.
#ifndef PLAIT_IO_TLS_START_TLS_H_
#define PLAIT_IO_TLS_START_TLS_H_

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/stream.h"
#include "plait/io/tls/tls_context.h"
#include "plait/io/tls/tls_stream.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/task.h"

namespace plait {

struct TlsOptions {
  // For the handshake. Not negative. A peer that says nothing is not waited for for ever.
  absl::Duration handshake_timeout = absl::Seconds(60);
};

// co_await: the handshake, as a client or as a server, which the context says. `server_name` is who
// a client's peer has to be, a host's name or an IP address: needed, unless the context does not
// verify. A server has none.
Task<absl::StatusOr<TlsStream>> StartTls(Stream stream, TlsContext context,
                                         std::string server_name = {}, TlsOptions options = {});

// co_await: connects, and then does the handshake with the target's host, by its name or address.
// The target is as for Connect; to one that stands for another go by Connect and StartTls.
Task<absl::StatusOr<TlsStream>> ConnectTls(std::string target, TlsContext context,
                                           ConnectOptions connect = {}, TlsOptions options = {});

namespace internal {

template <class F>
concept HandlesTlsConnections =
    std::same_as<std::invoke_result_t<F&, TlsStream>, Task<absl::Status>> ||
    std::same_as<std::invoke_result_t<F&, TlsStream>, Task<void>>;

template <class F>
Task<absl::Status> HandleOverTls(Stream stream, TlsContext context, TlsOptions options,
                                 F& handler) {
  TlsStream secure =
      co_await OrReturn(StartTls(std::move(stream), std::move(context), std::string(), options));
  if constexpr (std::same_as<std::invoke_result_t<F&, TlsStream>, Task<void>>) {
    co_await handler(std::move(secure));
    co_return absl::OkStatus();
  } else {
    co_return co_await handler(std::move(secure));
  }
}

}  // namespace internal

// For Serve and Server: a handler of Streams out of one of TlsStreams. A handshake that fails is
// the connection's error, and told to ServerOptions::on_error.
template <internal::HandlesTlsConnections F>
auto OverTls(TlsContext context, F handler, TlsOptions options = {}) {
  return
      [context = std::move(context), handler = std::move(handler), options](Stream stream) mutable {
        return internal::HandleOverTls(std::move(stream), context, options, handler);
      };
}

}  // namespace plait

#endif  // PLAIT_IO_TLS_START_TLS_H_
