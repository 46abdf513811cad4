// Shutting down well: the first SIGINT or SIGTERM asks the program to end, a second one ends it.
//
//   plait::Task<absl::Status> Main() { return plait::RunUntilShutdownSignal(Serve()); }
//   int main() { return plait::Run(Main()).ok() ? 0 : 1; }
//
// or, where more is to be done than a cancel does:
//
//   int signal = co_await plait::OrReturn(plait::UntilShutdownSignal());
//   server.StopAccepting();
//   ...
//
// The second signal, SIGINT or SIGTERM, whatever the first was, has its default action at once, in
// the signal handler: it ends a program that hangs, too. That holds until the end of the program,
// unless somebody sets another action later, and unless a SignalListener listens to it. Several
// tasks, in several loops, may wait for the signal: all are told of it.
//
// A signal that is ignored stays ignored: whoever starts a program so (a shell its "command &",
// which a Ctrl-C at the terminal is not for; "trap '' TERM") wants it to go on. It neither asks nor
// ends then, not as a second signal either; where both are ignored nothing does. As with
// plait::Run's SIGINT, asyncio.run's and a Go program's; who listens for such a signal by name has
// it (signal_listener.h).
#ifndef PLAIT_IO_SIGNAL_SHUTDOWN_H_
#define PLAIT_IO_SIGNAL_SHUTDOWN_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/task.h"

namespace plait {

// co_await: SIGINT or SIGTERM, whichever comes first after the co_await began, of those that are
// not ignored then. Cancellation: absl::CancelledError, and what was set for the signals before is
// in force again. Errors: FailedPrecondition on an executor without a reactor, ResourceExhausted
// when there are too many descriptors.
Task<absl::StatusOr<int>> UntilShutdownSignal();

// co_await: runs `task` to its end and gives its result. SIGINT or SIGTERM cancels it; if it then
// ends with absl::CancelledError it has done what it was asked to, and the result is OK. The task
// sees to its own cleanup, as after any cancel (Uncancellable). Errors: those of
// UntilShutdownSignal, with the task cancelled or never begun. A cancel of the task around it is
// passed on. Signals that come before the co_await begins are not seen.
Task<absl::Status> RunUntilShutdownSignal(Task<absl::Status> task);

}  // namespace plait

#endif  // PLAIT_IO_SIGNAL_SHUTDOWN_H_
