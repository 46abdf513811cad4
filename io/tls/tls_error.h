// What the TLS library says went wrong, as a Status. Internal.
//
// The library keeps a queue of errors for each thread: clear it before a call, and take what it
// says right after, with no await in between.
#ifndef PLAIT_IO_TLS_TLS_ERROR_H_
#define PLAIT_IO_TLS_TLS_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace plait::internal {

void ClearTlsErrors() noexcept;

// Of a file: `what` names it. The system's error where it is one, else InvalidArgument.
absl::Status TakeTlsFileError(absl::string_view what);

// Of a connection. `verify_result`: the library's, of the peer's certificate. Unauthenticated where
// that is refused, or the peer refuses ours; FailedPrecondition where the peer says that it cannot
// agree; else `otherwise`.
absl::Status TakeTlsError(absl::string_view what, long verify_result, absl::StatusCode otherwise);

}  // namespace plait::internal

#endif  // PLAIT_IO_TLS_TLS_ERROR_H_
