#include "plait/io/ops/owned_descriptor.h"

#include <cerrno>

#include "absl/status/status.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/sync/strand_base.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task_local.h"

namespace plait::io {
namespace {

// Not a Task<Status>, which would not run on a loop that is being closed.
Task<void> CloseIt(int fd) {
  const absl::Status closed = co_await Close(fd);
  static_cast<void>(closed);  // closed it is, and there is nobody to tell of anything else
}

bool HasReactor() noexcept {
  Worker* const worker = Worker::Current();
  return worker != nullptr && worker->reactor() != nullptr;
}

// Whose thread this is; null where tasks cannot simply be started.
Executor* ExecutorHere() noexcept {
  Executor* const executor = plait::internal::thread_state.local_executor;
  if (executor != nullptr) return plait::internal::BaseOf(executor);
  const WorkerGroup* const group = Worker::Current()->group();
  return group == nullptr ? nullptr : &group->executor();
}

}  // namespace

Task<absl::Status> OwnedDescriptor::CloseOwned(OwnedDescriptor descriptor) {
  if (descriptor.valid() && !HasReactor()) {
    descriptor.Reset();
    co_return absl::OkStatus();
  }
  co_return co_await io::Close(descriptor.Release());
}

int OwnedDescriptor::Duplicate() const noexcept {
  const int fd = get();
  const int duplicate = fd < 0 ? -EBADF : sys::Calls().Duplicate(fd, 0);
  // Who closes it takes it from here before the system hears of it.
  if (duplicate < 0 || get() == fd) return duplicate;
  sys::Calls().Close(duplicate);
  return -EBADF;
}

void OwnedDescriptor::Reset() noexcept {
  const int fd = Release();
  if (fd < 0) return;
  Executor* const executor = HasReactor() ? ExecutorHere() : nullptr;
  if (executor == nullptr) {
    sys::Calls().Close(fd);
    return;
  }
  // Eager: in a task the reactor hears of it here and now, on the thread that dropped it.
  const TaskLocals none;
  Spawn(CloseIt(fd), {.name = "close", .executor = executor, .eager = true, .context = &none});
}

}  // namespace plait::io
