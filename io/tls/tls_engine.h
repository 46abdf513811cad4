// TlsEngine: the TLS of one connection: bytes in, bytes out, and no I/O. Internal; see
// tls_stream.h for what becomes of it.
//
//   engine.Read(input, into, &count);    // takes from the front of `input`, which the peer sent
//   Send(engine.output());               // which holds what the peer has to get now
//
// It stands on the TLS library's own object, which wants all its calls one after another: whoever
// uses an engine from several tasks locks. Each call may add to output(). After kFailed, error()
// says why, and nothing more comes of it.
#ifndef PLAIT_IO_TLS_TLS_ENGINE_H_
#define PLAIT_IO_TLS_TLS_ENGINE_H_

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/net/byte_buffer.h"
#include "plait/io/tls/tls_bytes.h"
#include "plait/io/tls/tls_context.h"

namespace plait::internal {

class TlsEngine {
 public:
  enum class Step : uint8_t {
    kDone,
    kNeedsInput,  // what the peer sent was not enough
    kEnded,       // the peer says that it sends no more
    kFailed,
  };

  explicit TlsEngine(TlsContext context);
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  // Before the handshake, of a client: whom it wants. `server_name` is a host's name or an IP
  // address; empty only where the context does not verify. InvalidArgument where it is neither.
  absl::Status SetServerName(absl::string_view server_name);

  Step Handshake(absl::string_view& input);
  // After that:
  // What the peer said, up to into.size() bytes. kDone: there are some.
  Step Read(absl::string_view& input, absl::Span<char> into, size_t* count);
  // Has all of `data` in the output, or, with kNeedsInput, the first *count bytes: where it is in
  // the middle of a message of the protocol's own, whose rest it wants first.
  Step Write(absl::string_view& input, absl::string_view data, size_t* count);
  // Says to the peer that nothing more comes.
  Step EndWriting(absl::string_view& input);
  // Has it fail from now on, unless it has.
  void Fail(absl::Status why) {
    if (error_.ok()) error_ = std::move(why);
  }

  // Whether a Read has something to tell without input.
  bool has_pending() const noexcept {
    return !error_.ok() || peer_has_ended() || SSL_has_pending(ssl_.get()) != 0;
  }
  bool peer_has_ended() const noexcept {
    return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }
  ByteBuffer& output() noexcept { return bytes_.output; }
  const absl::Status& error() const noexcept { return error_; }

  // Of a handshake that is done.
  std::string alpn() const;
  const char* version() const noexcept { return SSL_get_version(ssl_.get()); }
  const char* cipher() const noexcept { return SSL_get_cipher_name(ssl_.get()); }
  // Of a server: the name that the client wants. Empty where it names none.
  std::string server_name() const;
  struct FreeCertificate {
    void operator()(X509* certificate) const noexcept { X509_free(certificate); }
  };
  using Certificate = std::unique_ptr<X509, FreeCertificate>;
  Certificate peer_certificate() const { return Certificate(SSL_get_peer_certificate(ssl_.get())); }

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  };

  // Calls the library, which gives a result <= 0 where it did not do it.
  template <class F>
  Step Call(absl::string_view& input, absl::string_view what, absl::StatusCode otherwise, F call);

  const TlsContext context_;
  TlsBytes bytes_;  // has input during a call only
  std::unique_ptr<SSL, FreeSsl> ssl_;
  absl::Status error_;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_TLS_TLS_ENGINE_H_
