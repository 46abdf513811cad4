// TlsContextState: what a TlsContext is made of. Internal.
#ifndef PLAIT_IO_TLS_TLS_CONTEXT_STATE_H_
#define PLAIT_IO_TLS_TLS_CONTEXT_STATE_H_

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace plait::internal {

struct TlsContextState {
  struct Free {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
    void operator()(BIO_METHOD* method) const noexcept { BIO_meth_free(method); }
  };

  std::unique_ptr<SSL_CTX, Free> context;
  std::unique_ptr<BIO_METHOD, Free> bytes_method;  // of TlsBytes
  bool is_server = false;
  bool verifies = false;
  std::string alpn;  // as it is sent: each behind its length
};

}  // namespace plait::internal

#endif  // PLAIT_IO_TLS_TLS_CONTEXT_STATE_H_
