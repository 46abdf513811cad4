// ResumeFromLoop: ResumeTask in line, for the loops of executors, which do little else.
#ifndef PLAIT_RUNTIME_TASK_RESUME_H_
#define PLAIT_RUNTIME_TASK_RESUME_H_

#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/promise.h"

namespace plait::internal {

// Those that the transfers of what was resumed have bounced, one after the other.
void ResumeBounced(ThreadState& thread) noexcept;

// Resumes a coroutine that was queued. The thread is in no call (ThreadState::called is null): the
// loop stands at the bottom of its stack, or has seen to that.
[[gnu::always_inline]] inline void ResumeFromLoop(PromiseBase& promise) noexcept {
  ThreadState& thread = thread_state;
  // A limit that an earlier call left is never used: transfers happen inside of here only.
  thread.stack_limit = static_cast<const char*>(__builtin_frame_address(0)) - kStackBudget;
  thread.budget = kReadyAwaits;
  if (thread.watcher != nullptr) [[unlikely]]
    thread.watcher->OnResume(promise);
  thread.context = promise.context;
  promise.next = nullptr;
  promise.handle().resume();
  if (thread.bounced != nullptr) [[unlikely]]
    ResumeBounced(thread);
  thread.context = nullptr;
  // What it forked and did not come to, as it waits for something.
  if (thread.forks != nullptr && !thread.forks->empty()) [[unlikely]]
    thread.forks->Drain();
}

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_RESUME_H_
