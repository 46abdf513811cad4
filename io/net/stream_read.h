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
#include "plait/runtime/task/promise.h"

namespace plait::internal {

// What every co_await of bytes has: of those that go to a StreamTarget, and of those that are read
// ahead.
class StreamRead : private HomeWait, private IoOperation {
 public:
  inline bool await_ready() noexcept;
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return Suspend(waiter.promise());
  }

 protected:
  // Of those that read ahead, one that `tells` is its caller's, who is told of the bytes; another
  // is part of a read that looks at what there is before, and what that leaves is yet to be told.
  StreamRead(StreamRef&& state, bool fills, bool tells) noexcept;
  ~StreamRead() = default;
  bool failed() const noexcept { return refusal_ != StreamRefusal::kNone || result < 0; }
  // How many bytes were read ahead.
  size_t filled() const noexcept {
    if (!tells_ && result > 0) state_->unseen_ = true;
    return static_cast<size_t>(result);
  }
  absl::Status Failure() const;
  std::string Name() const;

 private:
  friend class StreamState;

  // Of so many bytes that were read ahead, which may be more than a result can say.
  static constexpr int32_t ResultOf(size_t bytes) noexcept {
    return static_cast<int32_t>(std::min<size_t>(bytes, std::numeric_limits<int32_t>::max()));
  }

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
  // Null where it reads ahead.
  StreamTarget* target() noexcept;
  inline bool Suspend(PromiseBase& waiter) noexcept;
  // Not at home.
  void Carry(PromiseBase& waiter, Worker& home) noexcept;
  // At home: the two halves of an await.
  bool IsDone() noexcept;
  bool Wait(PromiseBase& waiter) noexcept;
  static bool StartHere(HomeWait& wait, PromiseBase& waiter) noexcept {
    auto& self = static_cast<StreamRead&>(wait);
    return !self.IsDone() && self.Wait(waiter);
  }
  static void Delivered(WorkItem& item) noexcept;
  static bool CancelRead(HomeWait& wait) noexcept;

  const bool fills_;            // reads ahead
  const bool tells_;            // and what there is it has to tell of
  bool found_nothing_ = false;  // just now
  bool gives_turn_ = false;     // before it goes on with what it has
  StreamRefusal refusal_ = StreamRefusal::kNone;
  StreamRef state_;
};

// co_await: reads at least `least` bytes, at most into.size().
class StreamReadInto : public StreamRead {
 public:
  StreamReadInto(StreamRef state, absl::Span<char> into, size_t least) noexcept
      : StreamRead(std::move(state), /*fills=*/false, /*tells=*/false), target_(into, least) {}

 protected:
  ~StreamReadInto() = default;
  size_t count() const noexcept { return target_.count(); }
  bool ended_early() const noexcept { return !target_.has_enough(); }
  absl::Status EndedEarly() const;

 private:
  friend class StreamRead;

  StreamTarget target_;
};

inline StreamTarget* StreamRead::target() noexcept {
  return fills_ ? nullptr : &static_cast<StreamReadInto&>(*this).target_;
}

// co_await: waits for bytes, and adds them to those that were read ahead; how many, 0 at the end.
// While it waits there is no memory for them.
class [[nodiscard]] StreamFill final : public StreamRead {
 public:
  StreamFill(StreamRef&& state, bool tells) noexcept
      : StreamRead(std::move(state), /*fills=*/true, tells) {}
  absl::StatusOr<size_t> await_resume() const {
    if (failed()) [[unlikely]]
      return Failure();
    return filled();
  }
  // For OrReturn.
  bool await_failed() const noexcept { return failed(); }
};

// `kTells`: see StreamRead. A part of the type, as a frame has one of these for each await.
template <bool kTells>
class [[nodiscard]] StreamFillAwaitable {
 public:
  explicit StreamFillAwaitable(StreamRef state) noexcept : state_(std::move(state)) {}
  StreamFill operator co_await() && noexcept { return StreamFill(std::move(state_), kTells); }
  StreamFill operator co_await() const& noexcept { return StreamFill(StreamRef(state_), kTells); }

 private:
  StreamRef state_;
};

// There may be very many that wait for something to happen.
static_assert(sizeof(StreamFill) <= 128);

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
