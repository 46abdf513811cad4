#include "plait/runtime/task/spawn.h"

#include "plait/runtime/core/check.h"
#include "plait/runtime/task/thread_wait.h"

namespace plait::internal {

const TaskLocalNode* SpawnLocals(const SpawnOptions& options) noexcept {
  if (options.context != nullptr) return options.context->node();
  const TaskContext* context = TaskContext::Current();
  return context == nullptr ? nullptr : context->locals();
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

void StartSpawned(TaskState& state) noexcept {
  const TaskContext* const context = TaskContext::Current();
  if (context == nullptr) [[unlikely]]
    return StartSpawned(state, {});
  state.StartIn(*context);
}

void BlockOnState(Executor& executor, TaskState& state) {
  PLAIT_CHECK(TaskContext::Current() == nullptr,
              "BlockOn and Run cannot be called inside a task, whose executor they would block: "
              "use co_await");
  struct Done : ThreadWait {
    Done() {
      run = [](WorkItem& item) noexcept {
        auto& self = static_cast<Done&>(item);
        // Only one of the two is waited for; the other is last, as its waiter may free this.
        self.flag.store(true, kRelease);
        self.Notify();
      };
    }
    Atomic<bool> flag{false};
  } done;
  const bool waiting = state.AddWaiter(done);
  PLAIT_CHECK(waiting, "the task has run before");
  state.Adopt(executor, nullptr, nullptr);
  state.Start(/*eager=*/false);
  if (!executor.RunUntil(done.flag)) done.Wait();
}

}  // namespace plait::internal
