#include "plait/schedulers/process_pool/pool_watch.h"

#include <utility>

#include "plait/runtime/core/check.h"
#include "plait/schedulers/process_pool/pool_system.h"

namespace plait::internal {

PoolWatch::PoolWatch(Owner& owner) noexcept : owner_(owner), poll_(&OnPolled), close_(&OnClosed) {
  poll_.self = close_.self = this;
}

PoolWatch::~PoolWatch() {
  PLAIT_CHECK(!in_flight(), "a watch of a process pool was dropped that a reactor still has");
}

absl::Status PoolWatch::Start(Reactor& reactor, int descriptor) {
  const int copy = pool_system::Duplicate(descriptor);
  if (copy < 0) return absl::ErrnoToStatus(-copy, "a descriptor to wait for a worker process");
  reactor_ = &reactor;
  copy_ = copy;
  stopping_ = closed_ = false;
  SubmitPoll();
  return absl::OkStatus();
}

void PoolWatch::SubmitPoll() noexcept {
  polling_ = true;
  poll_.opcode = IoOpcode::kPoll;
  poll_.fd = copy_;
  poll_.args = {};
  poll_.args.events = kPollReadable;
  reactor_->Submit(poll_);
}

void PoolWatch::Stop() noexcept {
  if (copy_ < 0 || stopping_) return;
  stopping_ = true;
  close_.opcode = IoOpcode::kClose;
  close_.fd = copy_;
  close_.args = {};
  reactor_->Submit(close_);  // what still polls is delivered first, as cancelled
}

void PoolWatch::OnPolled(WorkItem& item) noexcept {
  PoolWatch& self = *static_cast<Operation&>(static_cast<IoOperation&>(item)).self;
  self.polling_ = false;
  if (self.stopping_) {
    if (!self.closed_) return;
    self.copy_ = -1;
    return self.owner_.OnStopped(self);
  }
  // The owner takes away what makes it readable, so that the next poll waits.
  self.owner_.OnReadable(self);
  if (!self.stopping_ && self.poll_.result >= 0) self.SubmitPoll();
}

void PoolWatch::OnClosed(WorkItem& item) noexcept {
  PoolWatch& self = *static_cast<Operation&>(static_cast<IoOperation&>(item)).self;
  self.closed_ = true;
  if (self.polling_) return;
  self.copy_ = -1;
  self.owner_.OnStopped(self);
}

}  // namespace plait::internal
