#include "plait/io/tls/tls_context.h"

#include <fcntl.h>
#include <openssl/ssl.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/file_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/io/tls/tls_bytes.h"
#include "plait/io/tls/tls_context_state.h"
#include "plait/io/tls/tls_error.h"

namespace plait {
namespace {

using internal::ClearTlsErrors;
using internal::TakeTlsFileError;
using internal::TlsContextState;

// The library would ask at the terminal, and wait there.
int NoPassword(char*, int, int, void*) { return 0; }

int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* size,
                   const unsigned char* offered, unsigned offered_size, void* ours) {
  const std::string& alpn = *static_cast<const std::string*>(ours);
  unsigned char* found = nullptr;
  const int result =
      SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(alpn.data()),
                            static_cast<unsigned>(alpn.size()), offered, offered_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

absl::Status MakeAlpn(const std::vector<std::string>& names, std::string& alpn) {
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) {
      return absl::InvalidArgumentError(
          absl::StrCat("TLS: the name of a protocol (ALPN) has 1 to 255 bytes, and not ",
                       name.size(), ": \"", name, "\""));
    }
    alpn.push_back(static_cast<char>(static_cast<uint8_t>(name.size())));
    alpn += name;
  }
  if (alpn.size() > 65'535) {
    return absl::InvalidArgumentError("TLS: the names of protocols (ALPN) have over 65,535 bytes");
  }
  return absl::OkStatus();
}

absl::Status LoadCertificate(SSL_CTX* context, const std::string& chain, const std::string& key) {
  ClearTlsErrors();
  if (SSL_CTX_use_certificate_chain_file(context, chain.c_str()) != 1) {
    return TakeTlsFileError(absl::StrCat("TLS: the certificates in \"", chain, "\""));
  }
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return TakeTlsFileError(absl::StrCat("TLS: the private key in \"", key, "\""));
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return TakeTlsFileError(absl::StrCat("TLS: the private key in \"", key,
                                         "\" and the certificate in \"", chain, "\""));
  }
  return absl::OkStatus();
}

// The library takes any name, and would find nobody there.
absl::Status CheckDirectory(const std::string& path) {
  sys::RawFileStatus raw;
  const int result = sys::Calls().Status(AT_FDCWD, path.c_str(), 0, &raw);
  const std::string what = absl::StrCat("TLS: the trusted certificates in \"", path, "\"");
  if (result < 0) return plait::ErrnoToStatus(result, what);
  if (sys::Decode(raw).kind == FileKind::kDirectory) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, ": it is no directory"));
}

absl::Status LoadTrusted(SSL_CTX* context, const std::string& file, const std::string& directory) {
  ClearTlsErrors();
  if (!file.empty() && SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) != 1) {
    return TakeTlsFileError(absl::StrCat("TLS: the trusted certificates in \"", file, "\""));
  }
  if (!directory.empty()) {
    absl::Status checked = CheckDirectory(directory);
    if (!checked.ok()) return checked;
  }
  if (!directory.empty() &&
      SSL_CTX_load_verify_locations(context, nullptr, directory.c_str()) != 1) {
    return TakeTlsFileError(absl::StrCat("TLS: the trusted certificates in \"", directory, "\""));
  }
  if (file.empty() && directory.empty() && SSL_CTX_set_default_verify_paths(context) != 1) {
    return TakeTlsFileError("TLS: the certificates that the system trusts");
  }
  return absl::OkStatus();
}

std::shared_ptr<TlsContextState> NewState(const SSL_METHOD* method, TlsVersion least) {
  auto state = std::make_shared<TlsContextState>();
  state->context.reset(SSL_CTX_new(method));
  state->bytes_method.reset(internal::TlsBytes::NewMethod());
  SSL_CTX* const context = state->context.get();
  if (context == nullptr || state->bytes_method == nullptr) return nullptr;
  const int version = least == TlsVersion::k13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(context, version) != 1) return nullptr;
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // A connection on which nothing is happening has no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // What there is to remember is in tickets.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_default_passwd_cb(context, &NoPassword);
  return state;
}

absl::Status NoContext() {
  return absl::ResourceExhaustedError(
      "TLS: the library has no memory for a context, or does not speak the least version");
}

}  // namespace

absl::StatusOr<TlsContext> TlsContext::Client(const TlsClientOptions& options) {
  const std::shared_ptr<TlsContextState> state =
      NewState(TLS_client_method(), options.least_version);
  if (state == nullptr) return NoContext();
  SSL_CTX* const context = state->context.get();
  state->verifies = options.verify;
  absl::Status status;
  if (options.verify) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    status = LoadTrusted(context, options.ca_file, options.ca_directory);
  }
  if (status.ok() && options.certificate_chain_file.empty() != options.private_key_file.empty()) {
    status = absl::InvalidArgumentError(
        "TLS: a certificate and its private key go together, and one of them was given");
  }
  if (status.ok() && !options.certificate_chain_file.empty()) {
    status = LoadCertificate(context, options.certificate_chain_file, options.private_key_file);
  }
  if (status.ok()) status = MakeAlpn(options.alpn, state->alpn);
  if (!status.ok()) return status;
  // 0 is success. To the library, here and below, characters are unsigned.
  if (!state->alpn.empty() &&
      SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(state->alpn.data()),
                              static_cast<unsigned>(state->alpn.size())) != 0) {
    return absl::ResourceExhaustedError("TLS: the library has no memory for the protocols' names");
  }
  return TlsContext(state);
}

absl::StatusOr<TlsContext> TlsContext::Server(const TlsServerOptions& options) {
  const std::shared_ptr<TlsContextState> state =
      NewState(TLS_server_method(), options.least_version);
  if (state == nullptr) return NoContext();
  SSL_CTX* const context = state->context.get();
  state->is_server = true;
  if (options.certificate_chain_file.empty() || options.private_key_file.empty()) {
    return absl::InvalidArgumentError("TLS: a server needs a certificate and its private key");
  }
  const bool vouched_for = !options.ca_file.empty() || !options.ca_directory.empty();
  if (options.verify_clients && !vouched_for) {
    // Anybody can have one of those whom a system trusts.
    return absl::InvalidArgumentError("TLS: verify_clients needs to know who vouches for them");
  }
  if (!options.verify_clients && vouched_for) {
    return absl::InvalidArgumentError(
        "TLS: who vouches for clients (ca_file, ca_directory) is for verify_clients, which is not "
        "set");
  }
  absl::Status status =
      LoadCertificate(context, options.certificate_chain_file, options.private_key_file);
  if (status.ok() && options.verify_clients) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    status = LoadTrusted(context, options.ca_file, options.ca_directory);
    if (status.ok() && !options.ca_file.empty()) {
      // By which a client knows what to show.
      SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options.ca_file.c_str()));
    }
  }
  if (status.ok()) status = MakeAlpn(options.alpn, state->alpn);
  if (!status.ok()) return status;
  if (!state->alpn.empty()) SSL_CTX_set_alpn_select_cb(context, &ChooseProtocol, &state->alpn);
  // Tickets are for this program's own purpose, which the library wants named.
  constexpr absl::string_view kPurpose = "plait";
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kPurpose.data()),
                                 static_cast<unsigned>(kPurpose.size()));
  return TlsContext(state);
}

bool TlsContext::is_server() const noexcept { return state_->is_server; }

}  // namespace plait
