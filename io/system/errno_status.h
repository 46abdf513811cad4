// The one place where an errno becomes an absl::Status.
#ifndef PLAIT_IO_SYSTEM_ERRNO_STATUS_H_
#define PLAIT_IO_SYSTEM_ERRNO_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace plait {

// `negative_errno` as an operation or a function of sys:: returns it; `what` says what was
// attempted and on what ("connect to 127.0.0.1:80"). The message reads "connect to 127.0.0.1:80:
// Connection refused (ECONNREFUSED)". OK when it is not negative.
absl::Status ErrnoToStatus(int negative_errno, absl::string_view what);

}  // namespace plait

#endif  // PLAIT_IO_SYSTEM_ERRNO_STATUS_H_
