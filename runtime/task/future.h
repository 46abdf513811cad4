// Promise<T> and Future<T>: one value, handed from whoever makes it to whoever waits for it.
//
//   plait::Promise<int> promise;
//   plait::Future<int> future = promise.future();
//   promise.Set(7);                                   // from any thread
//   absl::StatusOr<int> seven = co_await future;
//
// Ownership: the promise is the producer's, the future the consumer's; each is movable and may
// outlive the other. A promise that dies unset breaks its future, which then gives Aborted: never a
// hang. Threads: any; Set and SetError do not block. Each object is used by one thread at a time.
// Cancellation: a cancelled await gives absl::CancelledError and leaves the value in place for the
// next await. Errors: the value can be taken once; a second await or a second future gives
// FailedPrecondition. T may be void (Set takes nothing, the await gives a Status), a value or
// move-only.
#ifndef PLAIT_RUNTIME_TASK_FUTURE_H_
#define PLAIT_RUNTIME_TASK_FUTURE_H_

#include <coroutine>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait {
namespace internal {

// The part that does not depend on T.
class FutureStateBase {
 public:
  bool ready() noexcept {
    SpinLockHolder hold(lock_);
    return stage_ != Stage::kEmpty;
  }

  // Runs under the lock.
  enum class Stage : uint8_t { kEmpty, kSet, kTaken };
  SpinLock lock_;
  Stage stage_ = Stage::kEmpty;
  bool has_future_ = false;
  WaiterList waiters_;

  // For await_suspend: false when there is no need to wait.
  bool Suspend(Waiter& waiter, PromiseBase& promise) noexcept;
  // After stage_ became kSet: wakes everyone.
  void WakeAll() noexcept;
};

template <class T>
class FutureState : public FutureStateBase {
 public:
  using Value = WithStatus<T>;

  bool Settle(Value value) {
    {
      SpinLockHolder hold(lock_);
      if (stage_ != Stage::kEmpty) return false;
      value_.emplace(std::move(value));
      stage_ = Stage::kSet;
    }
    WakeAll();
    return true;
  }

  Value Take() {
    SpinLockHolder hold(lock_);
    if (stage_ == Stage::kTaken) {
      return absl::FailedPreconditionError("the future's value was taken before");
    }
    stage_ = Stage::kTaken;
    Value value = *std::move(value_);
    value_.reset();
    return value;
  }

 private:
  std::optional<Value> value_;
};

template <class T>
class [[nodiscard]] FutureAwaiter {
 public:
  explicit FutureAwaiter(std::shared_ptr<FutureState<T>> state) : state_(std::move(state)) {
    PLAIT_CHECK(state_ != nullptr, "awaiting a Future that is empty or was moved from");
  }

  bool await_ready() noexcept { return state_->ready(); }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    suspended_ = true;
    return state_->Suspend(waiter_, waiter.promise());
  }
  WithStatus<T> await_resume() {
    if (suspended_ && !waiter_.Finish()) {
      return absl::CancelledError("the wait for a future was cancelled");
    }
    return state_->Take();
  }

 private:
  std::shared_ptr<FutureState<T>> state_;
  bool suspended_ = false;
  Waiter waiter_;
};

}  // namespace internal

template <class T>
class Future {
 public:
  Future() = default;

  bool valid() const noexcept { return state_ != nullptr; }
  // A value or an error is there.
  bool ready() const noexcept { return state_ != nullptr && state_->ready(); }

  internal::FutureAwaiter<T> operator co_await() const {
    return internal::FutureAwaiter<T>(state_);
  }

 private:
  template <class>
  friend class Promise;
  explicit Future(std::shared_ptr<internal::FutureState<T>> state) : state_(std::move(state)) {}

  std::shared_ptr<internal::FutureState<T>> state_;
};

template <class T>
class Promise {
 public:
  Promise() : state_(std::make_shared<internal::FutureState<T>>()) {}
  Promise(Promise&&) noexcept = default;
  Promise& operator=(Promise&& other) noexcept {
    Promise(std::move(other)).state_.swap(state_);
    return *this;
  }
  ~Promise() {
    if (state_ != nullptr) state_->Settle(absl::AbortedError("the promise was dropped unset"));
  }

  // The other end. There is one future (a second call is a CHECK).
  Future<T> future() {
    CheckValid();
    PLAIT_CHECK(!std::exchange(state_->has_future_, true), "Promise::future was called twice");
    return Future<T>(state_);
  }

  // Returns false, and changes nothing, when a value or an error is there already.
  template <class U = T>
    requires(!std::is_void_v<T> && std::is_constructible_v<T, U &&>)
  bool Set(U&& value) {
    CheckValid();
    if constexpr (internal::kCarriesStatus<T>) {
      return state_->Settle(T(std::forward<U>(value)));
    } else {
      return state_->Settle(internal::WithStatus<T>(T(std::forward<U>(value))));
    }
  }
  bool Set()
    requires(std::is_void_v<T>)
  {
    CheckValid();
    return state_->Settle(absl::OkStatus());
  }

  // `error` is not OK (CHECK).
  bool SetError(absl::Status error) {
    CheckValid();
    PLAIT_CHECK(!error.ok(), "Promise::SetError needs an error");
    return state_->Settle(std::move(error));
  }

 private:
  void CheckValid() const {
    PLAIT_CHECK(state_ != nullptr, "a Promise was used that was moved from");
  }

  std::shared_ptr<internal::FutureState<T>> state_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_FUTURE_H_
