// Uncancellable: runs an awaitable that a cancel of the task does not reach. For cleanup that must wait.
//
//   absl::Status status = co_await Serve(stream);
//   co_await plait::Uncancellable(stream.Flush());   // also when the task was cancelled meanwhile
//
// A stop request stays made: every wait of a cancelled task ends at once, so cleanup that waits says so with this. Bound
// it with a Timeout where a peer is involved. It gives the awaitable's result.
#ifndef PLAIT_RUNTIME_TASK_UNCANCELLABLE_H_
#define PLAIT_RUNTIME_TASK_UNCANCELLABLE_H_

#include <utility>

#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"

namespace plait {

template <Awaitable A>
Task<AwaitResult<A>> Uncancellable(A awaitable) {
  TaskContext context = *TaskContext::Current();
  context.stop = nullptr;
  internal::Result<AwaitResult<A>> result;
  co_await internal::AwaitInto<AwaitResult<A>>(internal::AsTask(std::move(awaitable)), &context,
                                               result);
  co_return result.Take();
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_UNCANCELLABLE_H_
