#include "plait/runtime/task/spawn.h"

#include "absl/synchronization/notification.h"
#include "plait/runtime/core/check.h"

namespace plait::internal {

const TaskLocalNode* SpawnLocals(const SpawnOptions& options) noexcept {
  if (options.context != nullptr) return options.context->node();
  const TaskContext* context = TaskContext::Current();
  return context == nullptr ? nullptr : context->locals;
}

void StartSpawned(TaskState& state, const SpawnOptions& options) noexcept {
  Executor* executor = options.executor;
  if (executor == nullptr) {
    const TaskContext* context = TaskContext::Current();
    PLAIT_CHECK(context != nullptr, "Spawn outside of a task needs SpawnOptions::executor");
    executor = context->executor;
  }
  state.Adopt(*executor, nullptr, SpawnLocals(options));
  state.Start(options.eager);
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
  state.Adopt(executor, nullptr, nullptr);
  state.Start(/*eager=*/false);
  if (!executor.RunUntil(done.flag)) done.notification.WaitForNotification();
}

}  // namespace plait::internal
