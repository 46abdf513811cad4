#include "plait/io/tls/tls_fixture.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/runtime.h"

namespace plait {
namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof(text));
  PLAIT_CHECK(false, absl::StrCat(what, ": ", text));
}

EVP_PKEY* NewKey() {
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nullptr);
  EVP_PKEY* key = nullptr;
  Check(EVP_PKEY_keygen_init(context) == 1 &&
            EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1 &&
            EVP_PKEY_keygen(context, &key) == 1,
        "a test's key");
  EVP_PKEY_CTX_free(context);
  return key;
}

void Extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  Check(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1,
        "a test certificate's extension");
  X509_EXTENSION_free(extension);
}

// Signed by `issuer`, or, where that is null, by itself.
X509* NewCertificate(EVP_PKEY* key, const CertificateOptions& options, bool is_authority,
                     X509* issuer, EVP_PKEY* issuer_key) {
  static long serial = 0;
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), absl::ToInt64Seconds(options.valid_from));
  X509_gmtime_adj(X509_getm_notAfter(certificate), absl::ToInt64Seconds(options.valid_until));
  X509_set_pubkey(certificate, key);
  X509_NAME* const name = X509_NAME_new();
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(options.subject.c_str()), -1,
                             -1, 0);
  X509_set_subject_name(certificate, name);
  X509_NAME_free(name);
  if (issuer == nullptr) issuer = certificate;
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  if (is_authority) Extend(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
  if (!options.names.empty()) Extend(certificate, issuer, NID_subject_alt_name, options.names);
  Check(X509_sign(certificate, issuer_key == nullptr ? key : issuer_key, EVP_sha256()) > 0,
        "a test certificate's signature");
  return certificate;
}

template <class F>
std::string PemOf(F print) {
  BIO* const bio = BIO_new(BIO_s_mem());
  Check(print(bio) == 1, "a test certificate's text");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string result(text, static_cast<size_t>(size));
  BIO_free(bio);
  return result;
}

CertificateFiles WriteFiles(const TestFolder& folder, const std::string& name, X509* certificate,
                            EVP_PKEY* key) {
  CertificateFiles files;
  files.certificate = folder.Write(
      name + ".pem", PemOf([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); }));
  files.key = folder.Write(name + ".key", PemOf([&](BIO* bio) {
                             return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr,
                                                             nullptr);
                           }));
  return files;
}

}  // namespace

TestAuthority::TestAuthority(const TestFolder& folder, const std::string& name)
    : folder_(folder), key_(NewKey()) {
  const CertificateOptions options{.subject = name, .names = ""};
  certificate_ = NewCertificate(key_, options, /*is_authority=*/true, nullptr, nullptr);
  files_ = WriteFiles(folder_, name, certificate_, key_);
}

TestAuthority::~TestAuthority() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
}

std::string TestAuthority::IssueWithPassword(const std::string& password) {
  return PemOf([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key_, EVP_aes_128_cbc(),
                                    reinterpret_cast<const unsigned char*>(password.data()),
                                    static_cast<int>(password.size()), nullptr, nullptr);
  });
}

CertificateFiles TestAuthority::Issue(const std::string& name, const CertificateOptions& options) {
  EVP_PKEY* const key = NewKey();
  X509* const certificate = NewCertificate(key, options, false, certificate_, key_);
  CertificateFiles files = WriteFiles(folder_, name, certificate, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

CertificateFiles IssueSelfSigned(const TestFolder& folder, const std::string& name,
                                 const CertificateOptions& options) {
  EVP_PKEY* const key = NewKey();
  X509* const certificate = NewCertificate(key, options, false, nullptr, nullptr);
  CertificateFiles files = WriteFiles(folder, name, certificate, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

TestTls::TestTls() : server(MakeServer()), client(MakeClient()) {}

TlsContext TestTls::MakeServer() const {
  absl::StatusOr<TlsContext> made = TlsContext::Server(
      {.certificate_chain_file = files.certificate, .private_key_file = files.key});
  PLAIT_CHECK(made.ok(), made.status().ToString());
  return *std::move(made);
}

TlsContext TestTls::MakeClient() const {
  absl::StatusOr<TlsContext> made = TlsContext::Client({.ca_file = authority.file()});
  PLAIT_CHECK(made.ok(), made.status().ToString());
  return *std::move(made);
}

RawTlsPeer::RawTlsPeer(Stream stream, const CertificateFiles* files, int most_version)
    : stream_(std::move(stream)),
      context_(SSL_CTX_new(files != nullptr ? TLS_server_method() : TLS_client_method())) {
  if (files != nullptr) {
    Check(SSL_CTX_use_certificate_chain_file(context_, files->certificate.c_str()) == 1 &&
              SSL_CTX_use_PrivateKey_file(context_, files->key.c_str(), SSL_FILETYPE_PEM) == 1,
          "a test peer's certificate");
  }
  SSL_CTX_set_max_proto_version(context_, most_version);
  ssl_ = SSL_new(context_);
  SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  if (files != nullptr) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
  }
}

RawTlsPeer::~RawTlsPeer() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
}

std::string RawTlsPeer::TakeOutput() {
  BIO* const bio = SSL_get_wbio(ssl_);
  std::string output(BIO_ctrl_pending(bio), '\0');
  if (!output.empty()) BIO_read(bio, output.data(), static_cast<int>(output.size()));
  return output;
}

Task<absl::Status> RawTlsPeer::Send() {
  const std::string output = TakeOutput();
  for (size_t at = 0; at < output.size(); at += piece_) {
    co_await OrReturn(stream_.Write(absl::string_view(output).substr(at, piece_)));
    co_await Yield();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> RawTlsPeer::AfterStep(int result) {
  co_await OrReturn(Send());
  if (result > 0) co_return absl::OkStatus();
  if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) {
    const unsigned long error = ERR_get_error();
    ERR_clear_error();
    const char* const reason = error == 0 ? nullptr : ERR_reason_error_string(error);
    co_return absl::AbortedError(reason == nullptr ? "no reason" : reason);
  }
  ERR_clear_error();
  const size_t more = co_await OrReturn(stream_.ReadMore());
  if (more == 0) co_return absl::OutOfRangeError("the connection has ended");
  BIO_write(SSL_get_rbio(ssl_), stream_.buffered().data(),
            static_cast<int>(stream_.buffered().size()));
  stream_.Consume(stream_.buffered().size());
  co_return absl::OkStatus();
}

Task<absl::Status> RawTlsPeer::Handshake() {
  return Do([this] { return SSL_do_handshake(ssl_); });
}

Task<absl::Status> RawTlsPeer::Write(std::string text) {
  co_return co_await Do(
      [&] { return SSL_write(ssl_, text.data(), static_cast<int>(text.size())); });
}

Task<absl::StatusOr<std::string>> RawTlsPeer::Read(size_t most) {
  std::string text(most, '\0');
  int count = 0;
  const absl::Status read = co_await Do([&] {
    count = SSL_read(ssl_, text.data(), static_cast<int>(most));
    return count <= 0 && SSL_get_error(ssl_, count) == SSL_ERROR_ZERO_RETURN ? 1 : count;
  });
  if (!read.ok()) co_return read;
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  co_return text;
}

}  // namespace plait
