// ForeignAwait: awaits what knows nothing of Plait, and still resumes on the task's own executor.
// Internal.
//
// A foreign awaiter is given a plain coroutine handle and resumes it where and when it likes: on
// another thread, inside a callback. What it is given here is a small coroutine of ours that only
// schedules the task.
#ifndef PLAIT_RUNTIME_TASK_FOREIGN_AWAIT_H_
#define PLAIT_RUNTIME_TASK_FOREIGN_AWAIT_H_

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/task/promise.h"

namespace plait::internal {

// Whether W's await_suspend takes any coroutine's handle; Plait's own awaiters insist on a Plait
// promise.
template <class W>
concept ForeignAwaiter = requires(W& w, std::coroutine_handle<> h) { w.await_suspend(h); };

// Schedules a task when it is resumed, and ends.
struct Rescheduler {
  struct promise_type {
    static void* operator new(size_t size) { return AllocateFrame(size); }
    static void operator delete(void* frame, size_t size) noexcept { FreeFrame(frame, size); }

    Rescheduler get_return_object() noexcept {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }  // it frees itself
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
  std::coroutine_handle<> handle;
};
Rescheduler MakeRescheduler(PromiseBase& task);

template <Awaitable A>
class [[nodiscard]] ForeignAwait {
 public:
  explicit ForeignAwait(A&& awaitable) : awaiter_(GetAwaiter(static_cast<A&&>(awaitable))) {}
  ForeignAwait(const ForeignAwait&) = delete;
  ForeignAwait& operator=(const ForeignAwait&) = delete;

  bool await_ready() { return awaiter_.await_ready(); }

  template <PlaitPromise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> task) {
    // Once it has been handed over, the task may go on, and this awaiter be gone, before
    // await_suspend returns.
    const std::coroutine_handle<> rescheduler = MakeRescheduler(task.promise()).handle;
    using Returned = decltype(awaiter_.await_suspend(rescheduler));
    if constexpr (std::is_void_v<Returned>) {
      awaiter_.await_suspend(rescheduler);
      return std::noop_coroutine();
    } else if constexpr (std::is_same_v<Returned, bool>) {
      if (awaiter_.await_suspend(rescheduler)) return std::noop_coroutine();
      rescheduler.destroy();
      return Transfer(task.promise());
    } else {
      return awaiter_.await_suspend(rescheduler);
    }
  }

  decltype(auto) await_resume() { return awaiter_.await_resume(); }

 private:
  // An awaitable that is its own awaiter is moved in, or referred to where it is an lvalue.
  std::conditional_t<std::is_lvalue_reference_v<decltype(GetAwaiter(std::declval<A>()))>,
                     AwaiterOf<A>&, AwaiterOf<A>>
      awaiter_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_FOREIGN_AWAIT_H_
