#include "plait/io/tls/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "absl/strings/str_cat.h"
#include "plait/io/system/errno_status.h"

namespace plait::internal {
namespace {

// The first, which says most: those that follow come from whoever called what failed.
unsigned long TakeFirst() noexcept {
  const unsigned long first = ERR_get_error();
  ERR_clear_error();
  return first;
}

absl::string_view ReasonOf(unsigned long error) {
  const char* const reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  return reason == nullptr ? absl::string_view("the TLS library does not say why") : reason;
}

// Whether it is one of the alerts by which a peer refuses a certificate, or its not being there.
bool RefusesCertificate(int alert) {
  switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED:
      return true;
    default:
      return false;
  }
}

}  // namespace

void ClearTlsErrors() noexcept { ERR_clear_error(); }

absl::Status TakeTlsFileError(absl::string_view what) {
  const unsigned long error = TakeFirst();
  if (ERR_GET_LIB(error) == ERR_LIB_SYS) return plait::ErrnoToStatus(-ERR_GET_REASON(error), what);
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", ReasonOf(error)));
}

absl::Status TakeTlsError(absl::string_view what, long verify_result, absl::StatusCode otherwise) {
  const unsigned long error = TakeFirst();
  const bool ours = ERR_GET_LIB(error) == ERR_LIB_SSL;
  const int reason = ERR_GET_REASON(error);
  if (ours && reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verify_result != X509_V_OK) {
    return absl::UnauthenticatedError(absl::StrCat(what, ": the peer's certificate is refused: ",
                                                   X509_verify_cert_error_string(verify_result)));
  }
  std::string message = absl::StrCat(what, ": ", ReasonOf(error));
  if (ours && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    return absl::UnauthenticatedError(message);
  }
  if (ours && reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    // An alert: the peer's words.
    if (RefusesCertificate(reason - SSL_AD_REASON_OFFSET)) {
      return absl::UnauthenticatedError(message);
    }
    return absl::FailedPreconditionError(message);
  }
  return absl::Status(otherwise, message);
}

}  // namespace plait::internal
