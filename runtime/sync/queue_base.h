// BasicQueue<T, Items>: what Queue, PriorityQueue and LifoQueue have in common: everything but the
// order. Internal; see queue.h for the contract.
//
// Items is a container of T with Push(T&&), Pop() (not when empty), size(), empty() and
// Swap(Storage&), which exchanges what it holds; it decides which item is the next. It is used by
// one thread at a time, under the queue's lock.
#ifndef PLAIT_RUNTIME_SYNC_QUEUE_BASE_H_
#define PLAIT_RUNTIME_SYNC_QUEUE_BASE_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/biased_lock.h"
#include "plait/runtime/sync/wait_notes.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait::internal {

// The part that does not depend on T.
class QueueBase {
  class JoinAwaiter;
  struct [[nodiscard]] JoinAwaitable {
    QueueBase& queue;
    JoinAwaiter operator co_await() const noexcept;
  };

 public:
  static constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();

  QueueBase(const QueueBase&) = delete;
  QueueBase& operator=(const QueueBase&) = delete;

  // Whoever has got an item says so when it is done with it. FailedPrecondition when that is said
  // more often than items were put.
  absl::Status TaskDone();

  // co_await: an absl::Status, OK once TaskDone was called for every item that was put so far; at
  // once when there was none. absl::CancelledError when cancelled.
  JoinAwaitable Join() noexcept { return JoinAwaitable{*this}; }

  size_t capacity() const { return capacity_; }

 protected:
  // At least 1 (CHECK).
  explicit QueueBase(size_t capacity);
  ~QueueBase();

  static absl::Status Closed();

  // Under the lock: one more item is in.
  void CountPut() noexcept { ++unfinished_; }
  // Closes the queue, lets go of whoever waits, and takes `dropped` items off those that Join waits
  // for. `drop` runs under the lock and returns their number.
  template <class Drop>
  void CloseAnd(Drop drop) {
    LeavingList leaving;
    {
      BiasedLockHolder hold(lock_);
      closed_ = true;
      const size_t dropped = drop();
      unfinished_ -= dropped < unfinished_ ? dropped : unfinished_;
      leaving.Take(getters_);
      leaving.Take(putters_);
      if (unfinished_ == 0) leaving.Take(joiners_);
    }
    leaving.WakeAll(lock_);
  }

  mutable BiasedLock lock_;  // guards what follows
  bool closed_ = false;
  const size_t capacity_;
  size_t unfinished_ = 0;  // put, and not yet done
  WaiterList getters_;     // waiting: there is no item
  WaiterList putters_;     // waiting: there is no room
  WaiterList joiners_;     // waiting: unfinished_ is not 0
};

class [[nodiscard]] QueueBase::JoinAwaiter : private Waiter {
 public:
  explicit JoinAwaiter(QueueBase& queue) noexcept : queue_(queue) {}

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return Park(waiter.promise(), queue_.lock_, queue_.joiners_, kQueueJoinNote,
                [this] { return queue_.unfinished_ == 0; });
  }
  absl::Status await_resume() {
    return Finish() ? absl::OkStatus() : absl::CancelledError("the Join of a queue was cancelled");
  }

 private:
  QueueBase& queue_;
};

inline QueueBase::JoinAwaiter QueueBase::JoinAwaitable::operator co_await() const noexcept {
  return JoinAwaiter(queue);
}

template <class T, class Items>
class BasicQueue : public QueueBase {
  class PutAwaiter;
  class GetAwaiter;
  struct [[nodiscard]] PutAwaitable {
    BasicQueue& queue;
    T value;
    PutAwaiter operator co_await() && { return PutAwaiter(queue, std::move(value)); }
  };
  struct [[nodiscard]] GetAwaitable {
    BasicQueue& queue;
    GetAwaiter operator co_await() const { return GetAwaiter(queue); }
  };

 public:
  // The container is made of what follows the capacity.
  template <class... Args>
  explicit BasicQueue(size_t capacity, Args&&... args)
      : QueueBase(capacity), items_(std::forward<Args>(args)...) {}

  // co_await: an absl::Status, OK once the item is in; else it is dropped.
  PutAwaitable Put(T value) { return PutAwaitable{*this, std::move(value)}; }
  // co_await: an absl::StatusOr<T>.
  GetAwaitable Get() { return GetAwaitable{*this}; }

  // Without waiting: ResourceExhausted when full, FailedPrecondition when closed; `value` is
  // untouched then.
  absl::Status TryPut(T&& value) {
    Waiter* getter = nullptr;
    {
      BiasedLockHolder hold(lock_);
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
    Waiter* putter = nullptr;
    {
      BiasedLockHolder hold(lock_);
      if (!GetNow(value, &putter)) {
        return closed_ ? Closed() : absl::UnavailableError("the queue is empty");
      }
    }
    if (putter != nullptr) putter->Wake();
    return *std::move(value);
  }

  // No item is put from now on. Those that are in can still be got, unless `immediate`, which drops
  // them: Join does not wait for them any more. Closing again does nothing, or drops what is left.
  void Close(bool immediate = false) {
    typename Items::Storage dropped;  // freed outside of the lock: that may come back here
    CloseAnd([&] {
      if (!immediate) return size_t{0};
      items_.Swap(dropped);
      return dropped.size();
    });
  }

  size_t size() const {
    BiasedLockHolder hold(lock_);
    return items_.size();
  }
  bool empty() const { return size() == 0; }
  bool full() const { return size() >= capacity_; }

 private:
  // Under the lock; the queue is open. Hands `value` to a getter, which is then to be woken, or
  // keeps it; false when there is no room. While a putter waits there is none, so nobody overtakes
  // one.
  bool PutNow(T& value, Waiter** getter) {
    if (auto* waiting = static_cast<GetAwaiter*>(getters_.PopFront())) {
      waiting->value_.emplace(std::move(value));
      *getter = waiting;
      CountPut();
      return true;
    }
    if (items_.size() >= capacity_) return false;
    items_.Push(std::move(value));
    CountPut();
    return true;
  }

  // Under the lock. Takes the next item, and lets the first waiting putter in, who is then to be
  // woken.
  bool GetNow(std::optional<T>& value, Waiter** putter) {
    if (items_.empty()) return false;
    value.emplace(items_.Pop());
    if (auto* waiting = static_cast<PutAwaiter*>(putters_.PopFront())) {
      items_.Push(std::move(waiting->value_));
      waiting->in_ = true;
      *putter = waiting;
      CountPut();
    }
    return true;
  }

  class [[nodiscard]] PutAwaiter : public Waiter {
   public:
    PutAwaiter(BasicQueue& queue, T value) : queue_(queue), value_(std::move(value)) {}

    bool await_ready() {
      if (!SpendBudget()) return false;
      Waiter* getter = nullptr;
      {
        BiasedLockHolder hold(queue_.lock_);
        if (!ReadyUnderLock(&getter)) return false;
      }
      if (getter != nullptr) getter->Wake();
      return true;
    }
    template <PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      Waiter* getter = nullptr;
      const bool waits = Park(waiter.promise(), queue_.lock_, queue_.putters_,
                              internal::kQueuePutNote, [&] { return ReadyUnderLock(&getter); });
      // While it waits there is no getter to wake, and this awaiter may be gone.
      if (getter != nullptr) getter->Wake();
      return waits || YieldIfSpent(waiter.promise());
    }
    absl::Status await_resume() {
      if (!Finish()) return absl::CancelledError("the Put was cancelled");
      return in_ ? absl::OkStatus() : Closed();
    }

   private:
    friend class BasicQueue;

    bool ReadyUnderLock(Waiter** getter) {
      if (queue_.closed_) return true;
      in_ = queue_.PutNow(value_, getter);
      return in_;
    }

    BasicQueue& queue_;
    T value_;
    bool in_ = false;
  };

  class [[nodiscard]] GetAwaiter : public Waiter {
   public:
    explicit GetAwaiter(BasicQueue& queue) : queue_(queue) {}

    bool await_ready() {
      if (!SpendBudget()) return false;
      Waiter* putter = nullptr;
      bool ready = false;
      {
        BiasedLockHolder hold(queue_.lock_);
        ready = ReadyUnderLock(&putter);
      }
      if (putter != nullptr) putter->Wake();
      return ready;
    }
    template <PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      Waiter* putter = nullptr;
      const bool waits = Park(waiter.promise(), queue_.lock_, queue_.getters_,
                              internal::kQueueGetNote, [&] { return ReadyUnderLock(&putter); });
      if (putter != nullptr) putter->Wake();
      return waits || YieldIfSpent(waiter.promise());
    }
    absl::StatusOr<T> await_resume() {
      if (!Finish()) return absl::CancelledError("the Get was cancelled");
      if (!value_.has_value()) return Closed();
      return *std::move(value_);
    }

   private:
    friend class BasicQueue;

    bool ReadyUnderLock(Waiter** putter) { return queue_.GetNow(value_, putter) || queue_.closed_; }

    BasicQueue& queue_;
    std::optional<T> value_;
  };

  Items items_;  // under lock_
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_SYNC_QUEUE_BASE_H_
