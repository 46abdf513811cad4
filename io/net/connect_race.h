// A connection to whichever of several addresses answers first: "happy eyeballs", RFC 8305.
// Internal to io/net.
//
// Addresses are tried in their order, which InterleaveFamilies makes one that a broken family of
// addresses does not spoil. Each gets a head start (the attempt delay, 250 ms) before the next is
// tried beside it; one that fails lets the next begin at once. The first connection wins. The
// others are cancelled, and their sockets are closed before the result is given.
#ifndef PLAIT_IO_NET_CONNECT_RACE_H_
#define PLAIT_IO_NET_CONNECT_RACE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/io/net/address.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_group.h"

namespace plait::internal {

// The families alternate, beginning with that of the first address; within each the order stays.
std::vector<SocketAddress> InterleaveFamilies(std::vector<SocketAddress> addresses);

struct ConnectedSocket {
  io::OwnedDescriptor descriptor;  // non-blocking, close-on-exec
  SocketAddress peer;
};

class ConnectRace {
 public:
  struct Options {
    // Not negative. Infinite: the next is tried only when all before it have failed.
    absl::Duration attempt_delay = absl::Milliseconds(250);
    // Where the connection comes from. Port 0: any.
    std::optional<SocketAddress> local;
  };

  // `target` is what errors call that which is connected to ("example.com:443").
  ConnectRace(std::string target, Options options)
      : target_(std::move(target)), options_(options) {}
  ConnectRace(const ConnectRace&) = delete;
  ConnectRace& operator=(const ConnectRace&) = delete;

  // co_await: once. Tries `addresses` in their order. NotFound where there are none. Cancellation:
  // absl::CancelledError, once all sockets are closed; a connection that was there first is given.
  // The race outlives the co_await.
  Task<absl::StatusOr<ConnectedSocket>> Run(std::vector<SocketAddress> addresses);

  // The errors so far, in the order of the addresses.
  std::vector<absl::Status> errors() const;
  // "connect to TARGET: HEADLINE", and what was wrong with each address.
  absl::Status Error(absl::StatusCode code, absl::string_view headline) const;

 private:
  // An attempt's end; true when it has won, and `socket` was taken.
  bool Won(io::OwnedDescriptor& socket, const SocketAddress& peer);
  void Failed(size_t index, absl::Status error);
  Task<void> Attempt(TaskGroup& group, size_t index);
  Task<absl::Status> StartAttempts(TaskGroup& group);
  absl::Status AllFailed() const;

  const std::string target_;
  const Options options_;
  std::vector<SocketAddress> addresses_;
  Event failed_;           // an attempt has failed since the last one began
  mutable SpinLock lock_;  // guards what follows
  std::vector<absl::Status> errors_;
  std::optional<ConnectedSocket> winner_;
};

// co_await: a socket that is connected to `peer`, from `local` where it is one. Errors: a Status
// that names the peer. The socket is closed where it does not come to a connection, or it is
// cancelled.
Task<absl::StatusOr<io::OwnedDescriptor>> ConnectSocket(SocketAddress peer,
                                                        std::optional<SocketAddress> local);

// co_await: `race` over what `addresses` gives, in at most `timeout`; DeadlineExceeded, with what
// is known by then, when that is over.
Task<absl::StatusOr<ConnectedSocket>> RunWithin(
    absl::Duration timeout, std::string target, ConnectRace::Options options,
    Task<absl::StatusOr<std::vector<SocketAddress>>> addresses);

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_CONNECT_RACE_H_
