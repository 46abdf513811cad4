#include "plait/io/signal/shutdown.h"

#include <signal.h>

#include <memory>
#include <utility>

#include "plait/io/signal/signal_wait.h"
#include "plait/runtime/task/select.h"

namespace plait {
namespace {

using internal::SignalWait;

absl::StatusOr<std::unique_ptr<SignalWait>> ListenForShutdown() {
  static constexpr int kSignals[] = {SIGINT, SIGTERM};
  return SignalWait::Create(kSignals, SignalWait::Kind::kShutsDown);
}

}  // namespace

Task<absl::StatusOr<int>> UntilShutdownSignal() {
  const absl::StatusOr<std::unique_ptr<SignalWait>> wait = ListenForShutdown();
  if (!wait.ok()) co_return wait.status();
  co_return co_await (*wait)->Next();
}

Task<absl::Status> RunUntilShutdownSignal(Task<absl::Status> task) {
  const absl::StatusOr<std::unique_ptr<SignalWait>> wait = ListenForShutdown();
  if (!wait.ok()) co_return wait.status();
  auto selected = co_await Select(std::move(task), (*wait)->Next());
  const absl::Status& ended = selected.get<0>();
  // A task that ended without a wait leaves no time to wait for a signal.
  if (!selected.has<1>()) co_return ended;
  const absl::StatusOr<int>& signal = selected.get<1>();
  if (signal.ok()) co_return absl::IsCancelled(ended) ? absl::OkStatus() : ended;
  // The wait was cancelled, as the task had ended or was itself cancelled; or it failed, which
  // cancelled the task.
  co_return absl::IsCancelled(ended) && !absl::IsCancelled(signal.status()) ? signal.status()
                                                                            : ended;
}

}  // namespace plait
