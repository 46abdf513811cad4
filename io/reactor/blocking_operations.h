// BlockingOperations: operations that would block, run on an executor whose threads may, for a
// reactor that has no better way.
#ifndef PLAIT_IO_REACTOR_BLOCKING_OPERATIONS_H_
#define PLAIT_IO_REACTOR_BLOCKING_OPERATIONS_H_

#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/gate.h"
#include "plait/runtime/core/inbox.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/reactor.h"

namespace plait::internal {

// The reactor's thread, all of it.
class BlockingOperations {
 public:
  // `executor` may be null: then it is what the reactor's own has for that. Outlives the reactor,
  // which is woken when one has ended.
  BlockingOperations(Executor* executor, Reactor& reactor)
      : executor_(executor), reactor_(reactor) {}
  BlockingOperations(const BlockingOperations&) = delete;
  BlockingOperations& operator=(const BlockingOperations&) = delete;

  // False when there is no executor. Else `operation` is run, whose links and scratch it uses.
  [[nodiscard]] bool Start(IoOperation& operation) noexcept;
  // Whether it is being run.
  static bool Runs(const IoOperation& operation) noexcept { return operation.run == &Run; }

  // Calls `done(operation)` for each that has ended, its result set.
  template <class Done>
  void Drain(Done done) {
    WorkQueue ended;
    ended_.Drain(ended);
    while (WorkItem* const item = ended.Pop()) {
      auto& operation = static_cast<IoOperation&>(*item);
      Restore(operation);
      done(operation);
    }
  }

  // False when one has ended: do not sleep. Otherwise the next that ends wakes the reactor.
  [[nodiscard]] bool PrepareToSleep() noexcept { return ended_.PrepareToSleep(); }

  // Returns when no other thread is inside of Reactor::Wake on behalf of this.
  void Retire() noexcept { posts_.AwaitEmpty(); }

 private:
  static void Run(WorkItem& item) noexcept;
  static void Restore(IoOperation& operation) noexcept;

  Executor* const executor_;
  Reactor& reactor_;
  Inbox ended_;
  Gate posts_;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_REACTOR_BLOCKING_OPERATIONS_H_
