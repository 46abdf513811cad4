#include "plait/io/net/stream.h"

#include "plait/io/net/buffered_reads.h"
#include "plait/runtime/core/check.h"

namespace plait {

using internal::StreamIsClosed;
using internal::StreamRef;
using internal::StreamState;
using internal::StreamWrite;

Stream::Stream(io::OwnedDescriptor descriptor, const SocketAddress& peer)
    : state_(descriptor.valid() ? new StreamState(std::move(descriptor), peer) : nullptr) {}

void Stream::Consume(size_t count) noexcept {
  PLAIT_CHECK(count <= buffered().size(), "consuming more bytes than were read ahead");
  if (count == 0) return;
  PLAIT_CHECK(!state_->reading(), "consuming bytes of a stream while a read waits for more");
  state_->Consume(count);
}

void Stream::set_high_water_mark(size_t bytes) noexcept {
  if (state_) state_->set_high_water(bytes);
}

void Stream::Abort() noexcept {
  if (state_) state_->Abort();
  state_ = StreamRef();
}

absl::StatusOr<SocketAddress> Stream::local_address() const {
  if (!state_) return StreamIsClosed("getsockname");
  return state_->LocalAddress();
}

absl::StatusOr<SocketAddress> Stream::peer_address() const {
  if (!state_) return StreamIsClosed("getpeername");
  return state_->PeerAddress();
}

Task<absl::Status> Stream::ShutDownWriting(StreamRef state) {
  if (!state) co_return StreamIsClosed("shut down writing");
  if (state->shut_down()) co_return absl::OkStatus();
  const absl::Status flushed = co_await StreamWrite(state, StreamWrite::Kind::kFlush, {});
  if (!flushed.ok()) co_return flushed;
  if (state->is_socket()) co_return co_await StreamState::ShutDownNow(state);
  co_return co_await StreamState::CloseDescriptor(state);
}

// The Stream by value: when this is never awaited, or not to its end, it goes as any other.
Task<absl::Status> Stream::FlushAndClose(Stream stream) {
  if (!stream.is_open()) co_return StreamIsClosed("close");
  if (stream.descriptor() < 0) co_return absl::OkStatus();  // a pipe, by ShutdownWrite
  const absl::Status flushed = co_await stream.Flush();
  const absl::Status closed = co_await StreamState::CloseDescriptor(stream.state_);
  co_return flushed.ok() ? closed : flushed;
}

}  // namespace plait
