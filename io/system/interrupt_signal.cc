#include "plait/io/system/interrupt_signal.h"

#include <errno.h>
#include <signal.h>

#include <utility>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::sys {
namespace {

using internal::Atomic;
using internal::kAcqRel;
using internal::kAcquire;
using internal::kRelease;
using internal::kSeqCst;

// A signal handler has no other way to find what it is for.
constinit Atomic<InterruptSignal*> current{nullptr};
constinit Atomic<int> in_handler{0};

void SetDefault() noexcept {
  struct sigaction usual = {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(SIGINT, &usual, nullptr);
}

}  // namespace

void InterruptSignal::Handle(int) noexcept {
  const int saved_errno = errno;
  // In one order with the destructor's store and load: either it sees that we are in here, or we
  // see that it is gone.
  in_handler.fetch_add(1, kSeqCst);
  if (InterruptSignal* signal = current.exchange(nullptr, kSeqCst)) {
    SetDefault();
    signal->function_(signal->context_);
  } else {
    // Nobody is left who would be told: it came as the last one went, or somebody has put this
    // handler back that had replaced it. It has its usual effect.
    SetDefault();
    ::raise(SIGINT);
  }
  in_handler.fetch_sub(1, kRelease);
  errno = saved_errno;
}

InterruptSignal::InterruptSignal(Function function, void* context) noexcept
    : function_(function), context_(context) {
  struct sigaction present = {};
  if (::sigaction(SIGINT, nullptr, &present) != 0 || (present.sa_flags & SA_SIGINFO) != 0 ||
      (present.sa_handler != SIG_DFL && present.sa_handler != &Handle)) {
    return;
  }
  InterruptSignal* none = nullptr;
  if (!current.compare_exchange_strong(none, this, kAcqRel, kAcquire)) return;
  active_ = true;
  struct sigaction ours = {};
  ours.sa_handler = &Handle;
  ours.sa_flags = SA_RESTART;
  ::sigemptyset(&ours.sa_mask);
  ::sigaction(SIGINT, &ours, nullptr);
}

InterruptSignal::~InterruptSignal() {
  if (!active_) return;
  struct sigaction present = {};
  if (::sigaction(SIGINT, nullptr, &present) == 0 && present.sa_handler == &Handle) SetDefault();
  InterruptSignal* self = this;
  current.compare_exchange_strong(self, nullptr, kSeqCst, kSeqCst);
  for (int round = 0; in_handler.load(kSeqCst) != 0; ++round) internal::SpinWait(round);
}

}  // namespace plait::sys
