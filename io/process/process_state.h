// ProcessState: one child, shared by its Process and by those that wait for it. Internal.
//
// The child's number may be given to another process from the moment that its exit was taken. So
// whoever takes the exit and whoever signals exclude each other, and signals go through the
// process's descriptor where the system has one.
#ifndef PLAIT_IO_PROCESS_PROCESS_STATE_H_
#define PLAIT_IO_PROCESS_PROCESS_STATE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/io/process/exit_status.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/task/task.h"

namespace plait::internal {

class ProcessState {
 public:
  // Takes `pidfd`, which is negative where the system gave none. `command` is for people.
  ProcessState(int pid, int pidfd, bool own_group, const std::string& command);
  ProcessState(const ProcessState&) = delete;
  ProcessState& operator=(const ProcessState&) = delete;
  ~ProcessState();

  int pid() const noexcept { return pid_; }
  int pidfd() const noexcept { return pidfd_; }
  // Leads a process group.
  bool own_group() const noexcept { return own_group_; }
  // "process 123 (cat)".
  const std::string& name() const noexcept { return name_; }

  // How it has ended; nothing while it runs. An error: nobody will ever know. Any thread; does not
  // wait.
  std::optional<absl::StatusOr<ExitStatus>> TakeExit();

  // FailedPrecondition when it has ended; for its group, which may go on without it and keeps its
  // number for so long, when its exit was taken. Any thread.
  absl::Status Signal(int signal, bool group);
  // SIGKILL, to its group as well where that is its own.
  absl::Status Kill() { return Signal(9, own_group_); }

 private:
  void TakeExitLocked() noexcept;
  // Whether its exit was taken, by us or by somebody else.
  bool ExitIsTakenLocked() noexcept;
  int SignalLocked(int signal, bool group) noexcept;

  const int pid_;
  const int pidfd_;
  const bool own_group_;
  const std::string name_;
  SpinLock lock_;  // guards what follows, and the number
  bool ended_ = false;
  bool lost_ = false;  // ended, and the exit went elsewhere
  ExitStatus exit_;
};

// Waits for its end; any number may. Where there is no descriptor of the process to wait for, looks
// every now and then.
Task<absl::StatusOr<ExitStatus>> WaitForExit(std::shared_ptr<ProcessState> state);

// Kills it, if it runs, and waits until it is gone, cancelled or not; but not for ever, as a
// process that hangs in the system dies when that lets it.
Task<void> KillAndReap(std::shared_ptr<ProcessState> state);

// For a process that nobody asks about any more: takes its exit once it has ended, in the
// background. Kills it first if `kill`.
void Abandon(std::shared_ptr<ProcessState> state, bool kill);

// Takes the exits of those that could not be waited for in the background, as they were abandoned
// outside of every executor, or as theirs ended. Gives how many are left.
size_t ReapOrphans();

}  // namespace plait::internal

#endif  // PLAIT_IO_PROCESS_PROCESS_STATE_H_
