// Uncancellable: runs an awaitable that a cancel of the task does not reach. For cleanup that must
// wait.
//
//   absl::Status status = co_await Serve(stream);
//   co_await plait::Uncancellable(stream.Flush());   // also when the task was cancelled meanwhile
//
// A stop request stays made: every wait of a cancelled task ends at once, so cleanup that waits
// says so with this. Bound it with a Timeout where a peer is involved. It gives the awaitable's
// result.
#ifndef PLAIT_RUNTIME_TASK_UNCANCELLABLE_H_
#define PLAIT_RUNTIME_TASK_UNCANCELLABLE_H_

#include <utility>

#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"

namespace plait {

namespace internal {

template <class R>
Task<R> RunUncancellable(Task<R> task) {
  TaskContext context = *TaskContext::Current();
  context.stop = nullptr;
  Result<R> result;
  co_await AwaitInto<R>(std::move(task), &context, result);
  co_return result.Take();
}

}  // namespace internal

// An lvalue awaitable (a JoinHandle, a Future) must outlive the co_await.
template <Awaitable A>
Task<AwaitResult<A>> Uncancellable(A&& awaitable) {
  return internal::RunUncancellable(internal::AsTask(static_cast<A&&>(awaitable)));
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_UNCANCELLABLE_H_
