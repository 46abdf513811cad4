// Fibers: ordinary functions that wait without blocking their thread. (Elsewhere: greenlets, green
// threads, stackful coroutines.)
//
//   int Answer() {                                          // no coroutine, and may call others
//     absl::Status slept = plait::Await(plait::Sleep(absl::Seconds(1)));
//     return slept.ok() ? 42 : 0;
//   }
//   plait::Task<int> Main() { co_return co_await plait::RunFiber(&Answer); }
//
// RunFiber runs a function on a stack of its own, as part of the awaiting task: on its executor,
// with its stop token. SpawnFiber does so as a task of its own. Inside, at any depth of calls,
// Await(awaitable) is what co_await is in a coroutine: it suspends the fiber, lets the thread do
// other work, and gives the result; it takes whatever co_await takes in a Task. Await outside of a
// fiber is a programming error (CHECK), as is awaiting in a coroutine that a fiber's function runs
// otherwise than through Await.
//
// Threads: on a pool, a fiber stays on the thread where it began. Compilers keep the addresses of
// thread-locals, and errno's, in registers across calls, and no accessor of ours could mend that in
// the functions of others. (On an executor whose threads are no Workers it may move; there, do not
// run functions that use thread-locals on both sides of an Await.)
//
// A task that a fiber spawns eagerly begins on a later turn: it would take the fiber's stack. One
// that it spawns on an InlineExecutor does take it, some 16 KiB: see there.
//
// Stacks: mapped with a guard page below, so that overflowing one ends the program at once; memory
// is used only as deep as the stack was ever touched; some are kept for the next fiber of the
// thread. Locks that belong to a thread (std::mutex) must not be held across an Await.
//
// Errors: an exception that leaves the function travels to whoever awaits the fiber; an Await may
// stand in a catch block. A stack size that makes no sense (InvalidArgument), or memory that the
// system does not give (ResourceExhausted), is the result where the function's result carries a
// status, and else a CHECK with that status. Cancellation: the fiber's token is its task's: waits
// end with absl::CancelledError, as in a coroutine, and the function ends by returning. (g++ 12
// destroys a lambda twice that is written inside a co_await expression and captures an object with
// a destructor: give such a lambda a name first, and move it.)
//
// Cost: two switches of stacks an Await, some nanoseconds each, and a frame from the pool unless it
// is given a Task; a fiber that is started maps no memory where one has ended before.
#ifndef PLAIT_SCHEDULERS_FIBER_FIBER_H_
#define PLAIT_SCHEDULERS_FIBER_FIBER_H_

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"
#include "plait/schedulers/fiber/fiber_stack.h"

namespace plait {

struct FiberOptions {
  // Bytes, from kLeastFiberStack to kMostFiberStack; rounded up to whole pages.
  size_t stack_size = 256 * 1024;
};

inline constexpr size_t kLeastFiberStack = 16 * 1024;
inline constexpr size_t kMostFiberStack = size_t{1} << 30;

namespace internal {

absl::StatusOr<FiberStack> TakeFiberStack(const FiberOptions& options);

// Runs the driver's child and comes back to it.
struct [[nodiscard]] AwaitChild {
  PromiseBase& child;

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> driver) const noexcept {
    child.continuation = &driver.promise();
    child.context = driver.promise().context;
    driver.promise().Awaits(child);
    return Transfer(child);
  }
  void await_resume() const noexcept {}
};

// Goes on on a certain worker's thread.
struct [[nodiscard]] MoveTo {
  Worker* home;  // null: stays where it is

  bool await_ready() const noexcept { return home == nullptr || home == Worker::Current(); }
  template <PlaitPromise P>
  void await_suspend(std::coroutine_handle<P> driver) const noexcept {
    home->Post(driver.promise());
  }
  void await_resume() const noexcept {}
};

// The fiber of the task whose coroutine drives it: the driver switches to the fiber's stack, and
// back when the fiber ends or awaits; what it awaits, the driver awaits for it.
template <class F>
Task<std::invoke_result_t<F>> DriveFiber(F function, FiberOptions options) {
  using R = std::invoke_result_t<F>;
  absl::StatusOr<FiberStack> stack = TakeFiberStack(options);
  if constexpr (kCarriesStatus<R>) {
    if (!stack.ok()) co_return stack.status();
  }
  PLAIT_CHECK(stack.ok(), stack.status().ToString());
  Result<R> result;
  auto body = [&]() noexcept {
    result.Capture([&]() -> R { return std::invoke(std::move(function)); });
  };
  Fiber fiber(
      *std::move(stack),
      [](void* argument) noexcept { (*static_cast<decltype(body)*>(argument))(); }, &body);
  Worker* const home = Worker::Current();
  while (PromiseBase* const awaited = fiber.Resume()) {
    co_await AwaitChild{*awaited};
    co_await MoveTo{home};
  }
  co_return result.Take();
}

}  // namespace internal

template <class F>
  requires std::invocable<std::decay_t<F>>
Task<std::invoke_result_t<std::decay_t<F>>> RunFiber(F&& function, FiberOptions options = {}) {
  return internal::DriveFiber<std::decay_t<F>>(std::forward<F>(function), options);
}

template <class F>
  requires std::invocable<std::decay_t<F>>
JoinHandle<std::invoke_result_t<std::decay_t<F>>> SpawnFiber(F&& function,
                                                             SpawnOptions options = {},
                                                             FiberOptions fiber_options = {}) {
  return Spawn(RunFiber(std::forward<F>(function), fiber_options), options);
}

// See above. The awaitable lives until the fiber goes on.
template <Awaitable A>
AwaitResult<A> Await(A&& awaitable) {
  using R = AwaitResult<A>;
  internal::Fiber& fiber = internal::Fiber::CheckedCurrent();
  Task<R> task = internal::AsTask(static_cast<A&&>(awaitable));
  internal::TaskPromise<R>* const child = task.Release();
  PLAIT_CHECK(child != nullptr, "awaiting a Task that was moved from or awaited before");
  internal::Result<R> result;
  child->result = &result;
  fiber.Suspend(*child);
  return result.Take();
}

// Whether Await may be called here.
inline bool InFiber() noexcept { return internal::Fiber::Current() != nullptr; }

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_FIBER_FIBER_H_
