#include "plait/io/net/stream_state.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "plait/io/net/stream_at_home.h"
#include "plait/io/net/stream_owner.h"
#include "plait/io/net/stream_read.h"
#include "plait/io/net/stream_write.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task_local.h"

namespace plait::internal {
namespace {

void ShutDownBoth(int fd) noexcept { static_cast<void>(sys::Calls().Shutdown(fd, SHUT_RDWR)); }

}  // namespace

StreamState::StreamState(io::OwnedDescriptor descriptor, const SocketAddress& peer)
    : descriptor_(std::move(descriptor)), kind_(KindOf(descriptor_.get(), peer)), peer_(peer) {
  // What fails here fails with the first operation too, which says so.
  if (kind_ == Kind::kNonBlocking) {
    static_cast<void>(sys::Calls().SetNonBlocking(descriptor_.get()));
  }
}

StreamState::~StreamState() = default;

StreamState::Kind StreamState::KindOf(int fd, const SocketAddress& peer) noexcept {
  sys::SystemCalls& calls = sys::Calls();
  // Who knows the peer need not ask.
  if (peer.is_ip()) return Kind::kTcp;
  if (peer.family() != SocketAddress::Family::kNone) return Kind::kSocket;
  const int protocol = calls.SocketProtocol(fd);
  if (protocol >= 0) return protocol == IPPROTO_TCP ? Kind::kTcp : Kind::kSocket;
  return calls.Seek(fd, 0, SEEK_CUR) >= 0 ? Kind::kFile : Kind::kNonBlocking;
}

template <auto kCall>
absl::StatusOr<SocketAddress> StreamState::AskForAddress(absl::string_view what) const {
  const int asked = fd();
  SocketAddress address;
  ::sockaddr* const room = address.room();
  const int result = (sys::Calls().*kCall)(asked, room, address.room_size());
  // Its home may close it meanwhile: then it was another's number that was asked, perhaps.
  if (fd() != asked) {
    return absl::FailedPreconditionError(absl::StrCat(what, ": the stream is closed"));
  }
  if (result < 0) return ErrnoToStatus(result, absl::StrCat(what, " (fd ", asked, ")"));
  return address;
}

absl::StatusOr<SocketAddress> StreamState::LocalAddress() const {
  return AskForAddress<&sys::SystemCalls::SocketName>("getsockname");
}

absl::StatusOr<SocketAddress> StreamState::PeerAddress() const {
  SocketAddress peer = peer_.address();
  if (peer.is_ip()) return peer;
  return AskForAddress<&sys::SystemCalls::PeerName>("getpeername");
}

std::string StreamState::Name() const {
  const absl::StatusOr<SocketAddress> peer = PeerAddress();
  // Not one without a name, such as the other end of a pair.
  const bool named =
      peer.ok() && (peer->is_ip() || !peer->unix_path().empty() || !peer->unix_abstract().empty());
  if (named) return peer->ToString();
  const int number = fd();
  return number < 0 ? std::string("a closed stream") : absl::StrCat("fd ", number);
}

void StreamRef::Hold(StreamState& state) noexcept { state.Ref(); }

void StreamRef::Drop(StreamState& state) noexcept {
  if (state.Unref()) [[unlikely]]
    delete &state;
}

void StreamState::RefLocked() noexcept {
  const HomeLock::Bits bits = lock_.Lock();
  ++holders_;
  lock_.Unlock(bits);
}

bool StreamState::UnrefLocked() noexcept {
  const HomeLock::Bits bits = lock_.Lock();
  const bool last = --holders_ == 0;
  lock_.Unlock(bits);
  return last;
}

void StreamState::CountUnsent() noexcept {
  const size_t bytes =
      outgoing_ == nullptr ? 0 : outgoing_->sending.size() + outgoing_->waiting.size();
  unsent_.store(static_cast<uint32_t>(std::min<size_t>(bytes, UINT32_MAX)), kRelaxed);
}

// Of the worker of a group that has no home of this stream's here.
Worker* StreamState::FindHome(Worker& here) noexcept {
  WorkerGroup& group = *here.group();
  Worker* home = home_.load(kRelaxed);
  if (home == nullptr) {
    if (here.reactor() == nullptr || fd() < 0) return nullptr;
    Worker& found = group.HomeOf(fd(), here);
    // Relaxed: what there is of the stream is this task's to see already, and the home's from the
    // moment on that something was carried there.
    if (home_.compare_exchange_strong(home, &found, kRelaxed, kRelaxed)) home = &found;
  }
  // Of another executor, or gone: that is refused, as on any thread that is not the home.
  return home != &here && group.Has(home) ? home : nullptr;
}

Task<void> StreamState::AbortAtHome(StreamRef state) {
  co_await AtHome(*state.get(), [&] { state->AbortHere(); });
}

void StreamState::Abort() noexcept {
  if (HomeElsewhere() == nullptr) return AbortHere();
  const TaskLocals none;
  Spawn(AbortAtHome(StreamRef(this)), {.name = "close",
                                       .executor = &Worker::Current()->group()->executor(),
                                       .eager = true,
                                       .context = &none});
}

bool StreamState::BelongsElsewhere() noexcept {
  Worker* const here = Worker::Current();
  if (HomeElsewhere() != nullptr) return false;
  // Who has not begun to wait there yet is refused.
  static_cast<void>(Settle(here));
  return !is_home(nullptr) && !is_home(here);
}

void StreamState::EndElsewhere(void (*end_connection)(int fd)) noexcept {
  const int duplicate = descriptor_.Duplicate();
  if (duplicate < 0) return;  // closed already
  end_connection(duplicate);
  static_cast<void>(sys::Calls().Close(duplicate));  // no reactor knows it
}

void StreamState::AbortForOwner(void (*end_connection)(int fd)) noexcept {
  const StreamRef self(this);
  if (BelongsElsewhere()) {
    LeaveToHome();
    EndElsewhere(end_connection);
  } else {
    SetEnd(kClosing);
    end_connection(fd());
    Abort();
  }
  TellOwner();
}

// What a Stream that is dropped or aborted between two runs of its loop leaves to the next one.
struct StreamState::LateAbort : WorkItem {
  explicit LateAbort(StreamState& of) noexcept : WorkItem(&Run), state(&of) {}
  static void Run(WorkItem& item) noexcept {
    const std::unique_ptr<LateAbort> self(&static_cast<LateAbort&>(item));
    self->state->AbortHere();
  }

  StreamRef state;
};

void StreamState::AbortHere() noexcept {
  SetEnd(kClosed);
  if (!IsAtHome() && (reading() || outgoing_ != nullptr)) {
    // A reader or the pump is in flight, so its home is there; they can be ended there alone. The
    // peer need not wait for that.
    if (is_socket()) static_cast<void>(sys::Calls().Shutdown(fd(), SHUT_RDWR));
    return home().Post(*new LateAbort(*this));
  }
  StopShots();
  descriptor_.Reset();
  BlockAgain();
}

Task<absl::Status> StreamState::CloseDescriptor(StreamRef state) {
  io::OwnedDescriptor descriptor;
  co_await AtHome(*state.get(), [&] {
    state->SetEnd(kClosed);
    if (!state->descriptor_.valid()) return;  // by somebody else
    state->StopShots();
    descriptor = std::move(state->descriptor_);
  });
  if (!descriptor.valid()) co_return absl::OkStatus();
  const absl::Status closed = co_await descriptor.Close();
  co_await AtHome(*state.get(), [&] { state->BlockAgain(); });
  co_return closed;
}

Task<absl::Status> StreamState::CloseForOwner(StreamRef state) {
  // The Stream's holder may drop it as soon as this has begun.
  const bool elsewhere = state->BelongsElsewhere();
  if (elsewhere) state->LeaveToHome();
  const absl::Status left = co_await StreamOwner::TellAndAwait(*state.get());
  if (elsewhere) {
    if (state->unsent() == 0) state->EndElsewhere(&ShutDownBoth);
    co_return absl::OkStatus();
  }
  while (left.ok()) {
    Event sent;
    bool sends = false;
    co_await AtHome(*state.get(), [&] {
      sends = state->IsAtHome() && state->outgoing_ != nullptr;
      if (!sends) return;
      state->outgoing_->gone = &sent;
      StreamWrite* const writer = state->outgoing_->writer;
      if (writer != nullptr && writer->kind_ == StreamWrite::Kind::kWrite) {
        // Ended by OnSent, which sends on what the stream has in its own memory.
        writer->waiting_->set_cancelled();
        state->home().reactor()->Cancel(*state->outgoing_);
      }
    });
    if (!sends) break;
    const absl::Status waited = co_await sent.Wait();
    co_await AtHome(*state.get(), [&] {
      if (state->outgoing_ != nullptr) state->outgoing_->gone = nullptr;
    });
    if (!waited.ok()) break;  // cut short by a cancel: it closes all the same
  }
  co_return co_await CloseDescriptor(state);
}

void StreamState::AcceptLast(absl::string_view data) {
  if (data.empty() || closed()) return;
  // It may not have written before.
  if (ComeHome(Worker::Current()) != StreamRefusal::kNone || write_error() != 0) return;
  Enqueue(absl::MakeConstSpan(data.data(), data.size()));
}

void StreamState::TellOwner() noexcept { StreamOwner::Tell(*this); }

void StreamState::BlockAgain() noexcept {
  if (blocks_again_ < 0) return;
  static_cast<void>(sys::Calls().SetBlocking(std::exchange(blocks_again_, -1)));
}

Task<absl::Status> StreamState::ShutDownNow(StreamRef state) {
  int result = 0;
  co_await AtHome(*state.get(), [&] {
    state->SetEnd(kShutDown);
    result = sys::Calls().Shutdown(state->fd(), SHUT_WR);
  });
  if (result >= 0) co_return absl::OkStatus();
  co_return ErrnoToStatus(result, absl::StrCat("shut down writing to ", state->Name()));
}

// --- what comes by a multishot ---

bool StreamState::StartsShots(StreamRead& reader) noexcept {
  const StreamTarget* const target = reader.target();
  // Not for a connection of one request and one answer.
  const bool has_waited = has_waited_;
  has_waited_ = true;
  if (!has_waited || kind_ != Kind::kTcp ||
      (target != nullptr && target->rest().size() > kMostByShots)) {
    return false;
  }
  no_shots_ = !shots_.Start(*home().reactor(), fd(), *this);
  if (no_shots_) return false;
  Ref();  // DropShots takes it back
  return true;
}

void StreamState::OnShots(Multishot&) noexcept {
  // Held by the multishot until that is dropped, and then by the reader until he goes on.
  if (closed()) {  // on another thread, which could not
    const StreamRef self(this);
    return StopShots();
  }
  StreamRead* const reader = reader_.load(kRelaxed);
  if (reader == nullptr || !reader->by_shots()) {
    // What has come is for the next one to take. The reactor has its buffers back in the end, as
    // that one may never come; not in `incoming_`, which somebody may be writing, or consume on
    // another thread.
    if (shots_.ending()) shots_.Keep(*home().reactor());
    return;
  }
  const bool enough = reader->TakeShots(*this);
  const bool ended = shots_.ending();
  int end = ended ? EndShots(enough && reader->fills_ ? reader : nullptr) : 0;
  if (end <= 0 && end != -ENOBUFS && HasEnd(kAtHome)) [[unlikely]]
    end = -ECANCELED;
  if (!enough) {
    if (!ended) return;
    reader->set_result(end);
    if (end == -ENOBUFS) return reader->Start(*this);  // into its own memory
    if (end < 0) reader->PutBack(*this);
  }
  reader_.store(nullptr, kRelaxed);
  if (ended) EndIfClosedElsewhere();
  reader->Happened();  // last: it may use the stream, or drop it
}

int StreamState::EndShots(StreamRead* filled) noexcept {
  const StreamRef self(this);
  const int end = shots_.end();
  // May be more than a read takes at once.
  const size_t left =
      shots_.TakeInto(*home().reactor(), incoming_, std::numeric_limits<size_t>::max());
  if (filled != nullptr) {
    filled->set_result(StreamRead::ResultOf(static_cast<size_t>(filled->result()) + left));
  } else if (left > 0) {
    unseen_ = true;
  }
  incoming_.Trim();
  DropShots();
  if (end == -ENOBUFS) {
    has_waited_ = false;  // they may pay again, in a while
  } else {
    no_shots_ = true;
    if (end < 0) set_read_error(end);
  }
  return end;
}

void StreamState::OnReactorGone(Multishot&) noexcept {
  const StreamRef self(this);
  shots_.Forget();
  DropShots();
}

// Where there are some, or were.
void StreamState::DropShots() noexcept {
  const StreamRef self(this);
  if (shots_.is_kept()) {
    shots_.Forget();  // its home may be gone
  } else if (shots_.started()) {
    shots_.Stop(*home().reactor());
  }
  static_cast<void>(Unref());  // not the last: `self` goes after it
}

void StreamState::StopShots() noexcept {
  if (!shots_.started()) return;
  if (!is_home(Worker::Current())) {
    // Only its own thread can stop it, and its loop may be closed already, so nothing can be posted
    // there. This tells the peer, and has it come to its end there; else it goes with the reactor.
    static_cast<void>(sys::Calls().Shutdown(fd(), SHUT_RDWR));
    // What has come to its end before is but memory, and nobody is at it: its loop does not run.
    // Another would be asked for again under a number that is another's by then.
    if (shots_.ending()) {
      DropShots();
    } else {
      shots_.DescriptorGone();
    }
    return;
  }
  DropShots();
  StreamRead* const reader = reader_.load(kRelaxed);
  if (reader == nullptr || !reader->by_shots()) return;
  reader_.store(nullptr, kRelaxed);
  reader->set_result(-ECANCELED);
  home().Post(reader->operation());
}

StreamRefusal StreamState::Settle(Worker* worker) noexcept {
  if (worker == nullptr || worker->reactor() == nullptr) return StreamRefusal::kNoReactor;
  Worker* nobody = nullptr;
  if (home_.compare_exchange_strong(nobody, worker, kRelaxed, kRelaxed)) {
    // Where it has no group nobody else should come.
    if (worker->group() == nullptr) {
      const HomeLock::Bits bits = lock_.Lock();
      lock_.MakeHome(bits);
      lock_.Unlock(bits);
    }
  }
  return is_home(worker) ? StreamRefusal::kNone : StreamRefusal::kOtherThread;
}

absl::Status StreamState::Refused(absl::string_view what, StreamRefusal refusal) const {
  absl::string_view why;
  switch (refusal) {
    case StreamRefusal::kNone:
      return absl::OkStatus();
    case StreamRefusal::kClosed:
      why = "the stream is closed";
      break;
    case StreamRefusal::kClosing:
      return absl::CancelledError(
          absl::StrCat(what, " (", Name(), "): the stream is being closed, or was, by its server"));
    case StreamRefusal::kShutDown:
      why = "its writing half was shut down";
      break;
    case StreamRefusal::kBusy:
      why = "another task is waiting for the same on this stream";
      break;
    case StreamRefusal::kNoReactor:
      why = "this executor has no reactor";
      break;
    case StreamRefusal::kOtherThread:
      why = "the stream belongs to another thread, where it has waited before";
      break;
  }
  return absl::FailedPreconditionError(absl::StrCat(what, " (", Name(), "): ", why));
}

void StreamState::Enqueue(absl::Span<const char> data) {
  const bool pumps = outgoing_ != nullptr;
  if (!pumps) outgoing_ = std::make_unique<Outgoing>(*this);
  outgoing_->waiting.Append(data);
  CountUnsent();
  if (!pumps) Pump();
}

void StreamState::Pump() noexcept {
  Outgoing& pump = *outgoing_;
  if (pump.sending.empty()) pump.sending.Swap(pump.waiting);
  absl::Span<const char> piece(pump.sending.view().data(), pump.sending.size());
  pump.from_writer = piece.empty();
  if (piece.empty() && pump.writer != nullptr) piece = pump.writer->rest();
  if (piece.empty()) {
    outgoing_ = nullptr;
    return;
  }
  pump.opcode = IoOpcode::kWrite;
  pump.fd = fd();
  pump.args.const_data = piece.data();
  pump.args.size = piece.size();
  pump.args.offset = -1;
  home().reactor()->Submit(pump);
}

void StreamState::Sent(WorkItem& item) noexcept {
  auto& pump = static_cast<Outgoing&>(item);
  const StreamRef state = pump.state;  // lives until the waiting writer has gone on
  state->OnSent(pump.result);
}

void StreamState::OnSent(int result) noexcept {
  Outgoing& pump = *outgoing_;
  if (result > 0) {
    if (pump.from_writer) {
      pump.writer->Accepted(static_cast<size_t>(result));
    } else {
      pump.sending.Consume(static_cast<size_t>(result));
      CountUnsent();
    }
  }
  // Its own memory was in flight, or CloseForOwner has interrupted what is the stream's. A cancel
  // that came without a writer is the end of the loop.
  const bool for_writer = pump.writer != nullptr && pump.writer->waiting_->cancelled() &&
                          (pump.from_writer || result == -ECANCELED);
  int outcome = 0;
  StreamWrite* finished = nullptr;
  if (closed() || (result < 0 && !for_writer)) {
    outcome = closed() || HasEnd(kAtHome) ? -ECANCELED : result;
    if (!closed()) set_write_error(result);
    finished = pump.writer;
    outgoing_ = nullptr;
    CountUnsent();
  } else {
    if (result < 0 && result != -ECANCELED) set_write_error(result);
    finished = TakeFinishedWriter(&outcome);
    Pump();
  }
  EndIfClosedElsewhere();
  // Last: it may use the stream, or drop it.
  if (finished != nullptr) finished->Finish(outcome);
}

StreamWrite* StreamState::TakeFinishedWriter(int* result) noexcept {
  StreamWrite* const writer = outgoing_->writer;
  if (writer == nullptr) return nullptr;
  const bool is_closed_elsewhere = writer->kind_ == StreamWrite::Kind::kWrite && HasEnd(kAtHome);
  if (writer->waiting_->cancelled() || is_closed_elsewhere) {
    *result = -ECANCELED;
  } else if (writer->kind_ == StreamWrite::Kind::kFlush) {
    if (unsent() > 0) return nullptr;
  } else if (Fits(writer->rest().size()) && !writer->GoesWithoutCopy()) {
    outgoing_->waiting.Append(writer->rest());
    CountUnsent();
    writer->Accepted(writer->rest().size());
  } else {
    return nullptr;
  }
  return std::exchange(outgoing_->writer, nullptr);
}

}  // namespace plait::internal
