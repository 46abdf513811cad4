// PromiseBase: what every Plait coroutine's promise has, and how one coroutine goes on with
// another.
//
// A promise is a WorkItem, so any suspended coroutine can be queued without memory of its own, and
// its continuation is a WorkItem too: another coroutine, or plain code that takes note of the end
// (of a spawned task, of a child in a group).
//
// Stack depth. A co_await starts its child and a coroutine that ends goes on with its awaiter by
// symmetric transfer: one jump, no stack. But compilers promise that jump in some builds only: g++
// grows the stack by a frame per transfer without optimisation and under sanitizers. So each
// transfer compares the stack pointer with a limit, and past it hands the next coroutine to the
// loop in ResumeTask at the bottom of the stack instead. Where the jump is a jump the compare never
// fails and costs one predicted branch; where it is a call, stack use stays below kStackBudget. No
// build flag is involved, as users build with whatever they like.
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

// Stack that transfers may use up between two returns to ResumeTask, in bytes. User code needs the
// rest.
inline constexpr ptrdiff_t kStackBudget = 16 * 1024;

// How many awaits a coroutine that was resumed may go on from at once, as what they wait for is
// there, before it gives others a turn.
inline constexpr int kReadyAwaits = 128;

// The run function of every promise: resumes the coroutine, and then those that its transfers
// bounced.
void ResumeTask(WorkItem& promise) noexcept;

// Runs `item` here and now, inside a coroutine that runs: afterwards the thread's state is as
// before.
void ResumeNested(WorkItem& item) noexcept;

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

  const TaskContext* context = nullptr;
  WorkItem* continuation = nullptr;  // what goes on when this coroutine ends
};

// For await_suspend: goes on with `next`.
[[gnu::always_inline]] inline std::coroutine_handle<> Transfer(PromiseBase& next) noexcept {
  ThreadState& thread = thread_state;
  thread.context = next.context;
  next.next = nullptr;  // it waits for nothing now
  if (static_cast<const char*>(__builtin_frame_address(0)) < thread.stack_limit) [[unlikely]] {
    thread.bounced = &next;
    return std::noop_coroutine();
  }
  return next.handle();
}

// Stands in for a coroutine's promise where something looks at a result before the coroutine goes
// on (OrReturn). Whoever awaits on its behalf schedules it, runs it or goes on with it like any
// promise, but never resumes its handle.
struct ProxyPromise : PromiseBase {
  // Runs on the executor of the coroutine it stands for; returns what goes on instead.
  using Resolve = WorkItem& (*)(ProxyPromise&) noexcept;

  ProxyPromise() noexcept { run = &RunProxy; }

  static void RunProxy(WorkItem& proxy) noexcept;

  Resolve resolve = nullptr;
};

// The same for a continuation, which may be a proxy or plain code too.
[[gnu::always_inline]] inline std::coroutine_handle<> Continue(WorkItem& continuation) noexcept {
  WorkItem* next = &continuation;
  while (next->run == &ProxyPromise::RunProxy) {
    auto& proxy = static_cast<ProxyPromise&>(*next);
    next = &proxy.resolve(proxy);
  }
  if (next->run == &ResumeTask) [[likely]]
    return Transfer(static_cast<PromiseBase&>(*next));
  next->run(*next);
  return std::noop_coroutine();
}

// Destroys a coroutine that nobody awaited; says so in debug mode.
void DropUnstarted(PromiseBase& coroutine) noexcept;

template <class P>
concept PlaitPromise = std::derived_from<P, PromiseBase>;

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_PROMISE_H_
