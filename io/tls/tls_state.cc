#include "plait/io/tls/tls_state.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "plait/io/net/buffered_reads.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_at_home.h"
#include "plait/io/net/stream_read.h"
#include "plait/io/net/stream_write.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/uncancellable.h"

namespace plait::internal {
namespace {

using Step = TlsEngine::Step;

// What becomes records at once: four full ones.
constexpr size_t kPiece = size_t{64} << 10;
// What reads may have the engine say that the kernel does not take: refusals to renegotiate, of
// which a peer may ask for any number.
constexpr size_t kMostToSay = size_t{16} << 10;

StreamFillAwaitable<true> MoreOf(const StreamRef& stream) {
  return StreamFillAwaitable<true>(stream);
}

absl::Span<const char> SpanOf(absl::string_view bytes) {
  return absl::MakeConstSpan(bytes.data(), bytes.size());
}

StreamWriteAwaitable WriteTo(const StreamRef& stream, absl::string_view records) {
  return StreamWriteAwaitable(stream, SpanOf(records));
}

StreamFlushAwaitable FlushOf(const StreamRef& stream) { return StreamFlushAwaitable(stream); }

absl::Status InHandshake(const std::string& name, const absl::Status& error) {
  return absl::Status(error.code(),
                      absl::StrCat("TLS handshake with ", name, ": ", error.message()));
}

}  // namespace

TlsState::TlsState(StreamRef stream, TlsContext context)
    : stream_(std::move(stream)), engine_(std::move(context)) {
  stream_->set_high_water(std::numeric_limits<size_t>::max());
}

absl::Status TlsState::Busy(absl::string_view what) const {
  return absl::FailedPreconditionError(
      absl::StrCat(what, " ", Name(), ": another task is doing the same on this stream"));
}

absl::Status TlsState::Failed(absl::string_view what) const {
  const absl::Status& error = engine_.error();
  return absl::Status(error.code(), absl::StrCat(what, " ", Name(), ": ", error.message()));
}

absl::Status TlsState::Truncated(absl::string_view what) const {
  return absl::DataLossError(
      absl::StrCat(what, " ", Name(),
                   ": the connection has ended without the peer's saying so (TLS): what came ",
                   "may have been cut short"));
}

template <class F>
Step TlsState::WithInput(F call) {
  const absl::string_view before = stream_->buffered();
  absl::string_view input = before;
  const Step step = call(input);
  stream_->Consume(before.size() - input.size());
  return step;
}

// --- the handshake ---

Task<absl::Status> TlsState::Handshake(TlsRef state, std::string server_name) {
  co_await OrReturn(state->engine_.SetServerName(server_name));
  for (;;) {
    const Step step =
        state->WithInput([&](absl::string_view& input) { return state->engine_.Handshake(input); });
    ByteBuffer says;
    says.Swap(state->engine_.output());
    const absl::Status said = co_await SendBelow(state, says);
    if (step == Step::kFailed) {
      co_await DropWhatCame(state);
      co_return state->Failed("TLS handshake with");
    }
    if (!said.ok()) co_return InHandshake(state->Name(), said);
    if (step == Step::kDone) break;
    const absl::StatusOr<size_t> more = co_await MoreOf(state->stream_);
    if (!more.ok()) co_return InHandshake(state->Name(), more.status());
    if (*more == 0) {
      co_return InHandshake(state->Name(),
                            absl::UnavailableError("the peer has ended the connection"));
    }
  }
  TlsAgreement& agreement = state->agreement_;
  const TlsEngine& engine = state->engine_;
  agreement.alpn = engine.alpn();
  agreement.server_name = engine.server_name();
  agreement.version = engine.version();
  agreement.cipher = engine.cipher();
  agreement.peer = engine.peer_certificate();
  co_return absl::OkStatus();
}

// --- reading ---

absl::Status TlsState::CheckRead() const {
  if (reading()) return Busy("read from");
  return stream_->closed() || stream_->closing() ? stream_->CheckRead() : absl::OkStatus();
}

Step TlsState::Decrypt(absl::Span<char> into, Target target, size_t* count) {
  return WithInput([&](absl::string_view& input) {
    // No memory for what has not come.
    if (input.empty() && !engine_.has_pending()) return Step::kNeedsInput;
    if (target == Target::kMemory) return engine_.Read(input, into, count);
    const Step step = engine_.Read(input, incoming_.Room(ByteBuffer::kBlock), count);
    incoming_.Commit(*count);
    if (*count > 0 && target == Target::kAheadUntold) unseen_ = true;
    return step;
  });
}

Step TlsState::DecryptAndCount(absl::Span<char> into, Target target, size_t* count) {
  const ByteBuffer& output = engine_.output();
  const size_t before = output.size();
  if (before == 0 && unsent() == 0) answers_ = 0;
  const Step step = Decrypt(into, target, count);
  answers_ += output.size() - before;
  if (answers_ <= kMostToSay) return step;
  engine_.Fail(
      absl::ResourceExhaustedError("TLS: the peer has the protocol answer, and takes no answers"));
  // What has come is given; the next read finds the error.
  return step == Step::kNeedsInput ? Step::kFailed : step;
}

Task<absl::StatusOr<size_t>> TlsState::Receive(TlsRef state, absl::Span<char> into, Target target) {
  const Turn turn(state->reading_);
  if (!turn) co_return state->Busy("read from");
  MutexGuard locked = co_await OrReturn(state->receiving_.Lock());
  const Receiving receives{std::move(locked), state->received_};
  for (;;) {
    size_t count = 0;
    Step step = Step::kNeedsInput;
    ByteBuffer says;
    MutexGuard sends;
    {
      const MutexGuard guard = co_await OrReturn(state->lock_.Lock());
      step = state->DecryptAndCount(into, target, &count);
      state->received_.Set();
      if (!state->engine_.output().empty()) {
        // Whoever is sending takes it along, or finds this when he is done, as he unlocks after a
        // TryLock that fails.
        state->left_.store(true, kRelaxed);
        sends = state->sending_.TryLock();
        if (sends.ok()) state->TakeOutput(says);
      }
    }
    if (sends.ok()) {
      // What comes of it is the next write's to tell.
      const absl::Status said = co_await SendBelow(state, says);
      static_cast<void>(said);
      sends.Unlock();
    }
    if (step == Step::kDone) co_return count;
    if (step == Step::kEnded) co_return size_t{0};
    if (step == Step::kFailed) co_return state->Failed("read from");
    if (state->truncated_) co_return state->Truncated("read from");
    const size_t more = co_await OrReturn(MoreOf(state->stream_));
    state->truncated_ = more == 0;
  }
}

Task<absl::StatusOr<size_t>> TlsState::Read(TlsRef state, absl::Span<char> into) {
  co_await SpendTurn();
  co_await OrReturn(internal::CheckRead(state));
  if (into.empty()) co_return size_t{0};
  if (state->incoming_.empty()) co_return co_await Receive(state, into, Target::kMemory);
  const size_t count = state->incoming_.TakeInto(into);
  state->unseen_ = !state->incoming_.empty();
  co_return count;
}

Task<absl::Status> TlsState::ReadExactly(TlsRef state, absl::Span<char> into) {
  co_await SpendTurn();
  co_await OrReturn(internal::CheckRead(state));
  size_t count = state->incoming_.TakeInto(into);
  state->unseen_ = !state->incoming_.empty();
  while (count < into.size()) {
    const absl::StatusOr<size_t> more =
        co_await Receive(state, into.subspan(count), Target::kMemory);
    if (more.ok() && *more > 0) {
      count += *more;
      continue;
    }
    const absl::string_view came(into.data(), count);
    if (more.ok()) co_return EndedBeforeSize(state->Name(), came, into.size());
    // For the next one to find.
    state->incoming_.Append(SpanOf(came));
    state->unseen_ = !state->incoming_.empty();
    co_return more.status();
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<size_t>> TlsState::ReadMore(TlsRef state) {
  co_await SpendTurn();
  co_await OrReturn(internal::CheckRead(state));
  if (std::exchange(state->unseen_, false)) co_return state->incoming_.size();
  co_return co_await Receive(state, {}, Target::kAhead);
}

// --- writing ---

absl::Status TlsState::CheckWrite(absl::string_view what) const {
  absl::string_view why;
  if (stream_->closing()) {
    return absl::CancelledError(
        absl::StrCat(what, " ", Name(), ": the stream is being closed, or was, by its server"));
  }
  if (TaskContext::Current()->stop_requested()) {
    return absl::CancelledError(absl::StrCat(what, " ", Name(), ": cancelled"));
  }
  if (stream_->closed()) {
    why = "the stream is closed";
  } else if (shut_down_.load(kRelaxed)) {
    why = "its writing half was shut down";
  } else {
    return torn_;
  }
  return absl::FailedPreconditionError(absl::StrCat(what, " ", Name(), ": ", why));
}

Step TlsState::Encrypt(Sending what, absl::string_view data, bool receives, size_t* count) {
  const auto encrypt = [&](absl::string_view& input) {
    return what == Sending::kData ? engine_.Write(input, data, count) : engine_.EndWriting(input);
  };
  if (receives) return WithInput(encrypt);
  absl::string_view none;
  return encrypt(none);
}

Task<absl::Status> TlsState::SendBelow(TlsRef state, const ByteBuffer& records) {
  if (records.empty()) co_return absl::OkStatus();
  if (!state->torn_.ok()) co_return state->torn_;
  const absl::string_view all = records.view();
  absl::Status sent = co_await WriteTo(state->stream_, all);
  if (absl::IsCancelled(sent)) {
    const absl::string_view rest = all.substr(AcceptedBytes(sent).value_or(0));
    sent = co_await Uncancellable(WriteTo(state->stream_, rest));
  }
  if (!sent.ok()) state->torn_ = absl::Status(sent.code(), sent.message());
  co_return sent;
}

Task<absl::Status> TlsState::Send(TlsRef state, Sending what, absl::string_view data,
                                  size_t* accepted) {
  MutexGuard receives;
  for (;;) {
    size_t count = 0;
    Step step = Step::kFailed;
    ByteBuffer records;
    const bool received = receives.ok();
    {
      const MutexGuard guard = co_await OrReturn(state->lock_.Lock());
      step = state->Encrypt(what, data, received, &count);
      state->TakeOutput(records);
      if (step == Step::kNeedsInput && !received) {
        // In this order, and under the engine's lock: what a read does from here on sets it.
        state->received_.Clear();
        receives = state->receiving_.TryLock();
      }
    }
    co_await OrReturn(SendBelow(state, records));
    *accepted += count;
    data.remove_prefix(count);
    if (step == Step::kFailed) co_return state->Failed("write to");
    if (step != Step::kNeedsInput) co_return absl::OkStatus();
    if (!receives.ok()) co_await OrReturn(state->received_.Wait());
    if (!received) continue;
    if (state->truncated_) co_return state->Truncated("write to");
    const size_t more = co_await OrReturn(MoreOf(state->stream_));
    state->truncated_ = more == 0;
  }
}

Task<absl::Status> TlsState::WritePieces(TlsRef state, absl::string_view data, size_t* accepted) {
  if (!state) co_return StreamIsClosed("write");
  co_await SpendTurn();
  const Turn turn(state->writing_);
  if (!turn) co_return state->Busy("write to");
  const MutexGuard sends = co_await OrReturn(state->sending_.Lock());
  do {
    co_await OrReturn(state->CheckWrite("write to"));
    co_await OrReturn(Send(state, Sending::kData, data.substr(*accepted, kPiece), accepted));
    if (state->unsent() > state->high_water_.load(kRelaxed)) {
      co_await OrReturn(FlushOf(state->stream_));
    }
  } while (*accepted < data.size());
  co_return absl::OkStatus();
}

Task<absl::Status> TlsState::Write(TlsRef state, absl::string_view data) {
  size_t accepted = 0;
  absl::Status written = co_await WritePieces(state, data, &accepted);
  if (state && state->left_.load(kRelaxed)) co_await SendLeft(state);
  if (!written.ok()) SetAcceptedBytes(written, accepted);
  co_return written;
}

Task<void> TlsState::SendLeft(TlsRef state) {
  while (state->left_.load(kRelaxed)) {
    const MutexGuard sends = state->sending_.TryLock();
    if (!sends.ok()) co_return;  // it is that one's now
    ByteBuffer left;
    {
      const MutexGuard guard = co_await Uncancellable(state->lock_.Lock());
      state->TakeOutput(left);
    }
    // What comes of it is the next write's to tell.
    const absl::Status sent = co_await SendBelow(state, left);
    static_cast<void>(sent);
  }
}

Task<absl::Status> TlsState::FlushBelow(TlsRef state) {
  const Turn turn(state->writing_);
  if (!turn) co_return state->Busy("flush");
  const MutexGuard sends = co_await OrReturn(state->sending_.Lock());
  co_return co_await FlushOf(state->stream_);
}

Task<absl::Status> TlsState::Flush(TlsRef state) {
  if (!state) co_return StreamIsClosed("flush");
  const absl::Status flushed = co_await FlushBelow(state);
  if (state->left_.load(kRelaxed)) co_await SendLeft(state);
  co_return flushed;
}

Task<absl::Status> TlsState::ShutDownWriting(TlsRef state) {
  if (!state) co_return StreamIsClosed("shut down writing");
  if (state->shut_down_.load(kRelaxed)) co_return absl::OkStatus();
  const absl::Status ended = co_await SendEnd(state);
  if (state->left_.load(kRelaxed)) co_await SendLeft(state);
  co_return ended;
}

Task<absl::Status> TlsState::SendEnd(TlsRef state) {
  const Turn turn(state->writing_);
  if (!turn) co_return state->Busy("shut down writing to");
  const MutexGuard sends = co_await OrReturn(state->sending_.Lock());
  co_await OrReturn(state->CheckWrite("shut down writing to"));
  size_t accepted = 0;
  co_await OrReturn(Send(state, Sending::kEnd, {}, &accepted));
  state->shut_down_.store(true, kRelaxed);
  co_return co_await FlushOf(state->stream_);
}

// --- the end ---

Task<absl::Status> TlsState::EndAtOnce(TlsRef state) {
  const Turn turn(state->writing_);
  if (!turn) co_return state->Busy("close");
  const MutexGuard sends = co_await OrReturn(state->sending_.Lock());
  Step step = Step::kDone;
  bool peer_has_ended = false;
  ByteBuffer records;
  {
    const MutexGuard guard = co_await OrReturn(state->lock_.Lock());
    if (!state->shut_down_.load(kRelaxed)) {
      size_t count = 0;
      step = state->Encrypt(Sending::kEnd, {}, /*receives=*/false, &count);
    }
    peer_has_ended = state->engine_.peer_has_ended();
    state->TakeOutput(records);
  }
  state->shut_down_.store(true, kRelaxed);
  const absl::Status sent = co_await SendBelow(state, records);
  if (step == Step::kFailed) co_return state->Failed("close");
  // Who has said all may be gone.
  if (peer_has_ended) co_return absl::OkStatus();
  if (step == Step::kNeedsInput) {
    co_return absl::UnavailableError(
        absl::StrCat("close ", state->Name(),
                     ": the peer was not told the end (TLS), as it has sent half a message"));
  }
  co_return sent;
}

Task<void> TlsState::DropWhatCame(TlsRef state) {
  constexpr size_t kAtOnce = 4096;
  constexpr int kTimes = 16;
  co_await StreamState::AtHome(*state->stream_.get(), [&] {
    if (!state->stream_->is_socket() || state->stream_->reading()) return;
    char dropped[kAtOnce];
    for (int i = 0; i < kTimes && state->stream_->fd() >= 0; ++i) {
      if (sys::Calls().Receive(state->stream_->fd(), dropped, kAtOnce) <= 0) return;
    }
  });
}

Task<absl::Status> TlsState::Close(TlsRef state) {
  if (!state) co_return StreamIsClosed("close");
  absl::Status status = co_await Flush(state);
  // Else not all was sent, and the peer is to find that out.
  if (status.ok() || (absl::IsCancelled(status) && state->unsent() == 0)) {
    status.Update(co_await Uncancellable(EndAtOnce(state)));
    if (status.ok() && state->unsent() > 0) status = co_await Flush(state);
  }
  co_await DropWhatCame(state);
  status.Update(co_await StreamState::CloseDescriptor(state->stream_));
  co_return status;
}

}  // namespace plait::internal
