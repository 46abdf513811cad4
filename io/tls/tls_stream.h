// TlsStream: a Stream that is encrypted, and whose peer is known: bytes to and from it, in order.
// start_tls.h makes them.
//
//   plait::TlsStream stream = co_await plait::OrReturn(plait::ConnectTls("example.com:443",
//   client)); co_await plait::OrReturn(stream.Write("PING\r\n")); std::string answer = co_await
//   plait::OrReturn(stream.ReadExactly(4)); co_await plait::OrReturn(stream.Close());
//
// What a Stream promises (io/net/stream.h) it promises too, in the same words, of tasks and
// threads, lifetime, cancellation, errors and limits; what differs:
//
// The end. TLS has an end of its own, which a peer says before it ends the connection. A read gives
// the end only where that was said; a connection that ends without is absl::DataLossError, each
// time that it is read, as then anybody may have cut it, and is not to be taken for the end. Close
// and ShutdownWrite say it; Abort, and dropping the stream, do not, so the peer sees what was
// dropped. After a ShutdownWrite reading goes on, where the peer does not close both ways at once,
// as some do. Close does not wait for the peer: who has to know that all has arrived says so in his
// protocol, or does a ShutdownWrite, reads to the end and then closes.
// A Server's CloseClients, which knows nothing of TLS, ends a connection without saying it.
//
// Errors, besides: DataLoss where what came is not what the peer sent, Unauthenticated where the
// peer refuses this side's certificate (in TLS 1.3 a client learns that from its first read), and
// FailedPrecondition where the peer has another reason to end it. They name the peer.
//
// Writing. A Write is done when all of its data is encrypted and accepted below the high-water
// mark, in pieces of 64 KiB. An accepted piece is sent, whatever becomes of the task.
// Reading and writing side by side are one task's each, on any threads of the executor.
// Renegotiation is refused; new keys and tickets (TLS 1.3) come and go unseen.
//
// Cost: each operation makes coroutines, of which the frames' pool has the memory. Encryption runs
// on the task's thread, at most 64 KiB of a Write at once. One on which nothing is happening has no
// buffers; most of what it takes is the TLS library's.
#ifndef PLAIT_IO_TLS_TLS_STREAM_H_
#define PLAIT_IO_TLS_TLS_STREAM_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/net/address.h"
#include "plait/io/net/buffered_reads.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/socket_options.h"
#include "plait/io/net/stream.h"
#include "plait/io/tls/tls_context.h"
#include "plait/io/tls/tls_state.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/task.h"

namespace plait {

struct TlsOptions;

class TlsStream {
 public:
  static constexpr size_t kDefaultHighWaterMark = internal::TlsState::kDefaultHighWater;
  // How many bytes a line, or what stands before another delimiter, may have.
  static constexpr size_t kDefaultLimit = Stream::kDefaultLimit;

  // One that is closed.
  TlsStream() = default;
  TlsStream(TlsStream&&) noexcept = default;
  TlsStream& operator=(TlsStream&& other) noexcept {
    TlsStream taken(std::move(other));
    std::swap(state_, taken.state_);
    return *this;
  }
  ~TlsStream() {
    if (state_ != nullptr && state_->stream().ends_with_stream() && !state_->stream().closed()) {
      Abort();
    }
  }

  // --- reading: as Stream's ---

  // co_await StatusOr<size_t>: waits for bytes and takes those that there are, up to into.size().
  // 0 is the end that the peer has said (or there was no room).
  Task<absl::StatusOr<size_t>> Read(absl::Span<char> into) {
    return internal::TlsState::Read(state_, into);
  }
  Task<absl::StatusOr<std::string>> Read(size_t most) { return internal::ReadSome(state_, most); }

  // co_await Status: fills `into`. OutOfRange when the stream ends before.
  Task<absl::Status> ReadExactly(absl::Span<char> into) {
    return internal::TlsState::ReadExactly(state_, into);
  }
  Task<absl::StatusOr<std::string>> ReadExactly(size_t size) {
    return internal::ReadExactly(state_, size);
  }

  Task<absl::StatusOr<std::string>> ReadUntil(absl::string_view delimiter,
                                              size_t limit = kDefaultLimit) {
    return internal::ReadUntil(state_, std::string(delimiter), limit);
  }
  Task<absl::StatusOr<std::string>> ReadLine(size_t limit = kDefaultLimit) {
    return internal::ReadNextLine(state_, limit);
  }
  AsyncGenerator<absl::StatusOr<std::string>> Lines(size_t limit = kDefaultLimit) {
    return internal::ReadLines(state_, limit);
  }
  Task<absl::StatusOr<std::string>> ReadAll(size_t limit) {
    return internal::ReadAll(state_, limit);
  }

  // What was read ahead, and more of it; takes some away.
  absl::string_view buffered() const noexcept {
    return state_ != nullptr ? state_->buffered() : absl::string_view();
  }
  Task<absl::StatusOr<size_t>> ReadMore() { return internal::TlsState::ReadMore(state_); }
  void Consume(size_t count) noexcept;

  // --- writing: as Stream's ---

  // co_await Status: done when all of `data` is accepted.
  Task<absl::Status> Write(absl::string_view data) {
    return internal::TlsState::Write(state_, data);
  }
  // The same. A template, so that text and arrays mean the one above.
  template <class Byte>
    requires std::is_same_v<const Byte, const char>
  Task<absl::Status> Write(absl::Span<Byte> data) {
    return Write(absl::string_view(data.data(), data.size()));
  }
  // And where the standard's string_view is another type than Abseil's.
  template <class Text>
    requires std::is_same_v<Text, std::string_view> &&
             (!std::is_same_v<std::string_view, absl::string_view>)
  Task<absl::Status> Write(Text data) {
    return Write(absl::string_view(data.data(), data.size()));
  }

  // co_await Status: done when the kernel has all that was accepted.
  Task<absl::Status> Flush() { return internal::TlsState::Flush(state_); }

  // co_await Status: tells the peer that nothing more comes, and does a Flush; reading goes on.
  // Again does nothing.
  Task<absl::Status> ShutdownWrite() { return internal::TlsState::ShutDownWriting(state_); }

  // How many bytes may wait in memory, encrypted; see above.
  void set_high_water_mark(size_t bytes) noexcept;
  size_t unsent() const noexcept { return state_ != nullptr ? state_->unsent() : 0; }

  // --- ending ---

  // co_await: a Flush, tells the peer, and then closes. Closed it is from this call on for
  // everybody else, and in the end in any case: cut short by a cancel, or by an error, it drops
  // what it could not send, and the peer sees that. Put a Timeout around it.
  Task<absl::Status> Close() { return FlushAndClose(std::move(*this)); }
  // Closes at once, without waiting and without telling the peer, and drops what was not sent.
  void Abort() noexcept;
  bool is_open() const noexcept { return state_ != nullptr; }

  // --- what was agreed on; empty where it is closed ---

  // The application protocol (ALPN); empty: none.
  const std::string& alpn() const noexcept { return agreement().alpn; }
  // Of a server: the name that the client asked for (SNI), as the client spells it; may be empty.
  const std::string& server_name() const noexcept { return agreement().server_name; }
  // "TLSv1.3", and "TLS_AES_256_GCM_SHA384".
  absl::string_view version() const noexcept { return agreement().version; }
  absl::string_view cipher() const noexcept { return agreement().cipher; }
  // The peer's certificate (PEM), and whose it is, as "CN=example.com"; empty: it has shown none.
  // Verified, where the TlsContext verifies.
  std::string peer_certificate() const;
  std::string peer_subject() const;

  // --- what it is made of ---

  // As Stream's.
  int descriptor() const noexcept { return state_ != nullptr ? state_->stream().fd() : -1; }
  SocketOptions options() const noexcept { return SocketOptions(descriptor()); }
  absl::StatusOr<SocketAddress> local_address() const;
  absl::StatusOr<SocketAddress> peer_address() const;

 private:
  friend Task<absl::StatusOr<TlsStream>> StartTls(Stream stream, TlsContext context,
                                                  std::string server_name, TlsOptions options);

  explicit TlsStream(internal::TlsRef state) noexcept : state_(std::move(state)) {}
  static Task<absl::Status> FlushAndClose(TlsStream stream);
  const internal::TlsAgreement& agreement() const noexcept;

  internal::TlsRef state_;
};

}  // namespace plait

#endif  // PLAIT_IO_TLS_TLS_STREAM_H_
