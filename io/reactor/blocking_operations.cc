#include "plait/io/reactor/blocking_operations.h"

#include "plait/io/reactor/try_operation.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {

bool BlockingOperations::Start(IoOperation& operation) noexcept {
  if (executor_ == nullptr) return false;
  // The operation itself is what the executor runs; its own run function waits in the scratch
  // meanwhile.
  operation.reactor_slot[0] = reinterpret_cast<void*>(operation.run);
  operation.reactor_slot[1] = this;
  operation.run = &Run;
  executor_->Schedule(operation);
  return true;
}

void BlockingOperations::Run(WorkItem& item) noexcept {
  auto& operation = static_cast<IoOperation&>(item);
  auto& self = *static_cast<BlockingOperations*>(operation.reactor_slot[1]);
  operation.result = static_cast<int32_t>(TryOperation(operation, /*socket=*/false));
  // Counted, so that the reactor is not destroyed before Wake has returned. See
  // EventLoop::PostFromOutside.
  self.posters_.fetch_add(1, kAcquire);
  if (self.ended_.Push(operation)) self.reactor_.Wake();
  self.posters_.fetch_sub(1, kRelease);
}

void BlockingOperations::Restore(IoOperation& operation) noexcept {
  operation.run = reinterpret_cast<WorkItem::RunFunction>(operation.reactor_slot[0]);
}

void BlockingOperations::Retire() noexcept {
  for (int round = 0; posters_.load(kAcquire) != 0; ++round) SpinWait(round);
}

}  // namespace plait::internal
