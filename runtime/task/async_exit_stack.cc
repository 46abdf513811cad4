#include "plait/runtime/task/async_exit_stack.h"

#include "plait/runtime/core/check.h"
#include "plait/runtime/task/result.h"

namespace plait {

AsyncExitStack::~AsyncExitStack() {
  PLAIT_CHECK(cleanups_.empty(),
              "an AsyncExitStack was destroyed with cleanups left: co_await Close()");
}

Task<absl::Status> AsyncExitStack::Close() {
  internal::Result<absl::Status> first;
  while (!cleanups_.empty()) {
    absl::AnyInvocable<Task<absl::Status>()> cleanup = std::move(cleanups_.back());
    cleanups_.pop_back();
    internal::Result<absl::Status> ended;
    co_await internal::AwaitInto<absl::Status>(cleanup(), nullptr, ended);
    if (!first.empty()) continue;
    if (ended.has_exception()) {
      first.SetException(ended.exception());
    } else if (!ended.value().ok()) {
      first.Emplace(ended.value());
    }
  }
  if (first.empty()) co_return absl::OkStatus();
  co_return first.Take();
}

}  // namespace plait
