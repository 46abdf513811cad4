// Offload and RunIn: run a plain function elsewhere, and await its result. On: run a task
// elsewhere.
//
//   std::string text = co_await plait::Offload([path] { return ReadWholeFile(path); });
//   int answer = co_await plait::RunIn(pool, [] { return Compute(); });
//   absl::StatusOr<Page> page = co_await plait::On(loop, Fetch(url));
//
// Offload runs it where the task's executor has its blocking work done (Executor::blocking(): a
// BlockingPool, unless the program chose another), so that a function that blocks holds up nobody.
// RunIn runs it on the executor that it names. The awaiting task goes on on its own executor.
//
// Results: any type, void, references, move-only; an exception travels to the co_await. The
// function is kept until it has run, and destroyed on the awaiting task's executor; what it refers
// to must outlive the co_await. (g++ 12 destroys a lambda twice that is written inside the co_await
// expression and captures an object with a destructor: give such a lambda a name first, and move
// it.)
//
// Cancellation: a function that has begun cannot be stopped, and is awaited to its end, so nothing
// that it refers to goes away under it. One that still waits for its turn never runs: the co_await
// ends at once, with absl::CancelledError, where the function's result can say so (absl::Status,
// absl::StatusOr). A function with any other result cannot say that it did not run: it is waited
// for, and runs, also when it is asked for while the task's executor closes. Threads: any task may
// call them. Cost: a frame, for functions that can be cancelled a small block too, and the
// executor's wake-up.
#ifndef PLAIT_RUNTIME_TASK_OFFLOAD_H_
#define PLAIT_RUNTIME_TASK_OFFLOAD_H_

#include <concepts>
#include <coroutine>
#include <functional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/visit.h"

namespace plait {
namespace internal {

// co_await: has `executor` call `call(argument)` and waits until that has returned. True if it was
// called; false if a cancel came first.
//
// What the executor gets is this object itself or, where a cancel may come first, a Ticket on the
// heap that stays in the executor's queue when the co_await has long ended. Who is first decides:
//
//   ticket --the executor comes to it--> the function runs, and the co_await ends
//         \--a stop-------------------> the co_await ends, once Schedule has returned: the executor
//                                       may end with it
//
// The last frees the ticket: of Schedule, and of the co_await or, after a stop, the executor.
class [[nodiscard]] CallOn : private WorkItem {
 public:
  using Call = void (*)(void* argument) noexcept;

  CallOn(Executor& executor, Call call, void* argument, bool cancellable) noexcept;
  CallOn(const CallOn&) = delete;
  CallOn& operator=(const CallOn&) = delete;

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  void await_suspend(std::coroutine_handle<P> waiter) noexcept {
    Suspend(waiter.promise());
  }
  bool await_resume() noexcept;

 private:
  struct Ticket;
  struct Stop : StopNode {
    CallOn* self = nullptr;
  };

  void Suspend(PromiseBase& waiter) noexcept;
  void RunCall() noexcept;
  void OnStop() noexcept;

  Executor& executor_;
  const Call call_;
  void* const argument_;
  bool cancellable_;
  bool called_ = true;
  PromiseBase* waiter_ = nullptr;
  Ticket* ticket_ = nullptr;  // null where no stop may come first
  Stop stop_;
};

// Runs a child coroutine on the executor that it visits and goes on on the awaiting coroutine's.
class [[nodiscard]] AwaitElsewhere : private WorkItem {
 public:
  // `child` has its result already.
  AwaitElsewhere(PromiseBase& child, Visit& visit) noexcept
      : WorkItem([](WorkItem& item) noexcept {
          auto& self = static_cast<AwaitElsewhere&>(item);
          self.visit_.Leave();
          self.waiter_->Schedule();
        }),
        child_(child),
        visit_(visit) {
    child_.context = &visit_.context();
  }

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  void await_suspend(std::coroutine_handle<P> waiter) noexcept {
    waiter_ = &waiter.promise();
    child_.continuation = this;
    child_.Schedule();  // last: from here on this may be gone
  }
  void await_resume() const noexcept {}

 private:
  PromiseBase& child_;
  Visit& visit_;
  PromiseBase* waiter_ = nullptr;
};

template <class F>
Task<std::invoke_result_t<F>> RunFunction(Executor* executor, F function) {
  using R = std::invoke_result_t<F>;
  if (executor == nullptr) executor = &TaskContext::Current()->executor->blocking();
  Result<R> result;
  auto call = [&]() noexcept {
    result.Capture([&]() -> R { return std::invoke(std::move(function)); });
  };
  CallOn calling(
      *executor, [](void* argument) noexcept { (*static_cast<decltype(call)*>(argument))(); },
      &call, kCarriesStatus<R>);
  const bool called = co_await calling;
  if constexpr (kCarriesStatus<R>) {
    if (!called) co_return absl::CancelledError("cancelled before the function had begun");
  }
  co_return result.Take();
}

template <class T>
Task<T> RunTaskOn(Executor* executor, Task<T> task) {
  TaskPromise<T>* const child = task.Release();
  PLAIT_CHECK(child != nullptr, "On needs a Task that was not moved from or awaited before");
  Visit visit(*executor);
  Result<T> result;
  child->result = &result;
  AwaitElsewhere elsewhere(*child, visit);
  co_await elsewhere;
  co_return result.Take();
}

}  // namespace internal

// What can be offloaded: called without arguments, by a thread that may block.
template <class F>
concept PlainFunction = std::invocable<F> && !Awaitable<std::invoke_result_t<F>>;

// See above. A function that gives a Task belongs into On.
template <class F>
  requires PlainFunction<std::decay_t<F>>
Task<std::invoke_result_t<std::decay_t<F>>> Offload(F&& function) {
  return internal::RunFunction<std::decay_t<F>>(nullptr, std::forward<F>(function));
}

// `executor` outlives the co_await.
template <class F>
  requires PlainFunction<std::decay_t<F>>
Task<std::invoke_result_t<std::decay_t<F>>> RunIn(Executor& executor, F&& function) {
  return internal::RunFunction<std::decay_t<F>>(&executor, std::forward<F>(function));
}

// Runs `task` on `executor`; it is still part of the awaiting task, so a cancel reaches it
// directly, and CurrentTask() is the same. A task that was cancelled already begins all the same,
// as with a plain co_await, and its first wait ends at once. An executor that is closed meanwhile
// cancels it, as it does its own tasks, and waits until it has ended; the awaiting task is not
// cancelled, and sees what it ended with. To begin on an executor that was closed is a programming
// error (CHECK).
template <class T>
Task<T> On(Executor& executor, Task<T> task) {
  return internal::RunTaskOn(&executor, std::move(task));
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_OFFLOAD_H_
