// UntilToldToEnd: for programs that have something to put away: files that they made, programs that
// they started.
//
//   plait::Run(examples::UntilToldToEnd(Work()), options)   // with options.handle_sigint = false
#ifndef PLAIT_EXAMPLES_SUPPORT_UNTIL_TOLD_TO_END_H_
#define PLAIT_EXAMPLES_SUPPORT_UNTIL_TOLD_TO_END_H_

#include <csignal>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/io/signal/shutdown.h"
#include "plait/io/signal/signal_listener.h"
#include "plait/runtime/runtime.h"

namespace examples {

// co_await: what `work` gives. Who ends the program (SIGINT, SIGTERM), or reads no more of what it
// prints, as in "program | head" (SIGPIPE), cancels it; then the result is absl::CancelledError. A
// second SIGINT or SIGTERM has its usual effect, also while the work puts its things away. Where
// one is ignored, as SIGINT is in the background of a script, it stays so
// (plait/io/signal/shutdown.h).
template <class T>
plait::Task<absl::StatusOr<T>> UntilToldToEnd(plait::Task<absl::StatusOr<T>> work) {
  constexpr int kUnread[] = {SIGPIPE};
  plait::SignalListener unread = co_await plait::OrReturn(plait::ListenForSignals(kUnread));
  auto selected =
      co_await plait::Select(plait::UntilShutdownSignal(), unread.Next(), std::move(work));
  if (selected.index() == 2) co_return std::move(selected.template get<2>());
  // One that could not be waited for is an error; what the others are told is that it was
  // cancelled.
  const absl::Status waited =
      selected.index() == 0 ? selected.template get<0>().status() : absl::OkStatus();
  co_return waited.ok() ? absl::CancelledError("told to end") : waited;
}

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_UNTIL_TOLD_TO_END_H_
