#include "plait/io/net/stream_read.h"

#include <errno.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/stream_calls.h"
#include "plait/io/system/errno_status.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/task/budget.h"

namespace plait::internal {
namespace {

constexpr AwaitKind kReadKind{"Stream::Read"};
constexpr AwaitNote kReadNote{&kReadKind};

// What is asked for at once of what is read ahead.
constexpr size_t kPiece = ByteBuffer::kBlock;
constexpr size_t kLargestPiece = size_t{64} << 10;

// Of a read that the reactor has told nothing of.
constexpr int32_t kUnannounced = std::numeric_limits<int32_t>::max();

}  // namespace

StreamRead::StreamRead(StreamRef&& state, bool fills, bool tells) noexcept
    : HomeWait(&OnStop<&CancelRead>),
      IoOperation(&Delivered),
      fills_(fills),
      tells_(tells),
      state_(std::move(state)) {
  opcode = IoOpcode::kRead;
}

void StreamRead::Carry(PromiseBase& waiter, Worker& home) noexcept {
  StartAt<&StartHere, &CancelRead>(waiter, home, kReadNote);
}

// In line, as the following are: they are steps of one way, which each request goes.
[[gnu::always_inline]] inline int32_t StreamRead::Receive(StreamState& state,
                                                          int32_t announced) noexcept {
  const absl::Span<char> room =
      fills_ ? state.incoming_.Room(kPiece).subspan(0, kLargestPiece) : target()->rest();
  const int64_t received = state.ReceiveNow(room);
  if (fills_) state.incoming_.Commit(static_cast<size_t>(std::max<int64_t>(received, 0)));
  // A short read from another than a TCP socket says nothing about what is behind it, nor does one
  // that stopped at urgent data, as it may have where fewer bytes came than were announced.
  state.drained_ = state.kind_ == StreamState::Kind::kTcp && received > 0 &&
                   static_cast<size_t>(received) < room.size() && received >= announced;
  return static_cast<int32_t>(received);
}

inline bool StreamRead::TryNow(StreamState& state) noexcept {
  result = Receive(state, kUnannounced);
  if (result < 0) {
    found_nothing_ = result == -EAGAIN;
    if (found_nothing_) return false;
    state.set_read_error(result);
  } else if (!fills_) {
    target()->at += result;
  }
  return true;
}

inline bool StreamRead::GoesOn() noexcept {
  gives_turn_ = !SpendBudget();
  return !gives_turn_;
}

bool StreamRead::IsDone() noexcept {
  StreamState* const state = state_.get();
  refusal_ = state == nullptr ? StreamRefusal::kClosed : state->RefusalToRead();
  if (refusal_ != StreamRefusal::kNone) [[unlikely]]
    return true;
  StreamTarget* const into = target();
  if (into != nullptr && state->incoming_.size() >= into->least) {
    if (StopRequested()) return false;
    into->TakeFrom(state->incoming_);
    return GoesOn();
  }
  if (tells_ && state->unseen_) {
    if (StopRequested()) return false;
    state->unseen_ = false;
    result = ResultOf(state->incoming_.size());
    if (result > 0) return GoesOn();
  }
  if (state->shots_.started() && state->is_home(Worker::Current()) && !StopRequested()) {
    const StreamShots& shots = state->shots_;
    if (shots.has_some() && TakeShots(*state)) return GoesOn();
    if (shots.ended()) state->EndShots(nullptr);
  }
  result = state->read_error();
  if (result < 0) [[unlikely]]
    return true;
  // Any byte is enough: of one that needs more, and then fails, what it took would have to go back.
  return state->reads_itself() && (fills_ || into->least == 1) && !state->drained_ &&
         !StopRequested() && state->is_home(Worker::Current()) && SpendBudget() && TryNow(*state);
}

inline void StreamRead::AwaitInput(StreamState& state) noexcept {
  opcode = IoOpcode::kAwaitInput;
  if (state.reads_itself() && !state.drained_ && !found_nothing_) [[unlikely]] {
    // Nobody has looked yet: as if the reactor had told of it.
    result = kUnannounced;
    reactor_slot[0] = nullptr;
    home()->Post(static_cast<IoOperation&>(*this));
    return;
  }
  if (fills_) state.incoming_.Trim();
  args.flags = found_nothing_ ? kFoundNothing : 0;
  found_nothing_ = false;
  state.drained_ = true;  // from now on that is for the reactor to say
  home()->reactor()->Submit(*this);
}

[[gnu::always_inline]] inline void StreamRead::ReadRest(StreamState& state) noexcept {
  const bool waits = fills_ && state.reading_ != StreamState::Reading::kReactorAtOnce;
  if (waits || state.reads_itself()) return AwaitInput(state);
  const absl::Span<char> room =
      fills_ ? state.incoming_.Room(kPiece).subspan(0, kLargestPiece) : target()->rest();
  opcode = IoOpcode::kRead;
  args.data = room.data();
  args.size = room.size();
  args.offset = -1;
  home()->reactor()->Submit(*this);
}

inline void StreamRead::StartInLine(StreamState& state) noexcept {
  if (!fills_) target()->TakeFrom(state.incoming_);
  flag_b_ = state.UsesShots(*this);
  if (by_shots()) {
    if (fills_) state.incoming_.Trim();
    return;
  }
  using Reading = StreamState::Reading;
  if (state.reading_ == Reading::kUnknown) [[unlikely]] {
    state.drained_ = true;  // or not: the reactor says so of a descriptor that it does not know
    // A pipe's writing end has no input to wait for, and only a read says so.
    state.reading_ = state.kind_ == StreamState::Kind::kFile          ? Reading::kReactorAtOnce
                     : home()->reactor()->prefers_await_input()       ? Reading::kItself
                     : state.kind_ == StreamState::Kind::kNonBlocking ? Reading::kReactorAtOnce
                                                                      : Reading::kReactor;
  }
  fd = state.fd();
  ReadRest(state);
}

void StreamRead::Start(StreamState& state) noexcept { StartInLine(state); }

bool StreamRead::Wait(PromiseBase& waiter) noexcept {
  if (gives_turn_) [[unlikely]] {
    waiter.ScheduleLast();
    return true;
  }
  StreamState& state = *state_.get();
  Worker* const home = Worker::Current();
  refusal_ = state.ComeHome(home);
  if (refusal_ != StreamRefusal::kNone) [[unlikely]]
    return false;
  // Before Begin, which may have another thread go on with the coroutine if a stop came first.
  result = -ECANCELED;
  if (!Begin(waiter, *home, kReadNote)) return true;
  state.reader_.store(this, kRelaxed);
  StartInLine(state);
  return true;
}

bool StreamRead::TakeShots(StreamState& state) noexcept {
  StreamShots& shots = state.shots_;
  Reactor& reactor = *state.home().reactor();
  if (fills_) {
    result =
        ResultOf(shots.TakeInto(reactor, state.incoming_, state.incoming_.size() + kLargestPiece));
    return result > 0;
  }
  StreamTarget& into = *target();
  if (state.incoming_.empty() && (by_shots() || into.least == 1)) {
    into.at += shots.TakeInto(reactor, into.rest(), state.incoming_);
  } else {
    // It does not wait yet, and this may not be enough: a read that fails takes nothing.
    shots.TakeInto(reactor, state.incoming_, into.least);
    if (state.incoming_.size() >= into.least) into.TakeFrom(state.incoming_);
  }
  state.unseen_ = !state.incoming_.empty();
  result = 0;
  return into.has_enough();
}

void StreamRead::PutBack(StreamState& state) noexcept {
  const StreamTarget* const into = target();
  if (into == nullptr || into->count() == 0) return;
  state.incoming_.Append(absl::MakeConstSpan(into->begin, into->count()));
  state.unseen_ = true;
}

void StreamRead::Delivered(WorkItem& item) noexcept {
  auto& self = static_cast<StreamRead&>(static_cast<IoOperation&>(item));
  StreamState& state = *self.state_.get();
  if (self.by_shots()) [[unlikely]]
    return self.Happened();  // the stream was closed
  if (self.opcode == IoOpcode::kAwaitInput && self.result >= 0) [[likely]] {
    const int32_t announced = self.result;
    state.drained_ = false;
    self.result = self.flag_a_ || state.closed() ? -ECANCELED : self.Receive(state, announced);
    self.found_nothing_ = self.result == -EAGAIN;
    if (self.found_nothing_) [[unlikely]]
      return self.AwaitInput(state);
  } else if (self.result == -EPERM && self.opcode == IoOpcode::kAwaitInput) {
    state.reading_ = StreamState::Reading::kReactorAtOnce;  // there are no events of it
    if (!self.flag_a_ && !state.closed()) return self.ReadRest(state);
    // Nothing is wrong with the stream, which the next read finds so.
    self.result = -ECANCELED;
  } else if (self.fills_ && self.opcode == IoOpcode::kRead) {
    state.incoming_.Commit(static_cast<size_t>(std::max(self.result, 0)));
  }
  if (self.result > 0 && !self.fills_) {
    StreamTarget& into = *self.target();
    into.at += self.result;
    if (!into.has_enough()) {
      // A cancel that came between the delivery and now found nothing to cancel.
      if (!self.flag_a_ && !state.closed()) {
        self.ReadRest(state);
        return;
      }
      self.result = -ECANCELED;
    }
  }
  state.reader_.store(nullptr, kRelaxed);
  // What the system says of a connection that this side has ended.
  if (state.closed() && self.result <= 0) [[unlikely]]
    self.result = -ECANCELED;
  if (self.result < 0) [[unlikely]] {
    if (self.result != -ECANCELED) state.set_read_error(self.result);
    self.PutBack(state);
  }
  self.Happened();
}

bool StreamRead::CancelRead(HomeWait& wait) noexcept {
  auto& self = static_cast<StreamRead&>(wait);
  if (self.by_shots()) {
    StreamState& state = *self.state_.get();
    if (state.reader_.load(kRelaxed) != &self) return false;  // its end is on its way
    state.reader_.store(nullptr, kRelaxed);
    self.PutBack(state);
    self.result = -ECANCELED;
    return true;
  }
  self.flag_a_ = true;
  self.home()->reactor()->Cancel(self);
  return false;  // it is delivered all the same
}

absl::Status StreamRead::Failure() const {
  if (refusal_ == StreamRefusal::kClosed) {
    return absl::FailedPreconditionError("read: the stream is closed");
  }
  if (refusal_ != StreamRefusal::kNone) return state_->Refused("read", refusal_);
  return ErrnoToStatus(result, absl::StrCat("read from ", state_->Name()));
}

std::string StreamRead::Name() const { return state_->Name(); }

absl::Status StreamReadInto::EndedEarly() const {
  absl::Status status = absl::OutOfRangeError(absl::StrCat(
      "read from ", Name(), ": the stream ended after ", count(), " of ", target_.least, " bytes"));
  SetPartialBytes(status, absl::string_view(target_.begin, count()));
  return status;
}

}  // namespace plait::internal
