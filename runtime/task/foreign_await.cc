#include "plait/runtime/task/foreign_await.h"

namespace plait::internal {

Rescheduler MakeRescheduler(PromiseBase& task) {
  task.Schedule();
  co_return;
}

}  // namespace plait::internal
