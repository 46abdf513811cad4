// Task<T>: a coroutine that computes a T, lazily: it runs when it is awaited, or spawned.
//
//   plait::Task<int> Twice(int n) { co_return 2 * n; }
//   plait::Task<int> Sum() { co_return co_await Twice(1) + co_await Twice(2); }
//
// T may be void, a value, a reference or move-only; the usual T is absl::Status or
// absl::StatusOr<U>.
//
// Use: await it once, as an rvalue (`co_await F()` or `co_await std::move(task)`), or hand it to
// Spawn, a TaskGroup, Gather, Timeout or Run. A Task that was never awaited is destroyed without
// having run. Awaiting one that was moved from is a programming error (CHECK). Lifetime: arguments
// taken by value are kept in the coroutine until it ends. References are the caller's business:
// they must outlive the await, so a Task that is stored or spawned should take its arguments by
// value. A lambda's captures belong to the lambda object, which must outlive the coroutine.
// Threads: a Task may be moved to and awaited on any thread; once it runs, it resumes on its task's
// executor only. Cancellation: the child inherits its awaiter's stop token. Errors: an exception
// that leaves the coroutine is rethrown by the co_await; Plait itself never throws. Cost: one
// frame, from the pool of runtime/core/frame_allocator.h; awaiting allocates nothing. The frame is
// freed when the coroutine ends, before its awaiter goes on. See promise.h for how a co_await is a
// call, and how the stack stays bounded.
#ifndef PLAIT_RUNTIME_TASK_TASK_H_
#define PLAIT_RUNTIME_TASK_TASK_H_

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/task/foreign_await.h"
#include "plait/runtime/task/or_returnable.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"

namespace plait {

template <class T>
class Task;

namespace internal {

// The end of a coroutine: back to its caller, or on with its continuation.
struct FinalAwaiter {
  const PromiseBase& ending;

  // Ready: the coroutine destroys itself and returns. (Here and not in final_suspend: g++ 12 would
  // keep the answer in the frame and look at it again.)
  bool await_ready() const noexcept { return ReturnsToCaller(ending); }
  template <PlaitPromise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> ended) const noexcept {
    WorkItem& continuation = *ended.promise().continuation;
    // The result is with the awaiter already, so the frame can go first, and this awaiter with it.
    ended.destroy();
    return Continue(continuation);
  }
  void await_resume() const noexcept {}
};

// An awaiter where it stands: g++ 12 copies what await_transform gives back by reference.
template <class W>
struct AwaitInPlace {
  W& awaiter;

  bool await_ready() { return awaiter.await_ready(); }
  template <PlaitPromise P>
  auto await_suspend(std::coroutine_handle<P> waiter) {
    return awaiter.await_suspend(waiter);
  }
  decltype(auto) await_resume() { return awaiter.await_resume(); }
};

template <class T>
struct TaskPromiseBase : PromiseBase {
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {*this}; }

  // Plait's own awaitables as they are; foreign ones so that the task resumes on its executor.
  template <class A>
  auto await_transform(A&& awaitable) {
    static_assert(Awaitable<A>, "what stands behind co_await in a Task must be an Awaitable");
    this->next = nullptr;  // what it waits for is the awaiter's to say
    if constexpr (ForeignAwaiter<AwaiterOf<A>>) {
      return ForeignAwait<A>(static_cast<A&&>(awaitable));
    } else if constexpr (HasMemberCoAwait<A> || HasFreeCoAwait<A>) {
      return GetAwaiter(static_cast<A&&>(awaitable));
    } else {
      return AwaitInPlace<std::remove_reference_t<A>>{awaitable};
    }
  }
  void unhandled_exception() noexcept { result->SetException(std::current_exception()); }

  Result<T>* result;  // the awaiter's; set by what starts the coroutine
};

template <class T>
struct TaskPromise : TaskPromiseBase<T> {
  using ReturnType = T;

  Task<T> get_return_object() noexcept { return Task<T>(*this); }

  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& value) {
    if constexpr (std::is_reference_v<T>) {
      this->result->EmplaceFirst(std::addressof(value));
    } else {
      this->result->EmplaceFirst(std::forward<U>(value));
    }
  }
};

template <>
struct TaskPromise<void> : TaskPromiseBase<void> {
  using ReturnType = void;

  inline Task<void> get_return_object() noexcept;
  void return_void() { result->EmplaceFirst(); }
};

// Starts `child` for the coroutine that awaits it, in the context that this thread is in. For
// await_suspend: true if it was suspended.
template <class T>
[[gnu::always_inline]] inline bool SuspendOn(TaskPromise<T>& child, PromiseBase& parent,
                                             Result<T>& result) noexcept {
  child.continuation = &parent;
  child.result = &result;
  parent.Awaits(child);
  if (!Call(child)) return true;
  parent.next = nullptr;  // it waits for nothing now
  return false;
}

// Runs a task inside the awaiting coroutine and leaves how it ended in `result`: a value or an
// exception, which is not rethrown. `context` is the child's, or null for the awaiting coroutine's
// own.
template <class T>
class [[nodiscard]] AwaitInto {
 public:
  AwaitInto(Task<T> child, const TaskContext* context, Result<T>& result) noexcept
      : child_(child.Release()), context_(context), result_(result) {
    PLAIT_CHECK(child_ != nullptr, "awaiting a Task that was moved from or awaited before");
  }
  AwaitInto(const AwaitInto&) = delete;
  AwaitInto& operator=(const AwaitInto&) = delete;
  ~AwaitInto() {
    if (child_ != nullptr) child_->handle().destroy();  // never started
  }

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> parent) noexcept {
    TaskPromise<T>& child = *std::exchange(child_, nullptr);
    const TaskContext* const outer = parent.promise().context;
    child.context = context_ == nullptr ? outer : context_;
    thread_state.context = child.context;
    if (SuspendOn(child, parent.promise(), result_)) return true;
    thread_state.context = outer;
    return false;
  }
  void await_resume() const noexcept {}

 private:
  TaskPromise<T>* child_;
  const TaskContext* context_;
  Result<T>& result_;
};

// What `co_await task` uses: keeps the result itself and unwraps it.
template <class T>
class [[nodiscard]] TaskAwaiter {
 public:
  explicit TaskAwaiter(TaskPromise<T>* child) noexcept : result_(child) {
    PLAIT_CHECK(child != nullptr, "awaiting a Task that was moved from or awaited before");
  }
  TaskAwaiter(const TaskAwaiter&) = delete;
  TaskAwaiter& operator=(const TaskAwaiter&) = delete;
  ~TaskAwaiter() {
    if (void* const child = result_.pending()) ChildOf(child).handle().destroy();  // never started
  }

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> parent) noexcept {
    TaskPromise<T>& child = ChildOf(result_.TakeKnownPending());
    child.context = parent.promise().context;
    return SuspendOn(child, parent.promise(), result_);
  }
  T await_resume() { return result_.Take(); }
  // For OrReturn.
  bool await_failed() const noexcept
    requires kCarriesStatus<T>
  {
    return result_.has_value() && !result_.value().ok();
  }

 private:
  static TaskPromise<T>& ChildOf(void* pending) noexcept {
    return *static_cast<TaskPromise<T>*>(pending);
  }

  Result<T> result_;  // pending: the child, until it is started
};

}  // namespace internal

template <class T>
class [[nodiscard]] Task : public internal::OrReturnable<Task<T>> {
 public:
  using promise_type = internal::TaskPromise<T>;
  using ResultType = T;

  Task(Task&& other) noexcept : promise_(std::exchange(other.promise_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(promise_, other.promise_);
    return *this;
  }
  ~Task() {
    if (promise_ != nullptr) internal::DropUnstarted(*promise_);
  }

  // False once moved from or awaited.
  bool valid() const noexcept { return promise_ != nullptr; }

  internal::TaskAwaiter<T> operator co_await() && noexcept {
    return internal::TaskAwaiter<T>(Release());
  }
  // A Task can be awaited only once: write `co_await std::move(task)`.
  internal::TaskAwaiter<T> operator co_await() & = delete;

  // For the runtime: gives up the coroutine. Null when moved from.
  promise_type* Release() noexcept { return std::exchange(promise_, nullptr); }

 private:
  friend promise_type;

  explicit Task(promise_type& promise) noexcept : promise_(&promise) {
    static_assert(alignof(promise_type) == alignof(internal::PromiseBase),
                  "PromiseBase::handle needs all promises to be aligned alike");
  }

  promise_type* promise_;
};

inline Task<void> internal::TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(*this);
}

namespace internal {

template <class T>
inline constexpr bool kIsTask = false;
template <class T>
inline constexpr bool kIsTask<Task<T>> = true;

// Any awaitable as a Task: a Task as itself, an rvalue moved into a coroutine, an lvalue (a
// JoinHandle, a Future) by reference.
template <class T>
Task<T> AsTask(Task<T>&& task) {
  return std::move(task);
}
template <class A>
  requires(!kIsTask<A> && !std::is_lvalue_reference_v<A>)
Task<AwaitResult<A>> AwaitOwned(A awaitable) {
  co_return co_await std::move(awaitable);
}
template <class A>
Task<AwaitResult<A&>> AwaitReferenced(A& awaitable) {
  co_return co_await awaitable;
}
template <Awaitable A>
  requires(!kIsTask<std::remove_cvref_t<A>>)
Task<AwaitResult<A>> AsTask(A&& awaitable) {
  if constexpr (std::is_lvalue_reference_v<A>) {
    return AwaitReferenced(awaitable);
  } else {
    return AwaitOwned<A>(std::move(awaitable));
  }
}

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_TASK_H_
