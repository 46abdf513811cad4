#include "plait/runtime/task/spawn.h"

#include "absl/synchronization/notification.h"
#include "plait/runtime/core/check.h"

namespace plait::internal {

Executor& SpawnExecutor(const SpawnOptions& options) {
  if (options.executor != nullptr) return *options.executor;
  const TaskContext* context = TaskContext::Current();
  PLAIT_CHECK(context != nullptr, "Spawn outside of a task needs SpawnOptions::executor");
  return *context->executor;
}

void BlockOnState(Executor& executor, TaskState& state) {
  PLAIT_CHECK(TaskContext::Current() == nullptr,
              "BlockOn and Run cannot be called inside a task, whose executor they would block: "
              "use co_await");
  struct Done : WorkItem {
    Atomic<bool> flag{false};
    absl::Notification notification;
  } done;
  done.run = [](WorkItem& item) noexcept {
    auto& self = static_cast<Done&>(item);
    // Only one of the two is waited for; the notification is last, as its waiter may free this.
    self.flag.store(true, kRelease);
    self.notification.Notify();
  };
  const bool waiting = state.AddWaiter(done);
  PLAIT_CHECK(waiting, "the task has run before");
  state.Start(executor, nullptr);
  if (!executor.RunUntil(done.flag)) done.notification.WaitForNotification();
}

}  // namespace plait::internal
