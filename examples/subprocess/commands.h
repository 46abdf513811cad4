// Commands for the shell, run and watched: each line that they say is shown as it comes.
#ifndef PLAIT_EXAMPLES_SUBPROCESS_COMMANDS_H_
#define PLAIT_EXAMPLES_SUBPROCESS_COMMANDS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/examples/subprocess/session.h"
#include "plait/io/process/exit_status.h"
#include "plait/io/process/process.h"
#include "plait/runtime/task/task.h"

namespace examples {

// Shows what `process` says on its pipes, marked with `name`, until they end, and waits for it.
// Whatever cuts this short (a cancel, a timeout) kills the process, and what it has started, before
// the co_await returns.
plait::Task<absl::StatusOr<plait::ExitStatus>> Watch(Session& session, plait::Process& process,
                                                     std::string name);

struct CommandOptions {
  std::string command;
  std::string directory;  // where it is run; empty: here
  int64_t times = 1;      // side by side; each finds its number in the variable NUMBER
  absl::Duration timeout = absl::InfiniteDuration();
};

// Runs the command so often, all at once. The exit status for this program: that of the first that
// did not end well, as a shell would give it (128 and the signal, 124 for one that took too long),
// or 0.
plait::Task<absl::StatusOr<int>> RunCommands(Session& session, CommandOptions options);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUBPROCESS_COMMANDS_H_
