// Await: an explored thread awaits something as the coroutine of a task would, without the task.
//
//   MutexGuard guard = explorer::Await(mutex.Lock());
//   absl::Status sent = explorer::Await(channel.Send(1), &stop);   // a stop request cancels it
//
// What the awaitable schedules in the end wakes the thread, so that what is explored is the
// primitive's own handshake and nothing else.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_AWAIT_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_AWAIT_H_

#include <coroutine>
#include <type_traits>
#include <utility>

#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::explorer {

template <class Awaitable>
auto Await(Awaitable awaitable, internal::StopState* stop = nullptr) {
  struct Promise : internal::PromiseBase {
    Event resumed;
  };
  struct Resumer final : Executor {
    void Schedule(WorkItem& item) noexcept override { static_cast<Promise&>(item).resumed.Set(); }
  };
  Resumer executor;
  TaskContext context;
  context.executor = &executor;
  context.stop = stop;
  Promise promise;
  promise.context = &context;
  decltype(auto) awaiter = internal::GetAwaiter(std::move(awaitable));
  const auto suspend = [&] {
    // The handle is only asked for its promise.
    const auto handle = std::coroutine_handle<Promise>::from_promise(promise);
    if constexpr (std::is_void_v<decltype(awaiter.await_suspend(handle))>) {
      awaiter.await_suspend(handle);
      return true;
    } else {
      return awaiter.await_suspend(handle);
    }
  };
  if (!awaiter.await_ready() && suspend()) promise.resumed.Wait();
  return awaiter.await_resume();
}

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_AWAIT_H_
