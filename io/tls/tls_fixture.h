// What the tests of TLS share: certificates, which are made when they are needed, and a peer that
// does what no TlsStream would.
#ifndef PLAIT_IO_TLS_TLS_FIXTURE_H_
#define PLAIT_IO_TLS_TLS_FIXTURE_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/io/net/stream.h"
#include "plait/io/tls/tls_context.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {

struct CertificateOptions {
  std::string subject = "localhost";
  // As OpenSSL has them: "DNS:localhost,IP:127.0.0.1".
  std::string names = "DNS:localhost,IP:127.0.0.1";
  absl::Duration valid_from = absl::ZeroDuration();  // from now
  absl::Duration valid_until = absl::Hours(1);
};

// Files of a certificate and its key.
struct CertificateFiles {
  std::string certificate;
  std::string key;
};

// One who vouches for others. What fails here ends the test program.
class TestAuthority {
 public:
  explicit TestAuthority(const TestFolder& folder, const std::string& name = "authority");
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;
  ~TestAuthority();

  // Its certificate's file.
  const std::string& file() const { return files_.certificate; }
  // The text of a key that `password` keeps.
  std::string IssueWithPassword(const std::string& password);
  // Writes files of that name.
  CertificateFiles Issue(const std::string& name, const CertificateOptions& options = {});

 private:
  const TestFolder& folder_;
  X509* certificate_ = nullptr;
  EVP_PKEY* key_ = nullptr;
  CertificateFiles files_;
};

// For which only it itself vouches.
CertificateFiles IssueSelfSigned(const TestFolder& folder, const std::string& name,
                                 const CertificateOptions& options = {});

// An authority, and contexts with a certificate of it for localhost and 127.0.0.1.
struct TestTls {
  TestTls();

  TestFolder folder;
  TestAuthority authority{folder};
  CertificateFiles files = authority.Issue("server");
  TlsContext server;
  TlsContext client;

 private:
  TlsContext MakeServer() const;
  TlsContext MakeClient() const;
};

// The other end of a TlsStream, by the TLS library itself: each step by itself, and what it sends
// in the pieces that a test wants.
class RawTlsPeer {
 public:
  // A server has `files`; a client trusts anybody.
  RawTlsPeer(Stream stream, const CertificateFiles* files, int most_version = 0);
  RawTlsPeer(const RawTlsPeer&) = delete;
  RawTlsPeer& operator=(const RawTlsPeer&) = delete;
  ~RawTlsPeer();

  SSL* ssl() const { return ssl_; }
  Stream& stream() { return stream_; }
  // So many bytes at a time, each of which has come to lie with the other side for itself.
  void set_piece(size_t bytes) { piece_ = bytes; }

  // co_await: `step`, which returns what the library does, until that is done; what it wants sent
  // and received in between is. An error where it fails, or the stream ends.
  template <class Step>
  Task<absl::Status> Do(Step step) {
    for (;;) {
      const int result = step();
      const absl::Status status = co_await AfterStep(result);
      if (!status.ok()) co_return status;
      if (result > 0) co_return status;
    }
  }
  Task<absl::Status> Handshake();
  Task<absl::Status> Write(std::string text);
  // At most so many bytes; "" where the other side says the end.
  Task<absl::StatusOr<std::string>> Read(size_t most = 1024);
  // Sends what there is to send.
  Task<absl::Status> Send();
  // What there is to send, to be sent by the test.
  std::string TakeOutput();

 private:
  Task<absl::Status> AfterStep(int result);

  Stream stream_;
  SSL_CTX* context_;
  SSL* ssl_;
  size_t piece_ = size_t{1} << 20;
};

}  // namespace plait

#endif  // PLAIT_IO_TLS_TLS_FIXTURE_H_
