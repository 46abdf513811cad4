// Stream: bytes to and from a peer, in order: a connected socket, an end of a pipe, a terminal.
//
//   plait::Stream stream(std::move(descriptor));
//   co_await plait::OrReturn(stream.Write("PING\r\n"));
//   std::string answer = co_await plait::OrReturn(stream.ReadExactly(4));
//   co_await plait::OrReturn(stream.Close());
//
// Writing. A Write is done when the stream has accepted all of its data: the kernel has taken it,
// or it waits in the stream's own memory, below the high-water mark, and is sent in the background.
// Flush waits until the kernel has it all. What goes wrong in the background is told by the next
// Write, Flush, ShutdownWrite or Close, and by all later ones. Close sends what is left; Abort, and
// dropping the Stream, drop it.
//
// Tasks and threads: at a time one task reads and one writes (Write, Flush, ShutdownWrite, Close);
// a second one of either gets FailedPrecondition. A stream belongs to the executor on which it
// first had to wait, or, on one of several threads, was first used; on another that is
// FailedPrecondition too. Of several threads it is at home with one, where all that is asked of it
// is done: a task that asks from another goes on there, mostly, for the price of a post. A task
// whose reads and writes never have to wait, of one stream or of many, gives the others a turn
// after 128 of them.
//
// Lifetime: an operation's memory (`into`, `data`) lives until its co_await has returned. A Stream
// may be moved, closed or dropped while others wait on it: they end with absl::CancelledError. Drop
// it on a thread of the executor that used it, or when that is gone; see io::OwnedDescriptor. It
// may outlive its executor: what still waits to be sent when that is closed is dropped, as no task
// waits for it.
//
// Cancellation: an operation that is cancelled gives absl::CancelledError, and loses no bytes: what
// a read had got is there for the next one; AcceptedBytes (partial_bytes.h) says how much of a
// Write was accepted, and will be sent. One whose task was cancelled before does nothing.
//
// Errors: a Status that names the operation and the peer. A stream that is closed, or a writing
// half that was shut down, is FailedPrecondition; a peer that reset the connection is Unavailable,
// and one that reads no more FailedPrecondition (no SIGPIPE is raised). The end of the stream where
// more was needed is OutOfRange, with the bytes that came (PartialBytes).
//
// Cost: reads and writes make no coroutine, and allocate nothing, but for a write that has to wait,
// or is carried home, which has a block for that from the frames' pool. A stream on which nothing
// is happening has no buffers: 88 bytes, an IPv6 peer's address a block besides, and a read that
// waits on it 96.
#ifndef PLAIT_IO_NET_STREAM_H_
#define PLAIT_IO_NET_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/net/address.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/socket_options.h"
#include "plait/io/net/stream_read.h"
#include "plait/io/net/stream_reading.h"
#include "plait/io/net/stream_state.h"
#include "plait/io/net/stream_write.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/or_returnable.h"
#include "plait/runtime/task/task.h"

namespace plait {

class File;
class Stream;
class TlsContext;
class TlsStream;
struct TlsOptions;

namespace internal {

// Null where it is closed.
const StreamRef& StateOf(const Stream& stream) noexcept;

class [[nodiscard]] SomeBytesRead final : public StreamReadInto {
 public:
  using StreamReadInto::StreamReadInto;
  absl::StatusOr<size_t> await_resume() const {
    if (failed()) return Failure();
    return count();
  }
  // For OrReturn.
  bool await_failed() const noexcept { return failed(); }
};

class [[nodiscard]] ExactBytesRead final : public StreamReadInto {
 public:
  using StreamReadInto::StreamReadInto;
  absl::Status await_resume() const {
    if (failed()) return Failure();
    return ended_early() ? EndedEarly() : absl::OkStatus();
  }
  // For OrReturn.
  bool await_failed() const noexcept { return failed() || ended_early(); }
};

template <class Awaiter>
class [[nodiscard]] StreamReadAwaitable : public OrReturnable<StreamReadAwaitable<Awaiter>> {
 public:
  StreamReadAwaitable(StreamRef state, absl::Span<char> into, size_t least) noexcept
      : state_(std::move(state)), into_(into), least_(least) {}
  Awaiter operator co_await() && noexcept { return Awaiter(std::move(state_), into_, least_); }
  Awaiter operator co_await() const& noexcept { return Awaiter(state_, into_, least_); }

 private:
  StreamRef state_;
  absl::Span<char> into_;
  size_t least_;
};

class [[nodiscard]] StreamWriteAwaitable : public OrReturnable<StreamWriteAwaitable> {
 public:
  StreamWriteAwaitable(StreamRef state, absl::Span<const char> data) noexcept
      : state_(std::move(state)), data_(data) {}
  StreamWrite operator co_await() && noexcept {
    return StreamWrite(std::move(state_), StreamWrite::Kind::kWrite, data_);
  }
  StreamWrite operator co_await() const& noexcept {
    return StreamWrite(state_, StreamWrite::Kind::kWrite, data_);
  }

 private:
  StreamRef state_;
  absl::Span<const char> data_;
};

class [[nodiscard]] StreamFlushAwaitable : public OrReturnable<StreamFlushAwaitable> {
 public:
  explicit StreamFlushAwaitable(StreamRef state) noexcept : state_(std::move(state)) {}
  StreamWrite operator co_await() && noexcept {
    return StreamWrite(std::move(state_), StreamWrite::Kind::kFlush, {});
  }
  StreamWrite operator co_await() const& noexcept {
    return StreamWrite(state_, StreamWrite::Kind::kFlush, {});
  }

 private:
  StreamRef state_;
};

// See stdio.h.
absl::StatusOr<Stream> OpenStandardStream(int fd, bool input);

}  // namespace internal

class Stream {
 public:
  static constexpr size_t kDefaultHighWaterMark = internal::StreamState::kDefaultHighWater;

  // How many bytes a line, or what stands before another delimiter, may have.
  static constexpr size_t kDefaultLimit = 64 * 1024;

  // A stream that is closed.
  Stream() = default;
  // Takes a connected stream socket, an end of a pipe or a terminal, which it makes non-blocking;
  // or a file, to be read or written in order from where it is. Who knows the peer of a socket says
  // so: that is cheaper than to ask, and errors can name it also when the connection is gone.
  explicit Stream(io::OwnedDescriptor descriptor, const SocketAddress& peer = SocketAddress());
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&& other) noexcept {
    Stream taken(std::move(other));
    std::swap(state_, taken.state_);
    return *this;
  }
  ~Stream() {
    if (state_ && state_->ends_with_stream()) Abort();
  }

  // --- reading ---

  // co_await StatusOr<size_t>: waits for bytes and takes those that there are, up to into.size().
  // 0 is the end of the stream (or there was no room).
  auto Read(absl::Span<char> into) {
    return internal::StreamReadAwaitable<internal::SomeBytesRead>(state_, into, 1);
  }
  // The same as a string of at most `most` bytes; empty at the end.
  Task<absl::StatusOr<std::string>> Read(size_t most) {
    return internal::ReadStreamSome(state_, most);
  }

  // co_await Status: fills `into`. OutOfRange when the stream ends before.
  auto ReadExactly(absl::Span<char> into) {
    return internal::StreamReadAwaitable<internal::ExactBytesRead>(state_, into, into.size());
  }
  Task<absl::StatusOr<std::string>> ReadExactly(size_t size) {
    return internal::ReadStreamExactly(state_, size);
  }

  // co_await: up to the next `delimiter` and with it. OutOfRange when the stream ends before;
  // ResourceExhausted when more than `limit` bytes stand before it, which are then left to be read.
  Task<absl::StatusOr<std::string>> ReadUntil(absl::string_view delimiter,
                                              size_t limit = kDefaultLimit) {
    return internal::ReadStreamUntil(state_, std::string(delimiter), limit);
  }

  // co_await: the next line, without the newline that ends it; the last may have none. Other bytes
  // are left alone, also '\r'. OutOfRange when there is no more; ResourceExhausted as above.
  Task<absl::StatusOr<std::string>> ReadLine(size_t limit = kDefaultLimit) {
    return internal::ReadStreamLine(state_, limit);
  }

  // All lines that are to come; an error is the last item.
  //   AsyncGenerator<absl::StatusOr<std::string>> lines = stream.Lines();
  //   while (auto line = co_await lines.Next()) Use(*line);
  AsyncGenerator<absl::StatusOr<std::string>> Lines(size_t limit = kDefaultLimit) {
    return internal::StreamLines(state_, limit);
  }

  // co_await: all that comes until the stream ends. ResourceExhausted as above.
  Task<absl::StatusOr<std::string>> ReadAll(size_t limit) {
    return internal::ReadStreamAll(state_, limit);
  }

  // For parsers, and for whoever needs no memory of his own for what he reads: what was read ahead,
  // which the reads above take first; co_await StatusOr<size_t>: waits for more of it, and gives
  // how many bytes came, 0 at the end. At once where there are some already that no ReadMore has
  // told of: then it gives how many there are in all. Takes `count` bytes away, which are there.
  // The view is valid until the next of these or of the reads, so that it may be written meanwhile;
  // nothing is taken while a read waits (CHECK).
  absl::string_view buffered() const noexcept {
    return state_ ? state_->buffered() : absl::string_view();
  }
  auto ReadMore() { return internal::StreamFillAwaitable<true>(state_); }
  void Consume(size_t count) noexcept;

  // --- writing ---

  // co_await Status: done when all of `data` is accepted.
  auto Write(absl::string_view data) {
    return internal::StreamWriteAwaitable(state_, absl::MakeConstSpan(data.data(), data.size()));
  }
  // The same. A template, so that text and arrays mean the one above.
  template <class Byte>
    requires std::is_same_v<const Byte, const char>
  auto Write(absl::Span<Byte> data) {
    return Write(absl::string_view(data.data(), data.size()));
  }

  // And where the standard's string_view is another type than Abseil's.
  template <class Text>
    requires std::is_same_v<Text, std::string_view> &&
             (!std::is_same_v<std::string_view, absl::string_view>)
  auto Write(Text data) {
    return Write(absl::string_view(data.data(), data.size()));
  }

  // co_await Status: done when the kernel has all that was accepted.
  auto Flush() { return internal::StreamFlushAwaitable(state_); }

  // co_await: a Flush, and then tells the peer that nothing more comes; reading goes on. A pipe,
  // which has one half only, is closed. Again does nothing.
  Task<absl::Status> ShutdownWrite() { return ShutDownWriting(state_); }

  // How many bytes may wait in the stream's memory. A larger Write waits until the kernel has taken
  // all but so many. 0: a Write is done when the kernel has it all.
  void set_high_water_mark(size_t bytes) noexcept;
  // Accepted, and not with the kernel yet.
  size_t unsent() const noexcept { return state_ ? state_->unsent() : 0; }

  // --- ending ---

  // co_await: a Flush, and then closes. Closed it is from this call on for everybody else, and in
  // the end in any case: cut short by a cancel, or by an error, it drops what it could not send. A
  // peer that reads nothing can keep it waiting: put a Timeout around it.
  Task<absl::Status> Close() { return FlushAndClose(std::move(*this)); }
  // Closes at once, without waiting, and drops what was not sent.
  void Abort() noexcept;
  // Neither closed nor moved from.
  bool is_open() const noexcept { return static_cast<bool>(state_); }

  // --- what it is made of ---

  // -1 when it is closed. For inspection: reading, writing and closing are the stream's.
  int descriptor() const noexcept { return state_ ? state_->fd() : -1; }
  SocketOptions options() const noexcept { return SocketOptions(descriptor()); }
  // Any thread, while others use it. FailedPrecondition where it is closed.
  absl::StatusOr<SocketAddress> local_address() const;
  absl::StatusOr<SocketAddress> peer_address() const;

 private:
  friend class Server;
  friend class Transport;
  friend const internal::StreamRef& internal::StateOf(const Stream& stream) noexcept;
  friend Task<absl::StatusOr<int64_t>> SendFile(Stream& stream, const File& file, int64_t offset,
                                                int64_t count);
  friend absl::StatusOr<Stream> internal::OpenStandardStream(int fd, bool input);
  friend Task<absl::StatusOr<TlsStream>> StartTls(Stream stream, TlsContext context,
                                                  std::string server_name, TlsOptions options);

  explicit Stream(internal::StreamRef state) noexcept : state_(std::move(state)) {}
  static Task<absl::Status> ShutDownWriting(internal::StreamRef state);
  static Task<absl::Status> FlushAndClose(Stream stream);

  internal::StreamRef state_;
};

inline const internal::StreamRef& internal::StateOf(const Stream& stream) noexcept {
  return stream.state_;
}

}  // namespace plait

#endif  // PLAIT_IO_NET_STREAM_H_
