// BlockingGet: waits for a task or a future from outside of all tasks, by blocking the thread.
//
//   plait::JoinHandle<int> handle = plait::Spawn(Compute(), {.executor = &pool});
//   int answer = plait::BlockingGet(handle);            // on a thread of your own
//
// It takes a JoinHandle, a Future, or anything else that can be awaited and that others bring
// about: what it waits for needs somebody else to run it (a pool, a loop that runs on another
// thread). It gives what co_await would give; an exception comes out of it. Threads: any that runs
// no executor's work: inside a task, or in work that an EventLoop or a pool runs, it is a
// programming error (CHECK), as it would block what may have to run for it to end; there, use
// co_await. Functions that were handed to Offload may call it.
#ifndef PLAIT_RUNTIME_TASK_BLOCKING_GET_H_
#define PLAIT_RUNTIME_TASK_BLOCKING_GET_H_

#include <condition_variable>
#include <mutex>
#include <utility>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_state.h"

namespace plait {
namespace internal {

// The state behind a handle.
struct HandleAccess : TaskHandle {
  static TaskState& StateOf(const TaskHandle& handle) { return (handle.*(&HandleAccess::state))(); }
};

// CHECKs that this thread runs no executor's work.
void CheckMayBlock();

// Blocks this thread until `state` is done. CheckMayBlock is the caller's.
void BlockUntilDone(TaskState& state);

// Runs items on the one thread that calls RunUntil, which waits for them.
class CallerExecutor final : public Executor {
 public:
  void Schedule(WorkItem& item) noexcept override;
  bool RunUntil(const Atomic<bool>& done) noexcept override;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  WorkQueue queue_;
};

}  // namespace internal

template <Awaitable A>
AwaitResult<A> BlockingGet(A&& awaitable) {
  internal::CheckMayBlock();
  internal::CallerExecutor executor;
  return BlockOn(executor, internal::AsTask(static_cast<A&&>(awaitable)));
}

// The result is copied if it can be, and else moved out, as by co_await handle.
template <class T>
T BlockingGet(JoinHandle<T>& handle) {
  internal::CheckMayBlock();
  internal::BlockUntilDone(internal::HandleAccess::StateOf(handle));
  return handle.operator co_await().await_resume();
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_BLOCKING_GET_H_
