#include "plait/runtime/task/std_future.h"

#include "plait/runtime/task/task_context.h"

namespace plait::internal {

Future<void> WaitElsewhere(absl::AnyInvocable<void() &&> wait) {
  struct Waiting : WorkItem {
    explicit Waiting(absl::AnyInvocable<void() &&> f)
        : WorkItem([](WorkItem& item) noexcept {
            const std::unique_ptr<Waiting> self(static_cast<Waiting*>(&item));
            std::move(self->function)();
            self->promise.Set();
          }),
          function(std::move(f)) {}
    absl::AnyInvocable<void() &&> function;
    Promise<void> promise;
  };
  auto* const waiting = new Waiting(std::move(wait));
  Future<void> future = waiting->promise.future();
  TaskContext::Current()->executor->blocking().Schedule(*waiting);
  return future;
}

}  // namespace plait::internal
