// Between tasks and std::future, for code that speaks the standard library's words.
//
//   std::future<int> to_library = plait::AsStdFuture(Compute(), {.executor = &pool});
//   absl::StatusOr<int> from_library = co_await plait::FromStdFuture(library.Start());
//
// AsStdFuture: the std::future gets what the task ends with, a value or an exception, on the thread
// that ends it. To get() it blocks, so that is for threads of your own; destroying it neither waits
// nor cancels.
//
// FromStdFuture: std::future can only be waited for by blocking, so a thread of the executor's
// blocking() does that, one for each future that is not ready yet. The await gives the value, or
// rethrows the exception. A cancel ends the await with absl::CancelledError at once; the
// std::future is then waited for all the same, and dropped, and the end of the blocking pool waits
// for that. A std::future without a state gives InvalidArgument.
#ifndef PLAIT_RUNTIME_TASK_STD_FUTURE_H_
#define PLAIT_RUNTIME_TASK_STD_FUTURE_H_

#include <chrono>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/blocking_get.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_state.h"

namespace plait {
namespace internal {

// Carries a task's result over; owns itself.
template <class T>
struct ToStdFuture : WorkItem {
  explicit ToStdFuture(JoinHandle<T> of) : WorkItem(&RunDone), handle(std::move(of)) {}

  static void RunDone(WorkItem& item) noexcept {
    const std::unique_ptr<ToStdFuture> self(static_cast<ToStdFuture*>(&item));
    Result<T> result;
    result.Capture(
        [&]() -> T { return std::move(self->handle).operator co_await().await_resume(); });
    if (result.has_exception()) {
      self->promise.set_exception(result.exception());
    } else if constexpr (std::is_void_v<T>) {
      self->promise.set_value();
    } else {
      self->promise.set_value(result.Take());
    }
  }

  JoinHandle<T> handle;
  std::promise<T> promise;
};

// Has the current executor's blocking() call `wait`, and is set when that has returned.
Future<void> WaitElsewhere(absl::AnyInvocable<void() &&> wait);

}  // namespace internal

template <class T>
std::future<T> AsStdFuture(JoinHandle<T> handle) {
  const internal::TaskRef<internal::TaskState> state = handle.Ref();
  auto* const carrier = new internal::ToStdFuture<T>(std::move(handle));
  std::future<T> future = carrier->promise.get_future();
  if (!state->AddWaiter(*carrier)) carrier->run(*carrier);
  return future;
}

template <class T>
std::future<T> AsStdFuture(Task<T> task, SpawnOptions options = {}) {
  return AsStdFuture(Spawn(std::move(task), options));
}

template <class T>
  requires(!std::is_reference_v<T>)
Task<internal::WithStatus<T>> FromStdFuture(std::future<T> future) {
  if (!future.valid()) {
    co_return absl::InvalidArgumentError("FromStdFuture: the std::future has no state");
  }
  if (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    auto shared = std::make_shared<std::future<T>>(std::move(future));
    Future<void> waited = internal::WaitElsewhere([shared] { shared->wait(); });
    const absl::Status status = co_await waited;
    if (!status.ok()) co_return status;
    future = std::move(*shared);
  }
  if constexpr (std::is_void_v<T>) {
    future.get();
    co_return absl::OkStatus();
  } else {
    co_return internal::WithStatus<T>(future.get());
  }
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_STD_FUTURE_H_
