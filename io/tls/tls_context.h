// TlsContext: what the TLS connections of a program have in common: who is trusted, and as whom it
// shows itself. (asyncio: ssl.SSLContext.)
//
//   TlsContext client = co_await plait::OrReturn(plait::TlsContext::Client());
//   TlsContext server = co_await plait::OrReturn(plait::TlsContext::Server(
//       {.certificate_chain_file = "server.pem", .private_key_file = "server.key"}));
//
// Make it once, and start_tls.h makes connections with it. TLS 1.2 and 1.3 are spoken, no
// renegotiation, no compression. A client verifies its peer's certificate and that it is the
// peer's whose name or address was asked for (its subject alternative names; the common name counts
// for nothing), unless it is told not to. A server gives tickets, with which clients of others
// begin again for less.
//
// Threads: any number may use one at once; it does not change. Copies are the same one, and a
// connection has one for itself, so it need not outlive them.
// Errors: InvalidArgument, NotFound, PermissionDenied and so on, which name the file, and say what
// the TLS library (OpenSSL, or BoringSSL) has against it. A key that needs a password is refused.
// Cost: files are read, so not on a thread that must not block. Certificates in a `ca_directory`,
// or the system's, are read when a peer's certificate needs them, on the connection's thread.
#ifndef PLAIT_IO_TLS_TLS_CONTEXT_H_
#define PLAIT_IO_TLS_TLS_CONTEXT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace plait {

namespace internal {
struct TlsContextState;
}  // namespace internal

enum class TlsVersion { k12, k13 };

struct TlsClientOptions {
  // Who may vouch for servers: a file of certificates (PEM), a directory of them that was prepared
  // by `openssl rehash`, or both. Neither: whom the system trusts.
  std::string ca_file = {};
  std::string ca_directory = {};
  // Without, whoever stands in between can read and write everything. For tests.
  bool verify = true;
  // What the client shows of itself to servers that ask (PEM): its certificate, followed by those
  // up to one that servers know; and its key. Both or neither.
  std::string certificate_chain_file = {};
  std::string private_key_file = {};
  // The application protocols that it speaks, the best first, as "h2", "http/1.1" (ALPN). Which one
  // was agreed on the TlsStream says; none, if the server knows nothing of such.
  std::vector<std::string> alpn = {};
  TlsVersion least_version = TlsVersion::k12;
};

struct TlsServerOptions {
  // As for a client, but needed.
  std::string certificate_chain_file = {};
  std::string private_key_file = {};
  // Clients have to show a certificate for which one of these vouches. All or nothing of it.
  bool verify_clients = false;
  std::string ca_file = {};
  std::string ca_directory = {};
  // The best first, which the server decides. A client that names protocols, and none of these, is
  // refused.
  std::vector<std::string> alpn = {};
  TlsVersion least_version = TlsVersion::k12;
};

class TlsContext {
 public:
  static absl::StatusOr<TlsContext> Client(const TlsClientOptions& options = {});
  static absl::StatusOr<TlsContext> Server(const TlsServerOptions& options);

  bool is_server() const noexcept;

  // For StartTls.
  const internal::TlsContextState& state() const noexcept { return *state_; }

 private:
  explicit TlsContext(std::shared_ptr<const internal::TlsContextState> state) noexcept
      : state_(std::move(state)) {}

  std::shared_ptr<const internal::TlsContextState> state_;
};

}  // namespace plait

#endif  // PLAIT_IO_TLS_TLS_CONTEXT_H_
