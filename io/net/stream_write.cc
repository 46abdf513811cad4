#include "plait/io/net/stream_write.h"

#include <errno.h>

#include "absl/strings/str_cat.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/stream_calls.h"
#include "plait/io/system/errno_status.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/task/budget.h"

namespace plait::internal {
namespace {

constexpr AwaitKind kWriteKind{"Stream::Write"};
constexpr AwaitNote kWriteNote{&kWriteKind};

}  // namespace

void StreamWrite::Carry(PromiseBase& waiter, Worker& home) noexcept {
  waiting().StartAt(waiter, home);
}

void StreamWrite::Waiting::StartAt(PromiseBase& waiter, Worker& home) noexcept {
  HomeWait::StartAt<&Start, &Cancel>(waiter, home, kWriteNote);
}

bool StreamWrite::IsDone() noexcept {
  StreamState* const state = state_.get();
  refusal_ =
      state == nullptr ? StreamRefusal::kClosed : state->RefusalToWrite(kind_ == Kind::kFlush);
  if (refusal_ != StreamRefusal::kNone) [[unlikely]]
    return true;
  result_ = state->write_error();
  if (result_ < 0) [[unlikely]]
    return true;
  if (StopRequested()) return false;
  if (kind_ == Kind::kFlush) return state->outgoing_ == nullptr;
  if (state->outgoing_ == nullptr && !rest().empty() && !GoesWithoutCopy()) {
    const int64_t sent = state->SendNow(rest());
    if (sent < 0) [[unlikely]] {
      result_ = static_cast<int>(sent);
      state->set_write_error(result_);
      return true;
    }
    Accepted(static_cast<size_t>(sent));
  }
  return rest().empty() && SpendBudget();
}

bool StreamWrite::GoesWithoutCopy() const noexcept {
  // Never worth it, and not worth asking.
  constexpr size_t kLittle = 4096;
  if (rest().size() < kLittle || !state_->is_socket()) [[likely]]
    return false;
  Worker* const here = Worker::Current();
  const Reactor* const reactor = here == nullptr ? nullptr : here->reactor();
  return reactor != nullptr && reactor->sends_without_copy(state_->fd(), rest().size());
}

bool StreamWrite::Wait(PromiseBase& waiter) noexcept {
  StreamState& state = *state_.get();
  Worker* const home = Worker::Current();
  if (kind_ == Kind::kWrite && rest().empty()) {  // it is the others' turn
    waiter.ScheduleLast();
    return true;
  }
  refusal_ = state.ComeHome(home);
  if (refusal_ != StreamRefusal::kNone) return false;
  if (kind_ == Kind::kWrite && state.Fits(rest().size()) && !waiter.context->stop_requested() &&
      !GoesWithoutCopy()) {
    state.Enqueue(rest());
    Accepted(rest().size());
    if (SpendBudget()) return false;
    waiter.ScheduleLast();
    return true;
  }
  // See StreamRead::Wait.
  result_ = -ECANCELED;
  if (!waiting().Begin(waiter, *home, kWriteNote)) return true;
  const bool pumps = state.outgoing_ != nullptr;
  if (!pumps) state.outgoing_ = std::make_unique<StreamState::Outgoing>(state);
  state.outgoing_->writer = this;
  if (!pumps) state.Pump();
  return true;
}

bool StreamWrite::CancelWait() noexcept {
  StreamState& state = *state_.get();
  if (state.outgoing_->from_writer) {
    waiting_->set_cancelled();
    state.home().reactor()->Cancel(*state.outgoing_);
    return false;  // OnSent ends the wait: until then the kernel has its memory
  }
  state.outgoing_->writer = nullptr;
  return true;
}

absl::Status StreamWrite::Failure() const {
  const absl::string_view what = kind_ == Kind::kWrite ? "write" : "flush";
  absl::Status failure;
  if (refusal_ == StreamRefusal::kClosed) {
    failure = absl::FailedPreconditionError(absl::StrCat(what, ": the stream is closed"));
  } else if (refusal_ != StreamRefusal::kNone) {
    failure = state_->Refused(what, refusal_);
  } else {
    failure = ErrnoToStatus(result_, absl::StrCat("write to ", state_->Name()));
  }
  if (kind_ == Kind::kWrite) {
    SetAcceptedBytes(failure, has_waiting_ ? waiting_->total - waiting_->rest.size() : 0);
  }
  return failure;
}

}  // namespace plait::internal
