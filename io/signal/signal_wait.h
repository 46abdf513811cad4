// SignalWait: what stands behind SignalListener and the helpers for shutting down. Internal.
#ifndef PLAIT_IO_SIGNAL_SIGNAL_WAIT_H_
#define PLAIT_IO_SIGNAL_SIGNAL_WAIT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/signal_subscription.h"
#include "plait/runtime/task/task.h"

namespace plait::internal {

class SignalWait {
 public:
  using Kind = sys::SignalSubscription::Kind;

  // As ListenForSignals.
  static absl::StatusOr<std::unique_ptr<SignalWait>> Create(absl::Span<const int> signals,
                                                            Kind kind);
  SignalWait(const SignalWait&) = delete;
  SignalWait& operator=(const SignalWait&) = delete;
  // Before the descriptor is closed nobody writes to it any more.
  ~SignalWait() { subscription_.Stop(); }

  // As SignalListener::Next; `this` outlives the co_await.
  Task<absl::StatusOr<int>> Next();

 private:
  SignalWait(std::string name, int event) : name_(std::move(name)), event_(event) {}

  Task<absl::StatusOr<int>> WaitForNext();

  const std::string name_;  // "wait for SIGHUP or SIGTERM"
  io::OwnedDescriptor event_;
  sys::SignalSubscription subscription_;
  uint64_t taken_ = 0;  // and not told yet
  bool waiting_ = false;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_SIGNAL_SIGNAL_WAIT_H_
