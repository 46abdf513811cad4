// Errors of operations on sockets, in terms of what people know: addresses, not numbers of
// descriptors. Internal to io/net.
#ifndef PLAIT_IO_NET_SOCKET_ERROR_H_
#define PLAIT_IO_NET_SOCKET_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace plait::internal {

// `error`, of an operation that reads "connect (fd 7): Connection refused (ECONNREFUSED)" or of
// ErrnoToStatus, as "WHAT: Connection refused (ECONNREFUSED)". An OK status stays what it is.
absl::Status NameError(const absl::Status& error, absl::string_view what);

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_SOCKET_ERROR_H_
