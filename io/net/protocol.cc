#include "plait/io/net/protocol.h"

#include <algorithm>
#include <utility>

#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/stream_at_home.h"
#include "plait/io/net/stream_state.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/select.h"

namespace plait {
namespace {

// Of a long write this much is given to the system at once, so that the limits hear of progress.
constexpr size_t kPiece = 64 * 1024;
// A buffer that has become larger is given back once it is empty.
constexpr size_t kKeptCapacity = 64 * 1024;

}  // namespace

Transport::Transport(Stream stream, Protocol& protocol)
    : stream_(std::move(stream)), protocol_(protocol), owner_(stream_.state_.get()) {
  stream_.set_high_water_mark(0);  // what waits, waits here, where it is counted
}

bool Transport::Write(absl::string_view data) {
  if (is_closing() || write_ended_) return false;
  if (data.empty()) return true;
  pending_.append(data.data(), data.size());
  work_.Set();
  internal::Tell(protocol_, limits_.Add(data.size()));
  return true;
}

void Transport::ShutdownWrite() {
  write_ended_ = true;
  work_.Set();
}

void Transport::Close() {
  closing_ = true;
  reading_.Clear();
  work_.Set();
}

void Transport::Abort() {
  reading_.Clear();
  aborted_ = true;
  owner_.end().Set();
}

void Transport::ResumeReading() {
  if (!is_closing()) reading_.Set();
}

absl::Status Transport::SetWriteLimits(size_t high, size_t low) {
  absl::Status status = limits_.Set(high, low);
  if (status.ok()) internal::Tell(protocol_, limits_.Update());
  return status;
}

// Ends with an error only; else it is cancelled when the connection ends.
Task<absl::Status> Transport::ReadLoop() {
  bool ended = false;
  for (;;) {
    // Also before what has come meanwhile is told.
    co_await OrReturn(reading_.Wait());
    {
      const MutexGuard turn = co_await OrReturn(turn_.Lock());
      if (!reading_.IsSet()) continue;
      const absl::string_view data = stream_.buffered();
      if (!data.empty()) {
        protocol_.OnData(data);
        stream_.Consume(data.size());
        continue;
      }
      if (ended) {
        if (!protocol_.OnEnd()) Close();
        break;
      }
    }
    ended = co_await OrReturn(stream_.ReadMore()) == 0;
  }
  Event never;
  co_return co_await never.Wait();
}

Task<absl::Status> Transport::SendAll() {
  while (sent_ < sending_.size()) {
    const absl::string_view piece = absl::string_view(sending_).substr(sent_, kPiece);
    const absl::Status wrote = co_await stream_.Write(piece);
    sent_ += wrote.ok() ? piece.size() : AcceptedBytes(wrote).value_or(0);
    co_await OrReturn(wrote);
    const MutexGuard turn = co_await OrReturn(turn_.Lock());
    internal::Tell(protocol_, limits_.Remove(piece.size()));
  }
  sent_ = 0;
  sending_.clear();
  if (sending_.capacity() > kKeptCapacity) sending_ = std::string();
  co_return absl::OkStatus();
}

Task<void> Transport::LeaveToStream() {
  // Not read elsewhere than on this executor.
  const std::string sending = std::move(sending_);
  const std::string pending = std::move(pending_);
  internal::StreamState& state = *stream_.state_.get();
  co_await internal::StreamState::AtHome(state, [&] {
    state.AcceptLast(absl::string_view(sending).substr(sent_));
    state.AcceptLast(pending);
  });
}

// Ends when all was sent and the connection is to be closed, or with an error.
Task<absl::Status> Transport::WriteLoop() {
  bool shut_down = false;
  for (;;) {
    work_.Clear();
    bool shuts_down = false;
    {
      const MutexGuard turn = co_await OrReturn(turn_.Lock());
      sending_.swap(pending_);
      if (sending_.empty()) {
        if (closing_) co_return absl::OkStatus();
        shuts_down = write_ended_ && !shut_down;
      }
    }
    if (!sending_.empty()) {
      co_await OrReturn(SendAll());
    } else if (shuts_down) {
      shut_down = true;
      co_await OrReturn(stream_.ShutdownWrite());
    } else {
      co_await OrReturn(work_.Wait());
    }
  }
}

Task<absl::Status> Transport::Run() {
  // The losers are cancelled and joined: nothing calls the protocol after this.
  auto selected = co_await Select(owner_.end().Wait(), WriteLoop(), ReadLoop());
  closing_ = true;
  if (!aborted_ && owner_.IsAwaited()) co_await LeaveToStream();
  owner_.Leave();
  absl::Status status = selected.get<0>();
  // Both, as what a callback has thrown comes out of here, whatever else there is.
  if (selected.has<1>()) {
    const absl::Status wrote = selected.get<1>();
    if (selected.index() == 1) status = wrote;
  }
  if (selected.has<2>()) {
    const absl::Status read = selected.get<2>();
    if (selected.index() == 2) status = read;
  }
  if (selected.index() == 0 && status.ok()) {
    status = absl::CancelledError("the connection is being closed, or was, by its server");
  }
  if (aborted_) {
    stream_.Abort();
    co_return absl::AbortedError("the connection was aborted by this side");
  }
  if (!status.ok()) {
    // Dropped, not aborted: where its server is closing it, what it has accepted is sent still.
    stream_ = Stream();
    co_return status;
  }
  co_return co_await stream_.Close();
}

Task<absl::Status> RunProtocol(Stream stream, Protocol& protocol) {
  Transport transport(std::move(stream), protocol);
  protocol.OnConnected(transport);
  const absl::Status status = co_await transport.Run();
  protocol.OnClosed(status);
  co_return status;
}

}  // namespace plait
