#include "plait/io/tls/tls_engine.h"

#include <arpa/inet.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plait/io/tls/tls_context_state.h"
#include "plait/io/tls/tls_error.h"

namespace plait::internal {
namespace {

bool IsIpAddress(const std::string& text) {
  in6_addr room{};
  return ::inet_pton(AF_INET, text.c_str(), &room) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), &room) == 1;
}

}  // namespace

TlsEngine::TlsEngine(TlsContext context)
    : context_(std::move(context)), ssl_(SSL_new(context_.state().context.get())) {
  BIO* const bio = BIO_new(context_.state().bytes_method.get());
  if (ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    error_ = absl::ResourceExhaustedError("TLS: the library has no memory for a connection");
    return;
  }
  BIO_set_data(bio, &bytes_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // which has the one hold on it now
  if (context_.is_server()) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

absl::Status TlsEngine::SetServerName(absl::string_view server_name) {
  if (!error_.ok()) return error_;
  // A name may end with the root's dot, which no certificate has.
  const std::string name(absl::StripSuffix(server_name, "."));
  if (name.empty()) {
    if (!context_.state().verifies) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "TLS: whose certificate is to be verified is not said (server_name)");
  }
  X509_VERIFY_PARAM* const verify = SSL_get0_param(ssl_.get());
  bool set = false;
  if (IsIpAddress(name)) {
    set = X509_VERIFY_PARAM_set1_ip_asc(verify, name.c_str()) == 1;
  } else if (name.front() != '.' && !absl::StrContains(name, '\0')) {
    // With a dot in front the library would take any host below.
    X509_VERIFY_PARAM_set_hostflags(
        verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    set = X509_VERIFY_PARAM_set1_host(verify, name.data(), name.size()) == 1 &&
          SSL_set_tlsext_host_name(ssl_.get(), name.c_str()) == 1;
  }
  ClearTlsErrors();
  if (set) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("TLS: \"", server_name, "\" is neither a host's name nor an IP address"));
}

template <class F>
TlsEngine::Step TlsEngine::Call(absl::string_view& input, absl::string_view what,
                                absl::StatusCode otherwise, F call) {
  if (!error_.ok()) return Step::kFailed;
  ClearTlsErrors();
  bytes_.input = input;
  const int result = call(ssl_.get());
  input = std::exchange(bytes_.input, {});
  if (result > 0) return Step::kDone;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Step::kNeedsInput;
    case SSL_ERROR_ZERO_RETURN:
      return Step::kEnded;
    default:
      error_ = TakeTlsError(what, SSL_get_verify_result(ssl_.get()), otherwise);
      return Step::kFailed;
  }
}

TlsEngine::Step TlsEngine::Handshake(absl::string_view& input) {
  return Call(input, "TLS handshake", absl::StatusCode::kFailedPrecondition,
              [](SSL* ssl) { return SSL_do_handshake(ssl); });
}

TlsEngine::Step TlsEngine::Read(absl::string_view& input, absl::Span<char> into, size_t* count) {
  *count = 0;
  Step step = Step::kDone;
  while (*count < into.size()) {
    const absl::Span<char> rest = into.subspan(*count);
    int came = 0;
    step = Call(input, "TLS: what came is no good", absl::StatusCode::kDataLoss, [&](SSL* ssl) {
      came = SSL_read(ssl, rest.data(), static_cast<int>(std::min<size_t>(rest.size(), 1 << 30)));
      return came;
    });
    if (step != Step::kDone) break;
    *count += static_cast<size_t>(came);
  }
  // The rest, if only an end, is found again by the next.
  return *count > 0 ? Step::kDone : step;
}

TlsEngine::Step TlsEngine::Write(absl::string_view& input, absl::string_view data, size_t* count) {
  *count = 0;
  while (*count < data.size()) {
    const absl::string_view rest = data.substr(*count);
    int taken = 0;
    const Step step = Call(input, "TLS", absl::StatusCode::kDataLoss, [&](SSL* ssl) {
      taken = SSL_write(ssl, rest.data(), static_cast<int>(std::min<size_t>(rest.size(), 1 << 30)));
      return taken;
    });
    if (step != Step::kDone) return step;
    *count += static_cast<size_t>(taken);
  }
  return Step::kDone;
}

TlsEngine::Step TlsEngine::EndWriting(absl::string_view& input) {
  // A message of the protocol's own that has begun is in its way.
  if (error_.ok() && SSL_in_init(ssl_.get())) {
    const Step step = Handshake(input);
    if (step != Step::kDone) return step;
  }
  // 0: it was said, and the peer has not said it yet.
  return Call(input, "TLS", absl::StatusCode::kDataLoss,
              [](SSL* ssl) { return SSL_shutdown(ssl) >= 0 ? 1 : -1; });
}

std::string TlsEngine::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return std::string(reinterpret_cast<const char*>(name), size);
}

std::string TlsEngine::server_name() const {
  const char* const name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string() : name;
}

}  // namespace plait::internal
