#include "plait/runtime/task/wait.h"

#include <memory>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/scope.h"

namespace plait::internal {
namespace {

// What the nodes of one Wait share. Lives in its coroutine, which joins them.
class WaitScope {
 public:
  WaitScope(WaitFor what, size_t tasks) : what_(what), pending_(tasks) {
    counter_.Add(static_cast<int>(tasks));
  }

  Future<void> future() { return enough_.future(); }
  JoinCounter& counter() { return counter_; }

  // A task has ended.
  void Ended(const TaskState& task) {
    // Acquire and release are the promise's.
    const bool last = pending_.fetch_sub(1, kRelaxed) == 1;
    if (last || what_ == WaitFor::kFirstCompleted ||
        (what_ == WaitFor::kFirstError && task.ended_badly())) {
      enough_.Set();
    }
  }

 private:
  const WaitFor what_;
  Atomic<size_t> pending_;
  Promise<void> enough_;
  JoinCounter counter_;
};

// One task that is waited for.
struct WaitNode : WorkItem {
  WaitScope* scope = nullptr;
  TaskState* task = nullptr;

  static void Run(WorkItem& item) noexcept {
    auto& self = static_cast<WaitNode&>(item);
    WaitScope& scope = *self.scope;
    scope.Ended(*self.task);
    scope.counter().Done();  // last: the node may be gone
  }
};

constexpr AwaitKind kWaitKind{"Wait"};
constexpr AwaitNote kWaitNote{&kWaitKind};

}  // namespace

TaskRef<TaskState> RefOf(const TaskHandle& handle) { return handle.Ref(); }

Task<absl::StatusOr<WaitResult>> WaitForTasks(TaskRefs tasks, WaitFor what) {
  if (tasks.empty()) co_return absl::InvalidArgumentError("Wait: there is nothing to wait for");
  for (const auto& task : tasks) {
    if (!task) co_return absl::InvalidArgumentError("Wait: a handle is empty or was moved from");
  }
  const size_t count = tasks.size();
  WaitScope scope(what, count);
  Future<void> enough = scope.future();
  const auto nodes = std::make_unique<WaitNode[]>(count);
  for (size_t i = 0; i < count; ++i) {
    WaitNode& node = nodes[i];
    node.run = &WaitNode::Run;
    node.scope = &scope;
    node.task = tasks[i].get();
    if (!tasks[i]->AddWaiter(node)) WaitNode::Run(node);
  }
  const absl::Status waited = co_await enough;
  // Those that are still in a list are taken out; those that are being run just now are waited for.
  for (size_t i = 0; i < count; ++i) {
    if (tasks[i]->RemoveWaiter(nodes[i])) scope.counter().Done();
  }
  co_await scope.counter().Join(kWaitNote);
  if (!waited.ok()) co_return absl::CancelledError("the wait for tasks was cancelled");
  WaitResult result;
  for (size_t i = 0; i < count; ++i) {
    (tasks[i]->done() ? result.done : result.pending).push_back(i);
  }
  co_return result;
}

}  // namespace plait::internal
