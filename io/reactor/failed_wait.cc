#include "plait/io/reactor/failed_wait.h"

#include <errno.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/check.h"

namespace plait::internal {
namespace {

// The reactor, and nothing that may change, is what these complain of.
bool IsForEver(int error) {
  switch (-error) {
    case EACCES:
    case EBADF:
    case EBADFD:
    case EEXIST:  // a ring of another thread's
    case EFAULT:
    case EINVAL:
    case ENOSYS:
    case ENXIO:
    case EOPNOTSUPP:
    case EPERM:
      return true;
    default:
      return false;
  }
}

std::string Explain(absl::string_view what, int error) {
  return absl::StrCat(plait::ErrnoToStatus(error, what).message(),
                      ": no retry mends this; was the reactor's descriptor closed, or is it used "
                      "by two threads?");
}

}  // namespace

void AfterFailedWait(absl::string_view what, int error, bool idle) noexcept {
  if (error == -EINTR || error == -ETIME) return;
  PLAIT_CHECK(!IsForEver(error), Explain(what, error));
  // Not for the reactor's descriptor: what is ready there is what could not be fetched.
  if (idle) sys::Calls().WaitReadable(-1, 1);
}

void WakeBy(absl::FunctionRef<int()> call) noexcept {
  for (;;) {
    const int result = call();
    // EAGAIN: an eventfd's counter is full of wakes that nobody has seen yet.
    if (result >= 0 || result == -EAGAIN) return;
    PLAIT_CHECK(!IsForEver(result), Explain("waking a reactor", result));
    if (result != -EINTR) sys::Calls().WaitReadable(-1, 1);
  }
}

void SignalWake(int eventfd) noexcept {
  WakeBy([eventfd]() noexcept { return sys::Calls().SignalEventFd(eventfd); });
}

}  // namespace plait::internal
