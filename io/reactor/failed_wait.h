// What a reactor does when the system call that it waits in fails.
#ifndef PLAIT_IO_REACTOR_FAILED_WAIT_H_
#define PLAIT_IO_REACTOR_FAILED_WAIT_H_

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace plait::internal {

// `error` is what `what` gave, as -errno. Interrupted or out of time: nothing is to be done.
// Refused for a reason that will pass (no memory): where the reactor is `idle`, and so would try
// again at once, waits a millisecond. What no retry mends (its descriptor was closed behind its
// back, say) is a programming error (CHECK): the loop above would spin for ever.
void AfterFailedWait(absl::string_view what, int error, bool idle) noexcept;

// Makes `call`, which wakes a reactor and gives -errno where it could not, until it has: a wake is
// never lost. What no retry mends is a programming error (CHECK). From any thread, and from a
// signal handler.
void WakeBy(absl::FunctionRef<int()> call) noexcept;

// The same where the reactor watches an eventfd.
void SignalWake(int eventfd) noexcept;

}  // namespace plait::internal

#endif  // PLAIT_IO_REACTOR_FAILED_WAIT_H_
