// SocketPair: two Streams that are connected with each other.
//
//   auto [here, there] = *plait::SocketPair();
//
// Unix sockets without a name, for both directions. In a test either end stands for the peer; one
// end can be given to a process that was started.
#ifndef PLAIT_IO_NET_SOCKET_PAIR_H_
#define PLAIT_IO_NET_SOCKET_PAIR_H_

#include <utility>

#include "absl/status/statusor.h"
#include "plait/io/net/stream.h"

namespace plait {

// Does not wait. ResourceExhausted when no descriptors are left.
absl::StatusOr<std::pair<Stream, Stream>> SocketPair();

}  // namespace plait

#endif  // PLAIT_IO_NET_SOCKET_PAIR_H_
