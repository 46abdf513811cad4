// TaskObserver: is told of every task that an executor starts and ends: for metrics, tracing, logs.
// (asyncio: a task factory.)
//
//   class Counter : public plait::TaskObserver { ... };
//   plait::Run(Main(), {.observer = &counter});
//
// Threads: OnStart runs on the thread that spawns, before the task can run; OnEnd on the thread
// that ends the task, when its result is there and before anyone who waits for it goes on. Both are
// brief and do not block, and may be called from several threads at once. A task that a closing
// TaskGroup rejected was never started and is not told of.
#ifndef PLAIT_RUNTIME_TASK_TASK_OBSERVER_H_
#define PLAIT_RUNTIME_TASK_TASK_OBSERVER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace plait {

// A task, as its observer sees it; valid during the call.
struct ObservedTask {
  uint64_t id;             // unique in the process
  absl::string_view name;  // SpawnOptions::name
};

class TaskObserver {
 public:
  virtual ~TaskObserver() = default;

  // `parent_id` is the task that spawns it, or 0.
  virtual void OnStart(const ObservedTask& task, uint64_t parent_id) noexcept {
    static_cast<void>(task);
    static_cast<void>(parent_id);
  }

  enum class Ending : uint8_t { kOk, kFailed, kCancelled };
  virtual void OnEnd(const ObservedTask& task, Ending ending) noexcept {
    static_cast<void>(task);
    static_cast<void>(ending);
  }
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_TASK_OBSERVER_H_
