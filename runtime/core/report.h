// Report: what the runtime has to say about a program that runs: an error that nobody looked at, a
// callback that held its thread, a call from the wrong thread.
//
// Reports are for people and logs; nothing in the runtime depends on them. An executor passes each
// to the handler that it was given (RunOptions::on_report, EventLoopOptions::hooks) and, without
// one, prints it to standard error in one line.
#ifndef PLAIT_RUNTIME_CORE_REPORT_H_
#define PLAIT_RUNTIME_CORE_REPORT_H_

#include <cstdint>
#include <functional>
#include <string>

namespace plait {

enum class ReportKind : uint8_t {
  // Always: a task failed, by a status or an exception, and its result was never looked at.
  kErrorNeverRetrieved,
  // In debug mode: a Task was dropped that had not been awaited, spawned or run.
  kTaskNeverAwaited,
  // A callback, or one step of a task, held its thread for long. In debug mode; where it blocks a
  // thread of a WorkStealingPool, always, and while it still does, told on another thread.
  kSlowCallback,
  // In debug mode: a function that belongs to the loop's thread was called on another.
  kWrongThread,
};

struct Report {
  ReportKind kind;
  // The task that it is about; 0 when there is none.
  uint64_t task_id = 0;
  std::string task_name;
  // One sentence; what follows a line break are details, such as an await chain.
  std::string message;
};

// Called on the thread on which it happened, inside the runtime: it is brief, does not block, and
// does not throw.
using ReportHandler = std::function<void(const Report&)>;

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_REPORT_H_
