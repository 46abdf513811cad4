#include "plait/io/tls/start_tls.h"

#include <memory>

#include "plait/io/net/endpoint.h"
#include "plait/runtime/time/timeout.h"

namespace plait {

using internal::TlsState;

Task<absl::StatusOr<TlsStream>> StartTls(Stream stream, TlsContext context, std::string server_name,
                                         TlsOptions options) {
  if (!stream.is_open()) co_return internal::StreamIsClosed("TLS handshake");
  if (context.is_server()) server_name.clear();
  auto state = std::make_shared<TlsState>(std::move(stream.state_), std::move(context));
  TlsStream secure(state);  // it closes the connection where this fails
  const absl::Status done = co_await Timeout(
      options.handshake_timeout, TlsState::Handshake(std::move(state), std::move(server_name)));
  if (!done.ok()) co_return done;
  co_return std::move(secure);
}

Task<absl::StatusOr<TlsStream>> ConnectTls(std::string target, TlsContext context,
                                           ConnectOptions connect, TlsOptions options) {
  Stream stream = co_await OrReturn(Connect(absl::string_view(target), std::move(connect)));
  const absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(target);
  std::string server_name = endpoint.ok() ? endpoint->host : std::string();
  co_return co_await StartTls(std::move(stream), std::move(context), std::move(server_name),
                              options);
}

}  // namespace plait
