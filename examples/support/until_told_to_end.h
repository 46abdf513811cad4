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
#include "plait/io/signal/signal_listener.h"
#include "plait/runtime/runtime.h"

namespace examples {

// The first signal that comes; then the listener goes, before anybody is told.
inline plait::Task<absl::StatusOr<int>> FirstOf(plait::SignalListener signals) {
  co_return co_await signals.Next();
}

// co_await: what `work` gives. Who ends the program (SIGINT, SIGTERM), or reads no more of what it
// prints, as in "program | head" (SIGPIPE), cancels it; then the result is absl::CancelledError. A
// second SIGINT or SIGTERM has its usual effect, also while the work puts its things away.
template <class T>
plait::Task<absl::StatusOr<T>> UntilToldToEnd(plait::Task<absl::StatusOr<T>> work) {
  constexpr int kUnread[] = {SIGPIPE};
  constexpr int kEnds[] = {SIGINT, SIGTERM};
  plait::SignalListener unread = co_await plait::OrReturn(plait::ListenForSignals(kUnread));
  plait::SignalListener ends = co_await plait::OrReturn(plait::ListenForSignals(kEnds));
  auto selected = co_await plait::Select(FirstOf(std::move(ends)), unread.Next(), std::move(work));
  if (selected.index() == 2) co_return std::move(selected.template get<2>());
  co_return absl::CancelledError("told to end");
}

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_UNTIL_TOLD_TO_END_H_
