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
// next await; one that need not wait, as the value is there, gives it also in a task that was
// cancelled. Errors: the value can be taken once; a second await or a second future gives
// FailedPrecondition. Callbacks (OnDone) are called once, on the thread that sets the value and
// before those who await it go on, or at once where it is there already. Cancel gives the future
// up: it ends with absl::CancelledError, and the promise can see it. T may be void (Set takes
// nothing, the await gives a Status), a value or move-only.
#ifndef PLAIT_RUNTIME_TASK_FUTURE_H_
#define PLAIT_RUNTIME_TASK_FUTURE_H_

#include <concepts>
#include <coroutine>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/done_callback.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/thread_wait.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait {
namespace internal {

// The part that does not depend on T.
//
//   empty --Settle--> settling, while callbacks run --> set --Take--> taken
class FutureStateBase {
 public:
  bool ready() noexcept {
    SpinLockHolder hold(lock_);
    return stage_ >= Stage::kSet;
  }
  // The value is there, or on its way.
  bool settled() noexcept {
    SpinLockHolder hold(lock_);
    return stage_ != Stage::kEmpty;
  }

  // For await_suspend: false when there is no need to wait.
  bool Suspend(Waiter& waiter, PromiseBase& promise) noexcept;

  // Runs `callback` when the value is there; false when it is.
  [[nodiscard]] bool AddWaiter(WorkItem& callback) noexcept;
  // True when `callback` now never runs.
  bool RemoveWaiter(WorkItem& callback) noexcept;

  // After a callback has run: until the others have, and the value may be taken.
  void AwaitSettled() noexcept;

  bool has_future_ = false;

 protected:
  enum class Stage : uint8_t { kEmpty, kSettling, kSet, kTaken };

  // After stage_ became kSettling: runs the callbacks, then wakes everyone.
  void Settled() noexcept;

  SpinLock lock_;  // guards what follows
  Stage stage_ = Stage::kEmpty;
  bool cancelled_ = false;
  WaiterList waiters_;
  WorkQueue callbacks_;
};

template <class T>
class FutureState : public FutureStateBase {
 public:
  using Value = WithStatus<T>;

  // With a reference of its own, as who goes on may drop both ends before this returns.
  static bool Settle(std::shared_ptr<FutureState> self, Value value, bool cancelled = false) {
    {
      SpinLockHolder hold(self->lock_);
      if (self->stage_ != Stage::kEmpty) return false;
      self->value_.emplace(std::move(value));
      self->cancelled_ = cancelled;
      self->stage_ = Stage::kSettling;
    }
    self->Settled();
    return true;
  }

  Value Take() {
    SpinLockHolder hold(lock_);
    if (stage_ == Stage::kTaken) return TakenError();
    stage_ = Stage::kTaken;
    Value value = *std::move(value_);
    value_.reset();
    return value;
  }

  // For a callback: nobody takes the value meanwhile.
  const Value& Peek() {
    if (!value_.has_value()) value_.emplace(TakenError());
    return *value_;
  }

  bool cancelled() {
    SpinLockHolder hold(lock_);
    return cancelled_;
  }

 private:
  static absl::Status TakenError() {
    return absl::FailedPreconditionError("the future's value was taken before");
  }

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
  bool done() const noexcept { return ready(); }
  // It was given up.
  bool cancelled() const noexcept { return state_ != nullptr && state_->cancelled(); }

  // Gives it up: it ends with absl::CancelledError and whoever waits goes on. False, and nothing
  // happens, when a value or an error is there.
  bool Cancel() {
    state();
    return State::Settle(state_, absl::CancelledError("the future was cancelled"),
                         /*cancelled=*/true);
  }

  // The value or error, taken; FailedPrecondition while there is none.
  internal::WithStatus<T> result() {
    if (!state().ready()) return absl::FailedPreconditionError("the future has no result yet");
    return state().Take();
  }

  // Blocks this thread until a value or an error is there, and takes it. Only on a thread that runs
  // no executor's work (CHECK); elsewhere use co_await.
  internal::WithStatus<T> Get() {
    internal::CheckMayBlock();
    internal::ThreadWait wait;
    if (state().AddWaiter(wait)) wait.Wait();
    state().AwaitSettled();
    return state().Take();
  }

  // Calls `f(result)`, with a const reference to the Status or StatusOr, or `f()`, once; see the
  // top. It must be brief and must not throw, and leaves the value for whoever takes it.
  template <class F>
    requires(std::invocable<F&> || std::invocable<F&, const internal::WithStatus<T>&>)
  DoneCallbackHandle OnDone(F f) {
    auto call = [f = std::move(f), &state = state()]() mutable {
      if constexpr (std::invocable<F&, const internal::WithStatus<T>&>) {
        f(state.Peek());
      } else {
        f();
      }
    };
    using Owner = std::shared_ptr<State>;
    auto* callback = new internal::DoneFunction<decltype(call), Owner>(std::move(call), state_);
    DoneCallbackHandle handle(callback);
    if (!state_->AddWaiter(*callback)) callback->run(*callback);
    return handle;
  }

  internal::FutureAwaiter<T> operator co_await() const {
    return internal::FutureAwaiter<T>(state_);
  }

 private:
  template <class>
  friend class Promise;
  using State = internal::FutureState<T>;
  explicit Future(std::shared_ptr<State> state) : state_(std::move(state)) {}

  State& state() const {
    PLAIT_CHECK(state_ != nullptr, "a Future was used that is empty or was moved from");
    return *state_;
  }

  std::shared_ptr<State> state_;
};

template <class T>
class Promise {
 public:
  Promise() : state_(std::make_shared<State>()) {}
  Promise(Promise&&) noexcept = default;
  Promise& operator=(Promise&& other) noexcept {
    Promise(std::move(other)).state_.swap(state_);
    return *this;
  }
  ~Promise() {
    if (state_ != nullptr) {
      State::Settle(std::move(state_), absl::AbortedError("the promise was dropped unset"));
    }
  }

  // The other end. There is one future (a second call is a CHECK).
  Future<T> future() {
    CheckValid();
    PLAIT_CHECK(!std::exchange(state_->has_future_, true), "Promise::future was called twice");
    return Future<T>(state_);
  }

  // The future was given up: nobody wants the value.
  bool cancelled() const {
    CheckValid();
    return state_->cancelled();
  }

  // Returns false, and changes nothing, when a value or an error is there already.
  template <class U = T>
    requires(!std::is_void_v<T> && std::is_constructible_v<T, U &&>)
  bool Set(U&& value) {
    CheckValid();
    if constexpr (internal::kCarriesStatus<T>) {
      return State::Settle(state_, T(std::forward<U>(value)));
    } else {
      return State::Settle(state_, internal::WithStatus<T>(T(std::forward<U>(value))));
    }
  }
  bool Set()
    requires(std::is_void_v<T>)
  {
    CheckValid();
    return State::Settle(state_, absl::OkStatus());
  }

  // `error` is not OK (CHECK).
  bool SetError(absl::Status error) {
    CheckValid();
    PLAIT_CHECK(!error.ok(), "Promise::SetError needs an error");
    return State::Settle(state_, std::move(error));
  }

 private:
  using State = internal::FutureState<T>;

  void CheckValid() const {
    PLAIT_CHECK(state_ != nullptr, "a Promise was used that was moved from");
  }

  std::shared_ptr<State> state_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_FUTURE_H_
