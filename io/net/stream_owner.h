// StreamOwner: has a Stream, with data of its own that it still has to send, or without waiting for
// anything there; so it is told when somebody else closes the Stream (its server, say), and waited
// for. Internal; Transport is one.
//
//   StreamOwner owner(*state);
//   ... owner.closing().Wait() ...    // then AcceptLast, of what is to be sent yet
//   owner.Leave();
//
// Threads: any. Lifetime: of the state it needs but the address, until it leaves. Cost: a lock and
// a hash table, at the beginning and at the end, and when a Stream is closed for its owner: a
// pointer in each Stream would make every idle connection larger.
#ifndef PLAIT_IO_NET_STREAM_OWNER_H_
#define PLAIT_IO_NET_STREAM_OWNER_H_

#include "absl/status/status.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/task/task.h"

namespace plait::internal {

class StreamState;

class StreamOwner {
 public:
  // Null: nobody will close it. A state has one owner at a time (CHECK).
  explicit StreamOwner(const StreamState* state);
  StreamOwner(const StreamOwner&) = delete;
  StreamOwner& operator=(const StreamOwner&) = delete;
  ~StreamOwner() { Leave(); }

  // Set when the stream is being closed by somebody else, or was before.
  Event& closing() noexcept { return closing_; }
  // It needs nothing of the stream any more. Again does nothing.
  void Leave() noexcept;

  // Once the state says that it is closing. Nothing where it has no owner.
  static void Tell(const StreamState& state) noexcept;
  // The same, and waits until that has left. An error only if it is cancelled.
  static Task<absl::Status> TellAndAwait(const StreamState& state);

 private:
  const StreamState* state_;
  Event closing_;
  Event* left_ = nullptr;  // of who waits; guarded by the table's lock
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_OWNER_H_
