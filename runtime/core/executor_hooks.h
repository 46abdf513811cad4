// ExecutorHooks: who is told of what happens on an executor, and how closely it watches.
#ifndef PLAIT_RUNTIME_CORE_EXECUTOR_HOOKS_H_
#define PLAIT_RUNTIME_CORE_EXECUTOR_HOOKS_H_

#include "absl/time/time.h"
#include "plait/runtime/core/report.h"

namespace plait {

class TaskObserver;

struct ExecutorHooks {
  // Told of each task's start and end; see runtime/task/task_observer.h. Null: nobody. Outlives the
  // executor.
  TaskObserver* observer = nullptr;
  // Null: reports are printed to standard error.
  ReportHandler on_report = nullptr;
  // Looks for mistakes as well: two looks at the clock for each item that runs.
  bool debug = false;
  // In debug mode: what holds the thread for longer is reported.
  absl::Duration slow_callback = absl::Milliseconds(100);

  // Hands `report` to on_report, or prints it. Any thread.
  void Tell(const Report& report) const;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_EXECUTOR_HOOKS_H_
