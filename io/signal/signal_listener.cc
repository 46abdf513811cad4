#include "plait/io/signal/signal_listener.h"

#include <utility>

#include "plait/io/signal/signal_wait.h"
#include "plait/runtime/core/check.h"

namespace plait {

using internal::SignalWait;

SignalListener::SignalListener(std::unique_ptr<SignalWait> wait) : wait_(std::move(wait)) {}
SignalListener::SignalListener(SignalListener&&) noexcept = default;
SignalListener& SignalListener::operator=(SignalListener&&) noexcept = default;
SignalListener::~SignalListener() = default;

Task<absl::StatusOr<int>> SignalListener::Next() {
  PLAIT_CHECK(wait_ != nullptr, "a SignalListener was used that was moved from");
  return wait_->Next();
}

absl::StatusOr<SignalListener> ListenForSignals(absl::Span<const int> signals) {
  absl::StatusOr<std::unique_ptr<SignalWait>> wait =
      SignalWait::Create(signals, SignalWait::Kind::kListens);
  if (!wait.ok()) return wait.status();
  return SignalListener(*std::move(wait));
}

}  // namespace plait
