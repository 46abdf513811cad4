#include "plait/io/net/socket_pair.h"

#include <sys/socket.h>

#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"

namespace plait {

absl::StatusOr<std::pair<Stream, Stream>> SocketPair() {
  int fds[2];
  const int made = sys::Calls().SocketPair(AF_UNIX, SOCK_STREAM, 0, fds);
  if (made < 0) return ErrnoToStatus(made, "socketpair");
  return std::pair<Stream, Stream>(io::OwnedDescriptor(fds[0]), io::OwnedDescriptor(fds[1]));
}

}  // namespace plait
