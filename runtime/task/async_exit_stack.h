// AsyncExitStack: cleanups that are not known beforehand, run in reverse order, and awaited.
// (Python: AsyncExitStack.)
//
//   absl::Status status = co_await plait::WithAsync(
//       plait::AsyncExitStack(), [&](plait::AsyncExitStack& stack) -> plait::Task<absl::Status> {
//         for (const Address& address : addresses) {
//           Session& session = stack.Enter(Session(address));       // closed by session.Close()
//           stack.Push([&session] { return session.Flush(); });     // and before that, this
//         }
//         co_return co_await Serve();
//       });
//
// Every cleanup runs once, also when an earlier one failed. The first error is what Close gives,
// the first exception, where there is no error before it, what it rethrows. Cleanups are kept alive
// until they have ended, so they may be lambda coroutines with captures. They run uncancellable
// under WithAsync. Threads: one at a time. One that is destroyed with cleanups left is a
// programming error (CHECK). Cost: a cleanup is one allocation.
#ifndef PLAIT_RUNTIME_TASK_ASYNC_EXIT_STACK_H_
#define PLAIT_RUNTIME_TASK_ASYNC_EXIT_STACK_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/with_async.h"

namespace plait {

class AsyncExitStack {
 public:
  AsyncExitStack() = default;
  AsyncExitStack(AsyncExitStack&&) = default;
  AsyncExitStack& operator=(AsyncExitStack&&) = delete;
  ~AsyncExitStack();

  // `cleanup()` gives nothing or an absl::Status, or an awaitable of either.
  template <class F>
  void Push(F cleanup) {
    cleanups_.push_back(
        [cleanup = std::move(cleanup)]() mutable { return internal::AwaitClose(cleanup); });
  }

  // Keeps `resource` until its Close() has ended.
  template <class R>
  R& Enter(R resource) {
    auto owned = std::make_unique<R>(std::move(resource));
    R& entered = *owned;
    Push([owned = std::move(owned)] { return owned->Close(); });
    return entered;
  }

  size_t size() const noexcept { return cleanups_.size(); }

  // Runs the cleanups, the last first. A cleanup may push others.
  Task<absl::Status> Close();

 private:
  std::vector<absl::AnyInvocable<Task<absl::Status>()>> cleanups_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_ASYNC_EXIT_STACK_H_
