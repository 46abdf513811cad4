// Run: a whole program's main task, on the default scheduler and reactor.
//
//   int main() { return plait::Run(Main()).ok() ? 0 : 1; }
#ifndef PLAIT_SCHEDULERS_RUN_H_
#define PLAIT_SCHEDULERS_RUN_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/report.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_observer.h"
#include "plait/runtime/task/task_state.h"

namespace plait {

struct RunOptions {
  // "event_loop", "work_stealing", or empty for the default: what the build flag //:scheduler says.
  std::string scheduler;
  // Of schedulers that have several, each with a reactor of its own: how many; 0 is one for each
  // that the machine runs at once.
  int threads = 0;
  // "epoll", "io_uring", "auto", ... or empty for the default; see io/auto_reactor.
  std::string reactor;
  // Where functions that block run: Offload's, and the reads and writes of regular files on
  // reactors that have no better way; outlives the call. Null for a BlockingPool of the call's own,
  // whose threads are started when they are needed and joined before Run returns.
  Executor* blocking = nullptr;
  // Null for the machine's.
  Clock* clock = nullptr;
  // Looks for mistakes: see ReportKind. PLAIT_DEBUG=1 in the environment turns it on as well.
  bool debug = false;
  // Gets what there is to report about the program; null: standard error.
  ReportHandler on_report = nullptr;
  // Told of each task that starts and ends; outlives the call. Null: nobody.
  TaskObserver* observer = nullptr;
  // The first SIGINT cancels the main task, with the reason "SIGINT"; a second one has its usual
  // effect and ends the process. Not where the program handles SIGINT itself, or another Run does.
  bool handle_sigint = true;
};

// Where RunOptions do not say it: "event_loop", or what the build flag //:scheduler says.
absl::string_view DefaultScheduler() noexcept;

namespace internal {

// An executor of the kind that `options` name.
class Runner {
 public:
  static absl::StatusOr<std::unique_ptr<Runner>> Create(const RunOptions& options);
  virtual ~Runner() = default;

  virtual Executor& executor() = 0;
  // Cancels the tasks that are left, and returns once they have ended.
  virtual void CancelTasks() = 0;
  // From now on, until CancelTasks has returned, SIGINT cancels `main`.
  virtual void CancelOnInterrupt(TaskState& main) = 0;
};

}  // namespace internal

// Runs `task` until it has ended; then cancels the tasks that it spawned and left behind, and
// returns once they have ended too. Gives the task's result; its exception comes out of here. An
// unknown scheduler or reactor, or one that the system refuses, is the result where T is a Status
// or StatusOr, and else a CHECK with that status. Calling it inside a task is a programming error
// (CHECK).
template <class T>
T Run(Task<T> task, RunOptions options = {}) {
  absl::StatusOr<std::unique_ptr<internal::Runner>> runner = internal::Runner::Create(options);
  if constexpr (internal::kCarriesStatus<T>) {
    if (!runner.ok()) return runner.status();
  }
  PLAIT_CHECK(runner.ok(), runner.status().ToString());
  auto state = internal::MakeTaskState(std::move(task), "main");
  if (options.handle_sigint) (*runner)->CancelOnInterrupt(*state);
  internal::BlockOnState((*runner)->executor(), *state);
  (*runner)->CancelTasks();
  state->MarkRetrieved();
  return state->result().Take();
}

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_RUN_H_
