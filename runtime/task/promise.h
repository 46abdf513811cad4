// PromiseBase: what every Plait coroutine's promise has, and how one coroutine goes on with
// another.
//
// A promise is a WorkItem, so any suspended coroutine can be queued without memory of its own, and
// its continuation is a WorkItem too: another coroutine, or plain code that takes note of the end
// (of a spawned task, of a child in a group).
//
// Calls. A co_await of a Task calls its coroutine as a function is called, on the awaiter's stack.
// If it ends without having been suspended, it says so to its caller and returns: the awaiter goes
// on as after a call, which processors predict, and frees, and does without, all that suspending it
// would need. Else it returns too, and its caller, which now knows that it is suspended itself,
// returns to its own, down to ResumeTask. From then on whoever resumes it goes on with its
// continuation when it ends, by symmetric transfer.
//
// Who tells the two apart? `called` in the thread's state: a coroutine that ends looks whether it
// is the one called last on this very thread and stack. While it is, its caller stands right below
// and is resumed by nobody else; as soon as it is suspended, and somebody may resume it elsewhere,
// the next that this thread does is to return. After that nothing of the caller's coroutine is
// touched, which may go on on another thread by then.
//
// Stack depth. A call costs stack, and a transfer should not, but compilers promise that in some
// builds only: g++ grows the stack by a frame per transfer without optimisation and under
// sanitizers. So each call and transfer compares the stack pointer with a limit, and past it hands
// the next coroutine to the loop in ResumeTask at the bottom of the stack instead: a predicted
// branch keeps stack use below kStackBudget. No build flag is involved, as users build with
// whatever they like.
#ifndef PLAIT_RUNTIME_TASK_PROMISE_H_
#define PLAIT_RUNTIME_TASK_PROMISE_H_

#include <concepts>
#include <coroutine>
#include <cstddef>

#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {

// Stack that calls and transfers may use up between two returns to ResumeTask, in bytes. User code
// needs the rest.
inline constexpr ptrdiff_t kStackBudget = 16 * 1024;

// How many awaits a coroutine that was resumed may go on from at once, as what they wait for is
// there, before it gives others a turn.
inline constexpr int kReadyAwaits = 128;

// For how many of these it counts when one goes on from a task that it awaits and has called.
inline constexpr int kReadyAwaitsOfCall = 4;

// The run function of every promise: resumes the coroutine, and then those that its transfers
// bounced.
void ResumeTask(WorkItem& promise) noexcept;

// Runs `item` here and now, inside a coroutine that runs: afterwards the thread's state is as
// before.
void ResumeNested(WorkItem& item) noexcept;

struct ResultCheck;

struct PromiseBase : WorkItem {
  PromiseBase() noexcept : WorkItem(&ResumeTask) {}

  // Frames come from the pool. The hook for other allocators is here.
  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* frame, size_t size) noexcept { FreeFrame(frame, size); }

  std::coroutine_handle<> handle() noexcept {
    // All promises derive from this one first and are aligned like it (asserted where they are
    // defined), so that the frame is found without knowing the type.
    return std::coroutine_handle<PromiseBase>::from_promise(*this);
  }

  // Before it is suspended: `child` runs on its behalf.
  void Awaits(const PromiseBase& child) noexcept { SetAwait(*this, &child, kAwaitsCoroutine); }

  // Makes the coroutine ready on its own executor. Any thread.
  void Schedule() noexcept {
    const ThreadState& thread = thread_state;
    if (context->executor == thread.list_executor) {
      thread.local_ready->Push(*this);
    } else {
      context->executor->Schedule(*this);
    }
  }
  // The same, behind what is ready now.
  void ScheduleLast() noexcept {
    const ThreadState& thread = thread_state;
    if (context->executor == thread.list_executor) {
      thread.local_ready->Push(*this);
    } else {
      context->executor->ScheduleLast(*this);
    }
  }

  // These are set by what starts the coroutine, and not before.
  const TaskContext* context;
  union {
    WorkItem* continuation;  // what goes on when this coroutine ends
    ResultCheck* check;      // while one is attached, which keeps the continuation
  };
};

// Whether calls and transfers have used up their part of the stack.
[[gnu::always_inline]] inline bool StackIsUsedUp(const ThreadState& thread) noexcept {
  return static_cast<const char*>(__builtin_frame_address(0)) < thread.stack_limit;
}

// For await_suspend: goes on with `next`.
[[gnu::always_inline]] inline std::coroutine_handle<> Transfer(PromiseBase& next) noexcept {
  ThreadState& thread = thread_state;
  thread.context = next.context;
  next.next = nullptr;  // it waits for nothing now
  if (StackIsUsedUp(thread)) [[unlikely]] {
    thread.bounced = &next;
    return std::noop_coroutine();
  }
  return next.handle();
}

// For await_suspend: calls coroutines, one after the other, while it lives.
class [[nodiscard]] Caller {
 public:
  [[gnu::always_inline]] Caller() noexcept
      : stack_is_used_up_(StackIsUsedUp(thread_state)), outer_(thread_state.called) {}
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  [[gnu::always_inline]] ~Caller() { thread_state.called = outer_; }

  // Starts `child`, whose continuation is the awaiter or stands in for it, in the context that this
  // thread is in. True if it has ended: then the awaiter goes on as if it had not been suspended.
  // Else nothing of the awaiter may be touched any more.
  [[gnu::always_inline]] bool Call(PromiseBase& child) noexcept {
    ThreadState& thread = thread_state;
    if (stack_is_used_up_) [[unlikely]] {
      thread.bounced = &child;
      return false;
    }
    thread.called = &child;
    child.handle().resume();
    return thread.called == nullptr;
  }

 private:
  const bool stack_is_used_up_;
  PromiseBase* const outer_;
};

// The same for one child.
[[gnu::always_inline]] inline bool Call(PromiseBase& child) noexcept {
  return Caller().Call(child);
}

// Of a coroutine that ends: whether its caller is waiting for it to return. If so, that is told: it
// must do so, and go on with nothing.
[[gnu::always_inline]] inline bool ReturnsToCaller(const PromiseBase& ending) noexcept {
  ThreadState& thread = thread_state;
  if (thread.called != &ending) return false;
  thread.called = nullptr;
  return true;
}

// Looks at a result before the coroutine that waits for it goes on (OrReturn): while it is
// attached, whoever would go on with the coroutine runs this first. Two words, as a frame has one
// for each of its co_awaits.
struct ResultCheck {
  // Runs on the coroutine's executor, detached already; returns what goes on: the coroutine, or,
  // where that was ended, its continuation.
  using Resolve = WorkItem& (*)(ResultCheck&, PromiseBase& waiting) noexcept;

  // The run function of a promise while one is attached.
  static void Run(WorkItem& waiting) noexcept;
  static WorkItem& ResolveFor(PromiseBase& waiting) noexcept {
    ResultCheck& self = *waiting.check;
    self.Detach(waiting);
    return self.resolve(self, waiting);
  }

  // Before it is suspended.
  void Attach(PromiseBase& waiting, Resolve look) noexcept {
    resolve = look;
    continuation = waiting.continuation;
    waiting.check = this;
    waiting.run = &Run;
  }
  void Detach(PromiseBase& waiting) const noexcept {
    waiting.continuation = continuation;
    waiting.run = &ResumeTask;
  }

  Resolve resolve = nullptr;
  WorkItem* continuation = nullptr;
};

// Stands in for a coroutine's promise towards what is awaited (Select, Fork). Whoever awaits on its
// behalf schedules it, runs it or goes on with it like any promise, but never resumes its handle.
struct ProxyPromise : PromiseBase {
  // Runs on the executor of the coroutine it stands for; returns what goes on instead.
  using Resolve = WorkItem& (*)(ProxyPromise&) noexcept;

  ProxyPromise() noexcept { run = &RunProxy; }

  static void RunProxy(WorkItem& proxy) noexcept;

  Resolve resolve = nullptr;
};

// A continuation that is to go on with nothing.
extern constinit WorkItem kNothing;

// The coroutine that a continuation goes on with; null where that was plain code, which has run.
[[gnu::always_inline]] inline PromiseBase* RunUpToCoroutine(WorkItem& continuation) noexcept {
  WorkItem* next = &continuation;
  for (;;) {
    if (next->run == &ResumeTask) [[likely]]
      return static_cast<PromiseBase*>(next);
    if (next->run == &ResultCheck::Run) {
      next = &ResultCheck::ResolveFor(static_cast<PromiseBase&>(*next));
    } else if (next->run == &ProxyPromise::RunProxy) {
      auto& proxy = static_cast<ProxyPromise&>(*next);
      next = &proxy.resolve(proxy);
    } else {
      next->run(*next);
      return nullptr;
    }
  }
}

// Transfer for a continuation, which may be a proxy or plain code too.
[[gnu::always_inline]] inline std::coroutine_handle<> Continue(WorkItem& continuation) noexcept {
  PromiseBase* const next = RunUpToCoroutine(continuation);
  return next != nullptr ? Transfer(*next) : std::noop_coroutine();
}

// The same for an await_suspend that returns true, not a handle: goes on from ResumeTask.
inline void ContinueBelow(WorkItem& continuation) noexcept {
  if (PromiseBase* const next = RunUpToCoroutine(continuation)) thread_state.bounced = next;
}

// Destroys a coroutine that nobody awaited; says so in debug mode.
void DropUnstarted(PromiseBase& coroutine) noexcept;

template <class P>
concept PlaitPromise = std::derived_from<P, PromiseBase>;

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_PROMISE_H_
