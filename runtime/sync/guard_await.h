// How the awaitables that give a guard (Mutex::Lock, Semaphore::Acquire) go together with OrReturn
// and Timeout.
//
//   plait::MutexGuard guard = co_await plait::OrReturn(mutex.Lock());
//   absl::StatusOr<plait::MutexGuard> guard =
//       co_await plait::Timeout(absl::Seconds(1), mutex.Lock());
//
// A guard says itself whether it holds anything. OrReturn ends the coroutine with the guard's
// status when it does not; Timeout gives an absl::StatusOr, with a guard in it only if that holds.
#ifndef PLAIT_RUNTIME_SYNC_GUARD_AWAIT_H_
#define PLAIT_RUNTIME_SYNC_GUARD_AWAIT_H_

#include <coroutine>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/time/timeout.h"

namespace plait {
namespace internal {

// An awaitable of a guard: movable, and says so by the name Guard.
template <class A>
concept GuardAwaitable = Awaitable<A> && requires { typename std::remove_cvref_t<A>::Guard; };

// Awaits A and gives its guard as a StatusOr.
template <class A>
class [[nodiscard]] GuardOrStatusAwaiter {
 public:
  explicit GuardOrStatusAwaiter(const A& awaitable) : inner_(GetAwaiter(awaitable)) {}

  bool await_ready() { return inner_.await_ready(); }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) {
    return inner_.await_suspend(waiter);
  }
  absl::StatusOr<typename A::Guard> await_resume() {
    typename A::Guard guard = inner_.await_resume();
    if (!guard.ok()) return guard.status();
    return guard;
  }

 private:
  AwaiterOf<const A&> inner_;
};

template <class A>
struct [[nodiscard]] GuardOrStatus {
  A awaitable;
  GuardOrStatusAwaiter<A> operator co_await() const { return GuardOrStatusAwaiter<A>(awaitable); }
};

}  // namespace internal

template <internal::GuardAwaitable A>
auto OrReturn(A&& awaitable) {
  using OrStatus = internal::GuardOrStatus<std::remove_cvref_t<A>>;
  return internal::OrReturnAwaiter<OrStatus>(OrStatus{awaitable});
}

template <internal::GuardAwaitable A>
Task<absl::StatusOr<typename std::remove_cvref_t<A>::Guard>> Timeout(absl::Duration duration,
                                                                     A&& awaitable) {
  using OrStatus = internal::GuardOrStatus<std::remove_cvref_t<A>>;
  return internal::RunWithTimeout(duration, internal::AsTask(OrStatus{awaitable}));
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_GUARD_AWAIT_H_
