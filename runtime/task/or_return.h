// OrReturn: unwraps a Status or StatusOr, or ends the coroutine with the error.
//
//   plait::Task<absl::StatusOr<int>> Total() {
//     int a = co_await plait::OrReturn(queue.Get());     // a value, or Total ends with the error
//     co_await plait::OrReturn(plait::Sleep(absl::Seconds(1)));
//     co_return a + co_await plait::OrReturn(Parse("2"));     // a plain StatusOr<int>
//   }
//
// It takes a Status, a StatusOr<U>, or an awaitable of either, and stands in a Task<Status> or
// Task<StatusOr<V>>. On an error the enclosing coroutine ends there: its locals are destroyed, in
// the usual order, before its awaiter goes on. Cost: nothing is allocated.
#ifndef PLAIT_RUNTIME_TASK_OR_RETURN_H_
#define PLAIT_RUNTIME_TASK_OR_RETURN_H_

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/task/or_returnable.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"

namespace plait {
namespace internal {

// A coroutine that can end with an absl::Status.
template <class P>
concept CanEndWithStatus =
    PlaitPromise<P> && requires { requires kCarriesStatus<typename P::ReturnType>; };

// Ends `coroutine`, which is suspended, with `error`; returns what goes on. Its frame is gone
// afterwards.
template <CanEndWithStatus P>
WorkItem& EndWith(std::coroutine_handle<P> coroutine, absl::Status error) noexcept {
  P& promise = coroutine.promise();
  WorkItem& next = ReturnsToCaller(promise) ? kNothing : *promise.continuation;
  promise.result->Emplace(std::move(error));
  coroutine.destroy();
  return next;
}

// Takes U out of a good Status or StatusOr<U>.
inline void Unwrap(absl::Status&&) {}
template <class U>
U Unwrap(absl::StatusOr<U>&& result) {
  return *std::move(result);
}

template <class R>
class [[nodiscard]] OrReturnValue {
 public:
  explicit OrReturnValue(R result) : result_(std::move(result)) {}

  bool await_ready() const noexcept { return result_.ok(); }
  template <CanEndWithStatus P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> enclosing) noexcept {
    absl::Status error = StatusOf(result_);
    return Continue(EndWith(enclosing, std::move(error)));
  }
  decltype(auto) await_resume() { return Unwrap(std::move(result_)); }

 private:
  R result_;
};

// An awaiter that says whether it has an error to give, once it is ready or was resumed and before
// it gives it: the result then stays where it is until the coroutine takes it.
template <class W>
concept TellsFailure = requires(const W& w) {
  { w.await_failed() } noexcept -> std::same_as<bool>;
};

// Not movable: it is made where it is awaited.
template <class A>
class [[nodiscard]] OrReturnAwaiter : private ResultCheck {
  using Inner = AwaiterOf<A>;
  using R = std::remove_cvref_t<AwaitResult<A>>;

 public:
  explicit OrReturnAwaiter(A&& awaitable) : inner_(GetAwaiter(static_cast<A&&>(awaitable))) {}
  OrReturnAwaiter(const OrReturnAwaiter&) = delete;
  OrReturnAwaiter& operator=(const OrReturnAwaiter&) = delete;

  bool await_ready() {
    if (!inner_.await_ready()) return false;
    Capture();
    if (!failed()) [[likely]]
      return true;
    continuation = &kNothing;  // for await_suspend, which ends the coroutine
    return false;
  }

  template <CanEndWithStatus P>
  auto await_suspend(std::coroutine_handle<P> enclosing) {
    using Returned = decltype(inner_.await_suspend(enclosing));
    constexpr bool kTransfers = !std::is_void_v<Returned> && !std::is_same_v<Returned, bool>;
    P& promise = enclosing.promise();
    if (continuation != nullptr) [[unlikely]]
      return GoOn<kTransfers>(End<P>(promise));  // see await_ready
    Attach(promise, &Look<P>);
    DetachOnThrow on_throw{*this, &promise};
    if constexpr (kTransfers) {
      const std::coroutine_handle<> next = inner_.await_suspend(enclosing);
      on_throw.promise = nullptr;
      return next;
    } else if constexpr (std::is_void_v<Returned>) {
      inner_.await_suspend(enclosing);
      on_throw.promise = nullptr;
      return true;
    } else {
      const bool waits = inner_.await_suspend(enclosing);
      on_throw.promise = nullptr;
      if (waits) return true;
      // It has ended already.
      promise.next = nullptr;
      Detach(promise);
      Capture();
      if (!failed()) return false;
      return GoOn<kTransfers>(End<P>(promise));
    }
  }

  decltype(auto) await_resume() {
    if constexpr (TellsFailure<Inner>) {
      return Unwrap(inner_.await_resume());
    } else {
      return Unwrap(result_.Take());
    }
  }

 private:
  // A coroutine whose awaiter throws was not suspended. Not touched once it was.
  struct DetachOnThrow {
    ~DetachOnThrow() {
      if (promise != nullptr) awaiter.Detach(*promise);
    }
    OrReturnAwaiter& awaiter;
    PromiseBase* promise;
  };

  void Capture() {
    if constexpr (!TellsFailure<Inner>) {
      result_.Capture([this]() -> R { return inner_.await_resume(); });
    }
  }
  // For await_suspend, which returns a handle where `kTransfers`, or true.
  template <bool kTransfers>
  static auto GoOn(WorkItem& next) noexcept {
    if constexpr (kTransfers) {
      return Continue(next);
    } else {
      ContinueBelow(next);
      return true;
    }
  }
  bool failed() noexcept {
    if constexpr (TellsFailure<Inner>) {
      return inner_.await_failed();
    } else {
      return result_.has_value() && !result_.value().ok();
    }
  }
  // A copy: ending the coroutine ends this awaiter.
  absl::Status Error() noexcept {
    if constexpr (TellsFailure<Inner>) {
      const R result = inner_.await_resume();
      return StatusOf(result);
    } else {
      return StatusOf(result_.value());
    }
  }

  template <class P>
  WorkItem& End(P& promise) noexcept {
    return EndWith(std::coroutine_handle<P>::from_promise(promise), Error());
  }

  template <class P>
  static WorkItem& Look(ResultCheck& check, PromiseBase& waiting) noexcept {
    auto& self = static_cast<OrReturnAwaiter&>(check);
    self.Capture();
    if (self.failed()) [[unlikely]]
      return self.End(static_cast<P&>(waiting));
    return waiting;
  }

  Inner inner_;
  [[no_unique_address]] std::conditional_t<TellsFailure<Inner>, Unit, Result<R>> result_;
};

// An rvalue of an OrReturnable.
template <class A>
concept AwaitsOrReturn = !std::is_reference_v<A> && std::derived_from<A, OrReturnable<A>>;

template <class A>
concept AwaitableOfStatus = Awaitable<A> && kCarriesStatus<AwaitResult<A>>;

}  // namespace internal

inline internal::OrReturnValue<absl::Status> OrReturn(absl::Status status) {
  return internal::OrReturnValue<absl::Status>(std::move(status));
}

template <class U>
internal::OrReturnValue<absl::StatusOr<U>> OrReturn(absl::StatusOr<U> result) {
  return internal::OrReturnValue<absl::StatusOr<U>>(std::move(result));
}

// An lvalue awaitable (a JoinHandle, a Future) must outlive the co_await. What this gives is to be
// awaited in the same expression.
template <internal::AwaitableOfStatus A>
[[nodiscard]] decltype(auto) OrReturn(A&& awaitable) {
  if constexpr (internal::AwaitsOrReturn<A>) {
    return static_cast<internal::OrReturnable<A>&&>(awaitable);
  } else if constexpr (internal::ForeignAwaiter<internal::AwaiterOf<A>>) {
    using R = std::remove_cvref_t<AwaitResult<A>>;
    return internal::OrReturnAwaiter<Task<R>>(internal::AsTask(static_cast<A&&>(awaitable)));
  } else {
    return internal::OrReturnAwaiter<A>(static_cast<A&&>(awaitable));
  }
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_OR_RETURN_H_
