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

// Its reader knows of it where the link of the reader's own operation is, which is in no queue
// meanwhile.
struct StreamRead::ReadAhead final : IoCall {
  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* call, size_t size) noexcept { FreeFrame(call, size); }

  explicit ReadAhead(StreamRead& of) noexcept : IoCall(&Delivered), reader(of) {
    reader.operation().next = this;
  }

  static void Delivered(WorkItem& item) noexcept {
    const auto& call = static_cast<const ReadAhead&>(item);
    StreamRead& reader = call.reader;
    reader.operation().next = nullptr;
    reader.set_result(call.result);
    delete &call;
    reader.Ended(/*told=*/false);
  }

  StreamRead& reader;
};

void StreamRead::OnStop(plait::WorkItem& item) noexcept {
  auto& self = static_cast<StreamRead&>(StoppableWait::Of(item));
  self.Stop<&CancelRead>(self.state_->home());
}

void StreamRead::Carry(PromiseBase& waiter, Worker& home) noexcept {
  StartAt<&StartHere, &OnStop>(waiter, home, kReadNote);
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
  const int32_t received = Receive(state, kUnannounced);
  set_result(received);
  if (received < 0) {
    const bool found_nothing = received == -EAGAIN;
    operation().found_nothing = found_nothing;
    if (found_nothing) return false;
    state.set_read_error(received);
  } else if (!fills_) {
    target()->at += received;
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
    set_result(ResultOf(state->incoming_.size()));
    if (result() > 0) return GoesOn();
  }
  if (state->shots_.started() && state->is_home(Worker::Current()) && !StopRequested()) {
    const StreamShots& shots = state->shots_;
    if (shots.has_some() && TakeShots(*state)) return GoesOn();
    if (shots.ended()) state->EndShots(nullptr);
  }
  set_result(state->read_error());
  if (result() < 0) [[unlikely]]
    return true;
  // Any byte is enough: of one that needs more, and then fails, what it took would have to go back.
  return state->reads_itself() && (fills_ || into->least == 1) && !state->drained_ &&
         !StopRequested() && state->is_home(Worker::Current()) && SpendBudget() && TryNow(*state);
}

inline void StreamRead::AwaitInput(StreamState& state) noexcept {
  IoOperation& wait = operation();
  wait.opcode = IoOpcode::kAwaitInput;
  if (state.reads_itself() && !state.drained_ && !wait.found_nothing) [[unlikely]] {
    // Nobody has looked yet: as if the reactor had told of it.
    wait.result = kUnannounced;
    wait.reactor_slot[0] = nullptr;
    state.home().Post(wait);
    return;
  }
  if (fills_) state.incoming_.Trim();
  state.drained_ = true;  // from now on that is for the reactor to say
  state.home().reactor()->Submit(wait);
}

[[gnu::always_inline]] inline void StreamRead::ReadRest(StreamState& state) noexcept {
  const bool waits = fills_ && state.reading_ != StreamState::Reading::kReactorAtOnce;
  if (waits || state.reads_itself()) return AwaitInput(state);
  ReadByReactor(state);
}

void StreamRead::ReadByReactor(StreamState& state) noexcept {
  const absl::Span<char> room =
      fills_ ? state.incoming_.Room(kPiece).subspan(0, kLargestPiece) : target()->rest();
  IoCall& call = fills_ ? static_cast<IoCall&>(*new ReadAhead(*this))
                        : static_cast<IoCall&>(static_cast<StreamReadInto&>(*this));
  call.opcode = IoOpcode::kRead;
  call.fd = state.fd();
  call.args.data = room.data();
  call.args.size = room.size();
  call.args.offset = -1;
  state.home().reactor()->Submit(call);
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
                     : state.home().reactor()->prefers_await_input()  ? Reading::kItself
                     : state.kind_ == StreamState::Kind::kNonBlocking ? Reading::kReactorAtOnce
                                                                      : Reading::kReactor;
  }
  operation().fd = state.fd();
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
  set_result(-ECANCELED);
  if (!Begin(waiter, kReadNote)) return true;
  state.reader_.store(this, kRelaxed);
  StartInLine(state);
  return true;
}

bool StreamRead::TakeShots(StreamState& state) noexcept {
  StreamShots& shots = state.shots_;
  Reactor& reactor = *state.home().reactor();
  if (fills_) {
    const size_t enough = state.incoming_.size() + kLargestPiece;
    set_result(ResultOf(shots.TakeInto(reactor, state.incoming_, enough)));
    return result() > 0;
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
  set_result(0);
  return into.has_enough();
}

void StreamRead::PutBack(StreamState& state) noexcept {
  const StreamTarget* const into = target();
  if (into == nullptr || into->count() == 0) return;
  state.incoming_.Append(absl::MakeConstSpan(into->begin, into->count()));
  state.unseen_ = true;
}

void StreamFill::Delivered(plait::WorkItem& item) noexcept {
  static_cast<StreamFill&>(static_cast<IoAwaitInput&>(item)).Ended(/*told=*/true);
}

void StreamReadInto::Delivered(plait::WorkItem& item) noexcept {
  auto& self = static_cast<StreamReadInto&>(static_cast<IoCall&>(item));
  self.Ended(/*told=*/self.opcode == IoOpcode::kAwaitInput);
}

void StreamRead::Ended(bool told) noexcept {
  StreamState& state = *state_.get();
  if (by_shots()) [[unlikely]]
    return Happened();  // the stream was closed
  int32_t ended = result();
  if (told && ended >= 0) [[likely]] {
    state.drained_ = false;
    ended = flag_a_ || state.closed() ? -ECANCELED : Receive(state, ended);
    const bool found_nothing = ended == -EAGAIN;
    operation().found_nothing = found_nothing;
    if (found_nothing) [[unlikely]]
      return AwaitInput(state);
  } else if (told && ended == -EPERM) {
    state.reading_ = StreamState::Reading::kReactorAtOnce;  // there are no events of it
    if (!flag_a_ && !state.closed()) return ReadRest(state);
    // Nothing is wrong with the stream, which the next read finds so.
    ended = -ECANCELED;
  } else if (!told && fills_) {
    state.incoming_.Commit(static_cast<size_t>(std::max(ended, 0)));
  }
  if (ended > 0 && !fills_) {
    StreamTarget& into = *target();
    into.at += ended;
    if (!into.has_enough()) {
      // A cancel that came between the delivery and now found nothing to cancel.
      if (!flag_a_ && !state.closed()) return ReadRest(state);
      ended = -ECANCELED;
    }
  }
  state.reader_.store(nullptr, kRelaxed);
  // What the system says of a connection that this side has ended.
  if (ended <= 0) [[unlikely]] {
    if (state.closed() || state.HasEnd(StreamState::kAtHome)) ended = -ECANCELED;
    state.EndIfClosedElsewhere();
  }
  set_result(ended);
  if (ended < 0) [[unlikely]] {
    if (ended != -ECANCELED) state.set_read_error(ended);
    PutBack(state);
  }
  Happened();
}

bool StreamRead::CancelRead(StoppableWait& wait) noexcept {
  auto& self = static_cast<StreamRead&>(wait);
  StreamState& state = *self.state_.get();
  if (self.by_shots()) {
    if (state.reader_.load(kRelaxed) != &self) return false;  // its end is on its way
    state.reader_.store(nullptr, kRelaxed);
    self.PutBack(state);
    self.set_result(-ECANCELED);
    return true;
  }
  self.flag_a_ = true;
  const bool ahead = self.fills_ && state.reading_ == StreamState::Reading::kReactorAtOnce;
  IoOperation* const operation =
      ahead ? static_cast<ReadAhead*>(self.operation().next) : &self.operation();
  if (operation != nullptr) state.home().reactor()->Cancel(*operation);
  return false;  // it is delivered all the same
}

absl::Status StreamRead::Failure() const {
  if (refusal_ == StreamRefusal::kClosed) {
    return absl::FailedPreconditionError("read: the stream is closed");
  }
  if (refusal_ != StreamRefusal::kNone) return state_->Refused("read", refusal_);
  return ErrnoToStatus(result(), absl::StrCat("read from ", state_->Name()));
}

std::string StreamRead::Name() const { return state_->Name(); }

absl::Status StreamReadInto::EndedEarly() const {
  absl::Status status = absl::OutOfRangeError(absl::StrCat(
      "read from ", Name(), ": the stream ended after ", count(), " of ", target_.least, " bytes"));
  SetPartialBytes(status, absl::string_view(target_.begin, count()));
  return status;
}

}  // namespace plait::internal
