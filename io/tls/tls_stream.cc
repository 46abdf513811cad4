#include "plait/io/tls/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "plait/runtime/core/check.h"

namespace plait {
namespace {

using internal::StreamIsClosed;
using internal::TlsState;

// What `print` has printed, which gets a BIO.
template <class F>
std::string TextOf(F print) {
  struct Free {
    void operator()(BIO* bio) const noexcept { BIO_free(bio); }
  };
  const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr) return "";
  print(bio.get());
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
}

}  // namespace

void TlsStream::Consume(size_t count) noexcept {
  PLAIT_CHECK(count <= buffered().size(), "consuming more bytes than were read ahead");
  if (count == 0) return;
  PLAIT_CHECK(!state_->reading(), "consuming bytes of a stream while a read waits for more");
  state_->Consume(count);
}

void TlsStream::set_high_water_mark(size_t bytes) noexcept {
  if (state_ != nullptr) state_->set_high_water(bytes);
}

void TlsStream::Abort() noexcept {
  if (state_ != nullptr) state_->Abort();
  state_ = nullptr;
}

absl::StatusOr<SocketAddress> TlsStream::local_address() const {
  if (state_ == nullptr) return StreamIsClosed("getsockname");
  return state_->stream().LocalAddress();
}

absl::StatusOr<SocketAddress> TlsStream::peer_address() const {
  if (state_ == nullptr) return StreamIsClosed("getpeername");
  return state_->stream().PeerAddress();
}

const internal::TlsAgreement& TlsStream::agreement() const noexcept {
  static const auto* const none = new internal::TlsAgreement;
  return state_ != nullptr ? state_->agreement() : *none;
}

std::string TlsStream::peer_certificate() const {
  X509* const peer = agreement().peer.get();
  if (peer == nullptr) return "";
  return TextOf([&](BIO* bio) { PEM_write_bio_X509(bio, peer); });
}

std::string TlsStream::peer_subject() const {
  X509* const peer = agreement().peer.get();
  if (peer == nullptr) return "";
  return TextOf(
      [&](BIO* bio) { X509_NAME_print_ex(bio, X509_get_subject_name(peer), 0, XN_FLAG_RFC2253); });
}

// The stream by value: when this is never awaited, or not to its end, it goes as any other.
Task<absl::Status> TlsStream::FlushAndClose(TlsStream stream) {
  co_return co_await TlsState::Close(stream.state_);
}

}  // namespace plait
