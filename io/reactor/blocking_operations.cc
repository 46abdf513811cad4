#include "plait/io/reactor/blocking_operations.h"

#include "plait/io/reactor/try_operation.h"

namespace plait::internal {

bool BlockingOperations::Start(IoOperation& operation) noexcept {
  Executor* executor = executor_;
  if (executor == nullptr) {
    if (reactor_.executor() == nullptr) return false;
    executor = &reactor_.executor()->blocking();
  }
  // The operation itself is what the executor runs; its own run function waits in the scratch
  // meanwhile.
  operation.reactor_slot[0] = reinterpret_cast<void*>(operation.run);
  operation.reactor_slot[1] = this;
  operation.run = &Run;
  executor->Schedule(operation);
  return true;
}

void BlockingOperations::Run(WorkItem& item) noexcept {
  auto& operation = static_cast<IoOperation&>(item);
  auto& self = *static_cast<BlockingOperations*>(operation.reactor_slot[1]);
  operation.result = static_cast<int32_t>(TryOperation(operation, /*socket=*/false));
  // The reactor, which may deliver the operation and be destroyed, waits until Wake has returned.
  const GateVisit visit(self.posts_);
  if (self.ended_.Push(operation)) self.reactor_.Wake();
}

void BlockingOperations::Restore(IoOperation& operation) noexcept {
  operation.run = reinterpret_cast<WorkItem::RunFunction>(operation.reactor_slot[0]);
}

}  // namespace plait::internal
