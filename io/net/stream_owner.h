// StreamOwner: has a Stream, with data of its own that it still has to send, or without waiting for
// anything there; so it is told when somebody else closes the Stream (its server, say), and waited
// for. Internal; Transport is one.
//
//   StreamOwner owner(state);                        // a StreamState*
//   co_await owner.end().Wait();
//   if (owner.IsAwaited()) state->AcceptLast(...);   // at home: what is to be sent yet
//   owner.Leave();
//
// Threads: any. Lifetime: the state outlives it, up to Leave. Cost: an allocation, and twice a lock
// and a hash table; the same lock when a Stream is closed for its owner. (A pointer in each Stream
// would make all those larger that have no owner.)
#ifndef PLAIT_IO_NET_STREAM_OWNER_H_
#define PLAIT_IO_NET_STREAM_OWNER_H_

#include <memory>

#include "absl/status/status.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/task/task.h"

namespace plait::internal {

class StreamState;

class StreamOwner {
 public:
  // Null: nobody will close it. A state has one owner at a time (CHECK).
  explicit StreamOwner(StreamState* state);
  StreamOwner(const StreamOwner&) = delete;
  StreamOwner& operator=(const StreamOwner&) = delete;
  ~StreamOwner() { Leave(); }

  // Set when the stream is being closed by somebody else, or was before. The owner may set it, too.
  Event& end() noexcept;
  // Whether who closes the stream waits until the owner has left, and then sends what the stream
  // has accepted; to be asked on the owner's executor.
  bool IsAwaited() const;
  // It needs nothing of the stream any more. Again does nothing.
  void Leave() noexcept;

  // For StreamState: marks it as closing and tells its owner, if it has one. The second waits until
  // that has left, to send then; an error only if the wait is cancelled.
  static void Tell(StreamState& state);
  static Task<absl::Status> TellAndAwait(StreamState& state);

 private:
  struct Link;

  static std::shared_ptr<Link> BeginClosing(StreamState& state, const void* sender);

  StreamState* state_;
  // Who tells, or leaves, does so without a lock: an executor may run what waits there and then.
  const std::shared_ptr<Link> link_;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_OWNER_H_
