// BlockingGet: waits for a task or a future from outside of all tasks, by blocking the thread.
//
//   plait::JoinHandle<int> handle = plait::Spawn(Compute(), {.executor = &pool});
//   int answer = plait::BlockingGet(handle);    // on a thread of your own; or handle.Get()
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
#include "plait/runtime/task/thread_wait.h"

namespace plait {
namespace internal {

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
  return handle.Get();
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_BLOCKING_GET_H_
