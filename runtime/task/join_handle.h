// JoinHandle<T>: a task that runs by itself. Spawn starts one.
//
//   plait::JoinHandle<int> handle = plait::Spawn(Compute(), {.name = "compute"});
//   ...
//   int value = co_await handle;
//
// Dropping the handle detaches the task; it goes on, and Run cancels and joins it if it is still
// there at the end. Threads: every method may be called from any thread; a handle object is used by
// one thread at a time.
#ifndef PLAIT_RUNTIME_TASK_JOIN_HANDLE_H_
#define PLAIT_RUNTIME_TASK_JOIN_HANDLE_H_

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/done_callback.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_local.h"
#include "plait/runtime/task/task_state.h"
#include "plait/runtime/task/thread_wait.h"

namespace plait {

// Any spawned task, whatever its result. Empty when default-constructed; only valid() may be called
// then.
class TaskHandle {
 public:
  TaskHandle() = default;
  explicit TaskHandle(internal::TaskRef<internal::TaskState> state) : state_(std::move(state)) {}

  bool valid() const noexcept { return static_cast<bool>(state_); }

  // The coroutine has ended and the result is there.
  bool done() const { return state().done(); }
  // It is done, and ended by being cancelled: with absl::CancelledError, or, where T cannot say so,
  // after Cancel.
  bool cancelled() const { return state().done() && state().ended_cancelled(); }
  // Asks the task to end: what it waits for ends with absl::CancelledError, and so does every later
  // wait. A task whose T is Status or StatusOr and that has not run yet ends without running.
  // Returns false, and does nothing, when it was asked before or is done. Does not wait. The reason
  // is for people: it ends up in the message of the CancelledError that the task ends with.
  bool Cancel(absl::string_view reason = {}) { return state().Cancel(reason); }
  // The reason of the first cancel that gave one, or empty.
  std::string cancel_reason() const { return state().cancel_reason(); }

  // How it failed: FailedPrecondition while it is not done, OK if it ended well (or its type
  // carries no status), else the status it ended with; an exception appears as Internal, with its
  // what().
  absl::Status error() const;
  // The exception that left it; null if none did, or it is not done.
  std::exception_ptr exception() const;

  // Calls `f()` once, when the task is done: on the thread that ends it, once done() holds; or here
  // and now, when it is done already. On other threads those who await it may go on before or
  // meanwhile: what `f` uses outlives the call of `f` itself. It must be brief and must not throw.
  // Those added before the end are called in their order. Dropping what this returns changes
  // nothing.
  template <class F>
    requires std::invocable<F&>
  DoneCallbackHandle OnDone(F f) {
    using Owner = internal::TaskRef<internal::TaskState>;
    return AddCallback(new internal::DoneFunction<F, Owner>(std::move(f), state_));
  }

  // Unique in the process.
  uint64_t id() const { return state().id(); }
  // SpawnOptions::name, or empty.
  std::string name() const { return std::string(state().name()); }
  // The task-locals that it was started with.
  TaskLocals context() const { return TaskLocals(state().context().locals()); }

  // For the runtime; null when empty.
  internal::TaskRef<internal::TaskState> Ref() const { return state_; }

  friend bool operator==(const TaskHandle& a, const TaskHandle& b) {
    return a.state_.get() == b.state_.get();
  }

 protected:
  DoneCallbackHandle AddCallback(internal::DoneCallback* callback);
  internal::TaskState& state() const {
    PLAIT_CHECK(valid(), "a task handle was used that is empty or was moved from");
    return *state_;
  }

  internal::TaskRef<internal::TaskState> state_;
};

namespace internal {

// Waits for a task. A cancel of the waiting task is passed on to the awaited one, whose end is then
// awaited all the same: the result has a type that could not say otherwise.
class JoinAwaiterBase : private AwaitNote {
 public:
  // `sole`: the handle was given up to this await, so that nobody uses it meanwhile.
  JoinAwaiterBase(TaskState& state, bool sole) noexcept : state_(state), sole_(sole) {}
  JoinAwaiterBase(const JoinAwaiterBase&) = delete;
  JoinAwaiterBase& operator=(const JoinAwaiterBase&) = delete;

  bool await_ready() const noexcept { return state_.done() && SpendBudget(); }

  // What such an await's note tells of.
  static const TaskState& Awaited(const AwaitNote& note) noexcept {
    return static_cast<const JoinAwaiterBase&>(note).state_;
  }

 protected:
  ~JoinAwaiterBase() = default;
  void Resume() noexcept {
    if (registered_) [[unlikely]]
      Unregister();
  }
  bool sole() const noexcept { return sole_; }
  // `coroutine` is where its address stands until it has begun.
  bool Suspend(PromiseBase& waiter, void* const& coroutine) noexcept;

  TaskState& state_;

 private:
  struct Done : WorkItem {
    explicit Done(PromiseBase& promise) noexcept;

    PromiseBase& waiter;
  };

  // Where it has to wait. `called`: the task has begun, on this stack.
  bool Wait(PromiseBase& waiter, bool called) noexcept;
  // It is registered for a stop of the waiter's.
  void NoteRegistered(PromiseBase& waiter) noexcept;
  void Unregister() noexcept;

  const bool sole_;
  bool registered_ = false;
  // Neither is made before it is needed: mostly the task is called, and ends without a wait.
  union {
    Done done_;
  };
  union {
    StopLink link_;
  };
};

template <class T>
class [[nodiscard]] JoinAwaiter : public JoinAwaiterBase {
 public:
  JoinAwaiter(TaskStateOf<T>& state, bool may_move) noexcept : JoinAwaiterBase(state, may_move) {}

  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    Result<T>& result = static_cast<TaskStateOf<T>&>(this->state_).result();
    return this->Suspend(waiter.promise(), result.known_pending());
  }

  T await_resume() {
    Resume();
    this->state_.MarkRetrieved();
    Result<T>& result = static_cast<TaskStateOf<T>&>(state_).result();
    // A reference is not copied: what is stored for it is a pointer, which Take follows each time.
    if constexpr (std::is_copy_constructible_v<T> && !std::is_reference_v<T>) {
      if (!this->sole() && result.has_value()) return T(result.value());
    }
    return result.Take();
  }
};
template <>
inline void JoinAwaiter<void>::await_resume() {
  Resume();
  state_.MarkRetrieved();
  static_cast<TaskStateOf<void>&>(state_).result().Take();
}

}  // namespace internal

template <class T>
class JoinHandle : public TaskHandle {
 public:
  JoinHandle() = default;
  explicit JoinHandle(internal::TaskRef<internal::TaskStateOf<T>> state)
      : TaskHandle(internal::TaskRef<internal::TaskState>(std::move(state).Release())) {}
  JoinHandle(JoinHandle&&) = default;
  JoinHandle& operator=(JoinHandle&&) = default;

  // Waits for the task; gives its result or rethrows its exception. When the waiting task is
  // cancelled the awaited one is cancelled with it. An lvalue handle copies the result if it can be
  // copied, and may be awaited again; otherwise the result moves out, once. A task that awaits
  // itself is a programming error (CHECK).
  internal::JoinAwaiter<T> operator co_await() & { return {typed(), false}; }
  internal::JoinAwaiter<T> operator co_await() && { return {typed(), true}; }

  // Blocks this thread until the task is done, and gives what co_await would. Only on a thread that
  // runs no executor's work (CHECK), and where somebody else runs the task; elsewhere use co_await.
  T Get() {
    internal::CheckMayBlock();
    internal::ThreadWait wait;
    if (state().AddWaiter(wait)) wait.Wait();
    return internal::JoinAwaiter<T>(typed(), false).await_resume();
  }

  // What it ended with, if it is done; FailedPrecondition while it is not. Rethrows the task's
  // exception. A T that cannot be copied moves out.
  internal::WithStatus<T> result() {
    if (!done()) return absl::FailedPreconditionError("the task has not ended yet");
    state().MarkRetrieved();
    internal::Result<T>& result = typed().result();
    if constexpr (std::is_void_v<T>) {
      result.Take();
      return absl::OkStatus();
    } else if constexpr (std::is_copy_constructible_v<T>) {
      if (result.has_value()) return internal::WithStatus<T>(result.value());
    }
    if constexpr (!std::is_void_v<T>) return internal::WithStatus<T>(result.Take());
  }

  // Calls `f(handle)` once the task is done, with a handle of its own; otherwise as OnDone(f()).
  template <class F>
    requires std::invocable<F&, JoinHandle<T>&>
  DoneCallbackHandle OnDone(F f) {
    return OnDone([handle = Share(), f = std::move(f)]() mutable { f(handle); });
  }
  using TaskHandle::OnDone;

  // Another handle of the same task. A T that cannot be copied goes to whoever takes it first.
  JoinHandle Share() const { return JoinHandle(static_cast<const TaskHandle&>(*this)); }

 private:
  explicit JoinHandle(const TaskHandle& other) : TaskHandle(other) {}

  internal::TaskStateOf<T>& typed() const {
    return static_cast<internal::TaskStateOf<T>&>(state());
  }
};

// The task that runs on this thread now; an empty handle outside of tasks.
TaskHandle CurrentTask();

// The tasks of this task's executor that are not done, the children of their groups included: each
// before its children, oldest first, and those that were spawned from outside before the others.
// From any thread with an executor named; empty outside of tasks.
std::vector<TaskHandle> AllTasks();
std::vector<TaskHandle> AllTasks(Executor& executor);

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_JOIN_HANDLE_H_
