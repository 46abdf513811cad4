#include "plait/io/system/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

namespace plait::sys {
namespace {

sigset_t PipeSignal() noexcept {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGPIPE);
  return set;
}

bool IsPending() noexcept {
  sigset_t pending;
  ::sigpending(&pending);
  return ::sigismember(&pending, SIGPIPE) == 1;
}

}  // namespace

HoldSigpipe::HoldSigpipe() noexcept : was_pending_(IsPending()) {
  const sigset_t pipe_signal = PipeSignal();
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before_);
}

HoldSigpipe::~HoldSigpipe() {
  const int error = errno;
  if (!was_pending_ && IsPending()) {
    const sigset_t pipe_signal = PipeSignal();
    const timespec no_wait{};
    while (::sigtimedwait(&pipe_signal, nullptr, &no_wait) < 0 && errno == EINTR) {
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  errno = error;
}

}  // namespace plait::sys
