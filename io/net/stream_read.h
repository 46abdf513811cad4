// StreamRead: what is awaited to read from a Stream, into memory of the caller's or ahead.
// Internal; see stream.h for what it promises and stream_state.h for how.
#ifndef PLAIT_IO_NET_STREAM_READ_H_
#define PLAIT_IO_NET_STREAM_READ_H_

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "plait/io/net/stream_state.h"
#include "plait/io/net/stream_target.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/home_wait.h"
#include "plait/runtime/task/or_returnable.h"
#include "plait/runtime/task/promise.h"

namespace plait::internal {

// What every co_await of bytes has: of those that go to a StreamTarget, and of those that are read
// ahead. Its operation is its kind's.
class StreamRead : private StoppableWait {
 public:
  inline bool await_ready() noexcept;
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return Suspend(waiter.promise());
  }

 protected:
  // Of those that read ahead, one that `tells` is its caller's, who is told of the bytes; another
  // is part of a read that looks at what there is before, and what that leaves is yet to be told.
  StreamRead(StreamRef&& state, bool fills, bool tells) noexcept
      : StoppableWait(&OnStop), fills_(fills), tells_(tells), state_(std::move(state)) {}
  ~StreamRead() = default;
  // Its operation has been delivered: it was `told` of input, or has read.
  void Ended(bool told) noexcept;
  inline bool failed() const noexcept;
  // How many bytes were read ahead.
  inline size_t filled() const noexcept;
  absl::Status Failure() const;
  std::string Name() const;

 private:
  friend class StreamState;

  // An operation that reads ahead, where the reactor does that and cannot be asked to wait only.
  struct ReadAhead;

  // Of so many bytes that were read ahead, which may be more than a result can say.
  static constexpr int32_t ResultOf(size_t bytes) noexcept {
    return static_cast<int32_t>(std::min<size_t>(bytes, std::numeric_limits<int32_t>::max()));
  }

  inline IoOperation& operation() noexcept;
  // It is written once, and writes nothing.
  const IoOperation& operation() const noexcept {
    return const_cast<StreamRead&>(*this).operation();
  }
  int32_t result() const noexcept { return operation().result; }
  void set_result(int32_t result) noexcept { operation().result = result; }

  // It waits for what the stream's multishot brings, and has no operation of its own.
  bool by_shots() const noexcept { return flag_b_; }
  void Start(StreamState& state) noexcept;
  inline void StartInLine(StreamState& state) noexcept;
  // What the kernel has now; of `announced` bytes it spoke. How many, or -errno.
  int32_t Receive(StreamState& state, int32_t announced) noexcept;
  // It has what it was to read: whether it goes on at once, or gives others their turn.
  bool GoesOn() noexcept;
  // Receives before it waits. False where there is nothing now.
  bool TryNow(StreamState& state) noexcept;
  void AwaitInput(StreamState& state) noexcept;
  // Takes what the multishot has brought. Whether that is enough.
  bool TakeShots(StreamState& state) noexcept;
  // It gets no more: what it has is for the next one to find.
  void PutBack(StreamState& state) noexcept;
  void ReadRest(StreamState& state) noexcept;
  void ReadByReactor(StreamState& state) noexcept;
  // Null where it reads ahead.
  inline StreamTarget* target() noexcept;
  inline bool Suspend(PromiseBase& waiter) noexcept;
  // Not at home.
  void Carry(PromiseBase& waiter, Worker& home) noexcept;
  // At home: the two halves of an await.
  bool IsDone() noexcept;
  bool Wait(PromiseBase& waiter) noexcept;
  static bool StartHere(StoppableWait& wait, PromiseBase& waiter) noexcept {
    auto& self = static_cast<StreamRead&>(wait);
    return !self.IsDone() && self.Wait(waiter);
  }
  static void OnStop(plait::WorkItem& item) noexcept;
  static bool CancelRead(StoppableWait& wait) noexcept;

  const bool fills_;         // reads ahead
  const bool tells_;         // and what there is it has to tell of
  bool gives_turn_ = false;  // before it goes on with what it has
  StreamRefusal refusal_ = StreamRefusal::kNone;
  StreamRef state_;
};

// co_await: reads at least `least` bytes, at most into.size().
class StreamReadInto : public StreamRead, private IoCall {
 public:
  StreamReadInto(StreamRef state, absl::Span<char> into, size_t least) noexcept
      : StreamRead(std::move(state), /*fills=*/false, /*tells=*/false),
        IoCall(&Delivered),
        target_(into, least) {}

 protected:
  ~StreamReadInto() = default;
  size_t count() const noexcept { return target_.count(); }
  bool ended_early() const noexcept { return !target_.has_enough(); }
  absl::Status EndedEarly() const;

 private:
  friend class StreamRead;

  static void Delivered(plait::WorkItem& item) noexcept;

  StreamTarget target_;
};

// co_await: waits for bytes, and adds them to those that were read ahead; how many, 0 at the end.
// While it waits there is no memory for them.
class [[nodiscard]] StreamFill final : public StreamRead, private IoAwaitInput {
 public:
  StreamFill(StreamRef&& state, bool tells) noexcept
      : StreamRead(std::move(state), /*fills=*/true, tells), IoAwaitInput(&Delivered) {}
  absl::StatusOr<size_t> await_resume() const {
    if (failed()) [[unlikely]]
      return Failure();
    return filled();
  }
  // For OrReturn.
  bool await_failed() const noexcept { return failed(); }

 private:
  friend class StreamRead;

  static void Delivered(plait::WorkItem& item) noexcept;
};

// (Both have it in the same place.)
inline IoOperation& StreamRead::operation() noexcept {
  return fills_ ? static_cast<IoOperation&>(static_cast<StreamFill&>(*this))
                : static_cast<StreamReadInto&>(*this);
}
inline StreamTarget* StreamRead::target() noexcept {
  return fills_ ? nullptr : &static_cast<StreamReadInto&>(*this).target_;
}
inline bool StreamRead::failed() const noexcept {
  return refusal_ != StreamRefusal::kNone || result() < 0;
}
inline size_t StreamRead::filled() const noexcept {
  const int32_t count = result();
  if (!tells_ && count > 0) state_->unseen_ = true;
  return static_cast<size_t>(count);
}

// `kTells`: see StreamRead. A part of the type, as a frame has one of these for each await.
template <bool kTells>
class [[nodiscard]] StreamFillAwaitable : public OrReturnable<StreamFillAwaitable<kTells>> {
 public:
  explicit StreamFillAwaitable(StreamRef state) noexcept : state_(std::move(state)) {}
  StreamFill operator co_await() && noexcept { return StreamFill(std::move(state_), kTells); }
  StreamFill operator co_await() const& noexcept { return StreamFill(StreamRef(state_), kTells); }

 private:
  StreamRef state_;
};

// There may be very many that wait for something to happen.
static_assert(sizeof(StreamFill) <= 96);

// In line, as every request comes by here.
inline bool StreamRead::await_ready() noexcept {
  return (!state_ || state_->HomeElsewhere() == nullptr) && IsDone();
}

inline bool StreamRead::Suspend(PromiseBase& waiter) noexcept {
  Worker* const home = state_->HomeElsewhere();
  if (home == nullptr) [[likely]]
    return Wait(waiter);
  Carry(waiter, *home);
  return true;
}

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_READ_H_
