// StreamWrite: what is awaited to write to a Stream, or to flush it. Internal; see stream.h for
// what it promises and stream_state.h for how.
#ifndef PLAIT_IO_NET_STREAM_WRITE_H_
#define PLAIT_IO_NET_STREAM_WRITE_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "plait/io/net/stream_state.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/home_wait.h"
#include "plait/runtime/task/promise.h"

namespace plait::internal {

// co_await: has the stream accept `data`; or, without data, waits until all that it accepted is
// with the kernel.
class [[nodiscard]] StreamWrite final {
 public:
  enum class Kind : uint8_t { kWrite, kFlush };

  StreamWrite(StreamRef state, Kind kind, absl::Span<const char> data) noexcept
      : state_(std::move(state)), data_(data), kind_(kind) {}
  StreamWrite(const StreamWrite&) = delete;
  StreamWrite& operator=(const StreamWrite&) = delete;
  ~StreamWrite() {
    if (has_waiting_) [[unlikely]]
      delete waiting_;
  }

  inline bool await_ready() noexcept;
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return Suspend(waiter.promise());
  }
  absl::Status await_resume() const { return await_failed() ? Failure() : absl::OkStatus(); }
  // For OrReturn.
  bool await_failed() const noexcept { return refusal_ != StreamRefusal::kNone || result_ != 0; }

 private:
  friend class StreamState;

  // Its wait: made when it has to, or when a part is accepted, as most need not, and some
  // coroutines have room for every one of their writes.
  struct Waiting final : HomeWait {
    static void* operator new(size_t size) { return AllocateFrame(size); }
    static void operator delete(void* wait, size_t size) noexcept { FreeFrame(wait, size); }

    explicit Waiting(StreamWrite& of) noexcept
        : HomeWait(&OnStop<&Cancel>), whole(of), rest(of.data_), total(rest.size()) {}
    static bool Start(HomeWait& wait, PromiseBase& waiter) noexcept {
      StreamWrite& write = static_cast<Waiting&>(wait).whole;
      return !write.IsDone() && write.Wait(waiter);
    }
    static bool Cancel(HomeWait& wait) noexcept {
      return static_cast<Waiting&>(wait).whole.CancelWait();
    }
    void StartAt(PromiseBase& waiter, Worker& home) noexcept;
    bool cancelled() const noexcept { return flag_a_; }
    void set_cancelled() noexcept { flag_a_ = true; }

    StreamWrite& whole;
    absl::Span<const char> rest;  // what was not accepted yet
    const size_t total;           // bytes of it all
  };

  Waiting& waiting() {
    if (!has_waiting_) {
      waiting_ = new Waiting(*this);
      has_waiting_ = true;
    }
    return *waiting_;
  }
  // What was not accepted yet.
  absl::Span<const char> rest() const noexcept { return has_waiting_ ? waiting_->rest : data_; }
  // The first `count` bytes of it are accepted.
  void Accepted(size_t count) noexcept {
    if (!has_waiting_ && count == data_.size()) [[likely]] {
      data_ = {};
    } else if (count > 0) {
      waiting().rest.remove_prefix(count);
    }
  }
  inline bool Suspend(PromiseBase& waiter) noexcept;
  // Not at home.
  void Carry(PromiseBase& waiter, Worker& home) noexcept;
  bool IsDone() noexcept;
  // At home. Whether the kernel is to have the writer's memory as it is: then it is not tried here,
  // which would be a copy, nor put into a buffer.
  bool GoesWithoutCopy() const noexcept;
  bool Wait(PromiseBase& waiter) noexcept;
  // See HomeWait.
  bool CancelWait() noexcept;
  absl::Status Failure() const;
  void Finish(int result) noexcept {
    result_ = result;
    waiting_->Happened();
  }

  StreamRef state_;
  union {
    absl::Span<const char> data_;  // all of it, or nothing of it, is to be accepted
    Waiting* waiting_;
  };
  int result_ = 0;  // 0 or -errno
  const Kind kind_;
  StreamRefusal refusal_ = StreamRefusal::kNone;
  bool has_waiting_ = false;
};

static_assert(sizeof(StreamWrite) <= 32);

// In line, as every request comes by here.
inline bool StreamWrite::await_ready() noexcept {
  return (!state_ || state_->HomeElsewhere() == nullptr) && IsDone();
}

inline bool StreamWrite::Suspend(PromiseBase& waiter) noexcept {
  Worker* const home = state_->HomeElsewhere();
  if (home == nullptr) [[likely]]
    return Wait(waiter);
  Carry(waiter, *home);
  return true;
}

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_WRITE_H_
