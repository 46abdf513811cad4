// SignalListener: signals that are sent to this process, told to a task.
//
//   absl::StatusOr<plait::SignalListener> signals = plait::ListenForSignals({SIGHUP, SIGUSR1});
//   if (!signals.ok()) co_return signals.status();
//   for (;;) {
//     int signal = co_await plait::OrReturn(signals->Next());
//     if (signal == SIGHUP) ReadConfiguration();
//   }
//
// (asyncio: loop.add_signal_handler. For programs that end well on SIGINT and SIGTERM there is
// io/signal/shutdown.h. g++ 12 takes no braces inside a co_await, so listen in a statement of its
// own.)
//
// Every listener gets every signal that it asked for, however many there are, in whatever loops and
// threads. While there is a listener the signal does nothing else: neither its default action, nor
// what the program had set before, nor RunOptions::handle_sigint's cancel. When the last listener
// to a signal goes, what was set before the first is in force again.
//
// So is a signal told that was ignored when the program began (SIGHUP under nohup, say): it was
// asked for by name. Who wants to leave that one alone, as one that means to end the program should
// be, looks first; the helpers of shutdown.h do.
//
// Coalescing: a signal that comes again before it was taken is told once, as with the system's own
// pending signals; this also holds for the real-time signals. Of several that came, the one with
// the lowest number is told first, and those that come later wait their turn. What was sent before
// the signal is told is visible to the task.
//
// Threads: ListenForSignals may be called on any, also outside of tasks. A listener belongs to the
// loop that first awaits it; drop it there, or when that is gone. Children: programs that are
// started (io/process) have the default actions; so has a child that was forked, until it listens
// itself. A signal that every thread blocks (pthread_sigmask) never comes. Cost: a descriptor for
// each listener; nothing while no signal comes.
#ifndef PLAIT_IO_SIGNAL_SIGNAL_LISTENER_H_
#define PLAIT_IO_SIGNAL_SIGNAL_LISTENER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "plait/runtime/task/task.h"

namespace plait {

namespace internal {
class SignalWait;
}

class SignalListener {
 public:
  SignalListener(SignalListener&&) noexcept;
  SignalListener& operator=(SignalListener&&) noexcept;
  ~SignalListener();

  // co_await: the next signal. Those that came since the listener was made are told, too. The
  // listener outlives the co_await; one Next at a time, further ones are FailedPrecondition (for
  // several tasks make several listeners), as is one on an executor without a reactor.
  // Cancellation: absl::CancelledError; no signal is lost by it, the next Next tells it. A signal
  // that is there already is given in a cancelled task, too.
  Task<absl::StatusOr<int>> Next();

 private:
  friend absl::StatusOr<SignalListener> ListenForSignals(absl::Span<const int> signals);
  explicit SignalListener(std::unique_ptr<internal::SignalWait> wait);

  std::unique_ptr<internal::SignalWait> wait_;  // null when moved from
};

// From now on these signals are told to the listener. InvalidArgument when there is none, or one
// that is no signal or that nobody can listen to: SIGKILL and SIGSTOP, which the system keeps to
// itself, and SIGSEGV, SIGBUS, SIGFPE and SIGILL, which tell of a fault that the program cannot go
// on after. ResourceExhausted when there are too many descriptors. When it fails nothing has
// changed.
absl::StatusOr<SignalListener> ListenForSignals(absl::Span<const int> signals);

}  // namespace plait

#endif  // PLAIT_IO_SIGNAL_SIGNAL_LISTENER_H_
