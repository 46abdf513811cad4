// Process: another program, started, talked to through pipes, waited for and signalled.
//
//   plait::ProcessOptions options;
//   options.arguments = {"sort", "-r"};
//   options.input = options.output = plait::Stdio::Pipe();
//   plait::Process sort = co_await plait::OrReturn(plait::Process::Start(options));
//   plait::ProcessOutput sorted = co_await plait::OrReturn(sort.Communicate("b\na\n"));
//   if (sorted.status.ok()) Use(sorted.output);
//
// (asyncio: create_subprocess_exec. Write the options out before the co_await, as g++ 12 gets lists
// of strings inside one wrong.)
//
// The child has its signals at their defaults and no descriptors but those that the options name.
// Threads: a Process belongs to one thread at a time; what Wait gave may be awaited on any, and any
// number of tasks may wait for one process: all get the same answer.
// Lifetime: dropping a Process that has not ended kills it (kill_on_drop), and either way it is
// reaped in the background, so that no zombie stays: by a task of the executor that runs on the
// thread of the drop, for which EventLoop::Run waits and which Run and EventLoop::Close end; else,
// and where that comes first, by the next Process::Start. Outside of an executor the drop waits
// until the killed process is gone. Its pipes go with it; see io/ops/owned_descriptor.h.
// Errors: a Status that names the command or the process. Cost: Start holds its thread until the
// child runs its program, some hundred microseconds; Offload it where that matters. A wait costs
// nothing while it lasts.
//
// Where the system gives no descriptors of processes (before Linux 5.3, some sandboxes) or has none
// left, a wait looks every few milliseconds, and signals go by number.
#ifndef PLAIT_IO_PROCESS_PROCESS_H_
#define PLAIT_IO_PROCESS_PROCESS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/process/exit_status.h"
#include "plait/io/process/process_options.h"
#include "plait/io/process/process_output.h"
#include "plait/runtime/task/task.h"

namespace plait {

namespace internal {
class ProcessState;
struct StartedProcess;
}  // namespace internal

class Process {
 public:
  // How much Communicate takes by default, of the standard output and error together.
  static constexpr size_t kDefaultMaxOutput = size_t{256} << 20;

  // Starts the program. Any thread, also outside of tasks. NotFound when there is no such command
  // (or interpreter, or working directory), PermissionDenied when it may not be run (as a directory
  // may not), InvalidArgument when it is no program, there is too much of its arguments, or a
  // string has a NUL in it, ResourceExhausted when there are too many descriptors or processes.
  // When it fails nothing was started.
  static absl::StatusOr<Process> Start(const ProcessOptions& options);

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  int pid() const;

  // Our ends of the pipes to its standard input and from its standard output and error; no
  // descriptor where Stdio::Pipe was not asked for, or Communicate has taken it. Close input() for
  // the process to see the end of its input.
  io::OwnedDescriptor& input() { return pipes_[0]; }
  io::OwnedDescriptor& output() { return pipes_[1]; }
  io::OwnedDescriptor& error() { return pipes_[2]; }

  // co_await: until it has ended; how it did. Again gives the same. It may outlive the Process.
  // Cancellation: gives absl::CancelledError, and the process goes on. FailedPrecondition on an
  // executor that has neither a reactor nor timers, and when the exit went to somebody else: a
  // program that ignores SIGCHLD, or waits for every child, takes them away.
  // A process that writes to a pipe nobody reads does not end: use Communicate.
  Task<absl::StatusOr<ExitStatus>> Wait() const;

  // How it has ended; nothing while it runs, or where nobody knows. Does not wait.
  std::optional<ExitStatus> exit_status() const;

  // co_await: writes `input` to it and closes its standard input, reads its standard output and
  // error, as far as they are pipes, side by side until their ends, and waits for it. Takes the
  // pipes; the Process outlives the co_await. A process that closes its input early, or ends
  // without having read it, is no error. FailedPrecondition when there is input and no pipe for it.
  // Cancellation and errors (ResourceExhausted when it says more than `max_output` bytes): the
  // process is killed and reaped before the co_await returns.
  // The end of a pipe comes when everybody has closed it who has it: also what the process started.
  Task<absl::StatusOr<ProcessOutput>> Communicate(std::string input = {},
                                                  size_t max_output = kDefaultMaxOutput);

  // Sends it a signal; never another process that got its number. FailedPrecondition when it has
  // ended, whether it was waited for or not; PermissionDenied where it belongs to another user by
  // now.
  absl::Status Signal(int signal);
  // To its whole group, also when it has ended before the others. FailedPrecondition where it has
  // none of its own, and once Wait or exit_status has told of its end.
  absl::Status SignalGroup(int signal);
  // SIGTERM, which asks it to end.
  absl::Status Terminate();
  // SIGKILL, which it cannot refuse; to its whole group, as SignalGroup, where it has one of its
  // own.
  absl::Status Kill();

 private:
  Process(internal::StartedProcess started, bool kill_on_drop);
  internal::ProcessState& state() const;

  std::shared_ptr<internal::ProcessState> state_;  // null when moved from
  io::OwnedDescriptor pipes_[3];
  bool kill_on_drop_ = true;
};

// Starts `command` with the system's shell, /bin/sh -c. What comes from elsewhere does not belong
// into a command: give it as a variable in options.environment, or use Start. InvalidArgument when
// options.arguments is not empty. (asyncio: create_subprocess_shell.)
absl::StatusOr<Process> Shell(absl::string_view command, ProcessOptions options = {});

}  // namespace plait

#endif  // PLAIT_IO_PROCESS_PROCESS_H_
