// Queue<T>: first in, first out, between tasks on any threads, with a bound that holds producers
// back.
//
//   plait::Queue<int> queue(16);
//   co_await plait::OrReturn(queue.Put(7));             // waits while the queue is full
//   absl::StatusOr<int> item = co_await queue.Get();    // waits while it is empty
//
// Fairness: waiting getters are served in the order of their arrival, and so are waiting putters;
// nobody overtakes them. Closing: after Close, Put gives FailedPrecondition and Get gives what is
// left, then FailedPrecondition; waiting putters and getters are released. Cancellation: a
// cancelled Put has not put, a cancelled Get has not taken: they give absl::CancelledError, and no
// item is lost or doubled. One that was served before the cancel arrived succeeds. Threads: any, at
// once. The queue outlives whoever waits on it (CHECK). Cost: an operation that need not wait is
// one spin lock; nothing allocates but the buffer, which grows by doubling.
#ifndef PLAIT_RUNTIME_SYNC_QUEUE_H_
#define PLAIT_RUNTIME_SYNC_QUEUE_H_

#include <coroutine>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/sync/ring_buffer.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait {

template <class T>
class Queue {
  class PutAwaiter;
  class GetAwaiter;
  struct [[nodiscard]] PutAwaitable {
    Queue& queue;
    T value;
    PutAwaiter operator co_await() && { return PutAwaiter(queue, std::move(value)); }
  };
  struct [[nodiscard]] GetAwaitable {
    Queue& queue;
    GetAwaiter operator co_await() const { return GetAwaiter(queue); }
  };

 public:
  static constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();

  // At least 1 (CHECK).
  explicit Queue(size_t capacity = kUnbounded) : capacity_(capacity) {
    PLAIT_CHECK(capacity > 0, "a Queue needs a capacity of at least 1");
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() {
    PLAIT_CHECK(getters_.empty() && putters_.empty(),
                "a Queue was destroyed while a task waits on it");
  }

  // co_await: OK once the item is in; else it is dropped.
  PutAwaitable Put(T value) { return PutAwaitable{*this, std::move(value)}; }
  // co_await: an absl::StatusOr<T>.
  GetAwaitable Get() { return GetAwaitable{*this}; }

  // Without waiting: ResourceExhausted when full, FailedPrecondition when closed; `value` is
  // untouched then.
  absl::Status TryPut(T&& value) {
    internal::Waiter* getter = nullptr;
    {
      internal::SpinLockHolder hold(lock_);
      if (closed_) return Closed();
      if (!PutNow(value, &getter)) return absl::ResourceExhaustedError("the queue is full");
    }
    if (getter != nullptr) getter->Wake();
    return absl::OkStatus();
  }
  absl::Status TryPut(const T& value) { return TryPut(T(value)); }

  // Without waiting: Unavailable when empty, FailedPrecondition when empty and closed.
  absl::StatusOr<T> TryGet() {
    std::optional<T> value;
    internal::Waiter* putter = nullptr;
    {
      internal::SpinLockHolder hold(lock_);
      if (!GetNow(value, &putter)) {
        return closed_ ? Closed() : absl::UnavailableError("the queue is empty");
      }
    }
    if (putter != nullptr) putter->Wake();
    return *std::move(value);
  }

  // Closing again does nothing.
  void Close() {
    for (;;) {
      internal::Waiter* waiter = nullptr;
      {
        internal::SpinLockHolder hold(lock_);
        closed_ = true;
        waiter = getters_.PopFront();
        if (waiter == nullptr) waiter = putters_.PopFront();
      }
      if (waiter == nullptr) return;
      waiter->Wake();
    }
  }

  size_t size() const {
    internal::SpinLockHolder hold(lock_);
    return items_.size();
  }
  bool empty() const { return size() == 0; }
  bool full() const { return size() >= capacity_; }
  size_t capacity() const { return capacity_; }

 private:
  static absl::Status Closed() { return absl::FailedPreconditionError("the queue is closed"); }

  // Under the lock; the queue is open. Hands `value` to a getter, which is then to be woken, or
  // puts it into the buffer; false when that is full. While a putter waits it is full, so nobody
  // overtakes one.
  bool PutNow(T& value, internal::Waiter** getter) {
    if (auto* waiting = static_cast<GetAwaiter*>(getters_.PopFront())) {
      waiting->value_.emplace(std::move(value));
      *getter = waiting;
      return true;
    }
    if (items_.size() >= capacity_) return false;
    items_.PushBack(std::move(value));
    return true;
  }

  // Under the lock. Takes the oldest item, and lets the first waiting putter in, who is then to be
  // woken.
  bool GetNow(std::optional<T>& value, internal::Waiter** putter) {
    if (items_.empty()) return false;
    value.emplace(items_.PopFront());
    if (auto* waiting = static_cast<PutAwaiter*>(putters_.PopFront())) {
      items_.PushBack(std::move(waiting->value_));
      waiting->in_ = true;
      *putter = waiting;
    }
    return true;
  }

  class [[nodiscard]] PutAwaiter : public internal::Waiter {
   public:
    PutAwaiter(Queue& queue, T value) : queue_(queue), value_(std::move(value)) {}

    bool await_ready() { return Attempt(); }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      suspended_ = true;
      Prepare(waiter.promise(), queue_.lock_);
      internal::Waiter* getter = nullptr;
      bool early = false;
      {
        internal::SpinLockHolder hold(queue_.lock_);
        early = CancelledEarly();
        if (!early && !queue_.closed_) {
          in_ = queue_.PutNow(value_, &getter);
          if (!in_) {
            queue_.putters_.PushBack(*this);
            return true;
          }
        }
        if (!early) Grant();
      }
      if (getter != nullptr) getter->Wake();
      if (early) Wake();  // through the executor, so that a loop of cancelled waits lets others run
      return early;
    }
    absl::Status await_resume() {
      if (suspended_ && !Finish()) return absl::CancelledError("the Put was cancelled");
      return in_ ? absl::OkStatus() : Closed();
    }

   private:
    friend class Queue;

    // True when there is nothing to wait for.
    bool Attempt() {
      internal::Waiter* getter = nullptr;
      {
        internal::SpinLockHolder hold(queue_.lock_);
        if (queue_.closed_) return true;
        in_ = queue_.PutNow(value_, &getter);
      }
      if (getter != nullptr) getter->Wake();
      return in_;
    }

    Queue& queue_;
    T value_;
    bool suspended_ = false;
    bool in_ = false;
  };

  class [[nodiscard]] GetAwaiter : public internal::Waiter {
   public:
    explicit GetAwaiter(Queue& queue) : queue_(queue) {}

    bool await_ready() {
      internal::Waiter* putter = nullptr;
      bool ready = false;
      {
        internal::SpinLockHolder hold(queue_.lock_);
        ready = queue_.GetNow(value_, &putter) || queue_.closed_;
      }
      if (putter != nullptr) putter->Wake();
      return ready;
    }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      suspended_ = true;
      Prepare(waiter.promise(), queue_.lock_);
      internal::Waiter* putter = nullptr;
      bool early = false;
      {
        internal::SpinLockHolder hold(queue_.lock_);
        early = CancelledEarly();
        if (!early && !queue_.GetNow(value_, &putter) && !queue_.closed_) {
          queue_.getters_.PushBack(*this);
          return true;
        }
        if (!early) Grant();
      }
      if (putter != nullptr) putter->Wake();
      if (early) Wake();
      return early;
    }
    absl::StatusOr<T> await_resume() {
      if (suspended_ && !Finish()) return absl::CancelledError("the Get was cancelled");
      if (!value_.has_value()) return Closed();
      return *std::move(value_);
    }

   private:
    friend class Queue;

    Queue& queue_;
    std::optional<T> value_;
    bool suspended_ = false;
  };

  mutable internal::SpinLock lock_;  // guards what follows
  bool closed_ = false;
  const size_t capacity_;
  internal::RingBuffer<T> items_;
  internal::WaiterList getters_;  // waiting: the buffer is empty
  internal::WaiterList putters_;  // waiting: the buffer is full
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_QUEUE_H_
