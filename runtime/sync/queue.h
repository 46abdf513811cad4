// Queue<T>: first in, first out, between tasks on any threads, with a bound that holds producers
// back. PriorityQueue and LifoQueue, in headers of their own, differ in the order only.
//
//   plait::Queue<int> queue(16);
//   co_await plait::OrReturn(queue.Put(7));             // waits while the queue is full
//   absl::StatusOr<int> item = co_await queue.Get();    // waits while it is empty
//
// Work that must be finished, and not only taken, is counted: a consumer calls TaskDone for each
// item that it has got, and `co_await queue.Join()` waits until that was done for all.
//
// Fairness: waiting getters are served in the order of their arrival, and so are waiting putters;
// nobody overtakes them. Closing: after Close, Put gives FailedPrecondition and Get gives what is
// left, then FailedPrecondition; waiting putters and getters are released. Close(true) drops what
// is left. (asyncio: shutdown.) Cancellation: a cancelled Put has not put, a cancelled Get has not
// taken: they give absl::CancelledError, and no item is lost or doubled. One that was served before
// the cancel arrived succeeds, and so does one that need not wait. Threads: any, at once. The queue
// outlives every call, and whoever waits on it (CHECK), until that has gone on. A capacity of 0 is
// a programming error (CHECK). Cost: an operation that need not wait is one lock, which is no
// locked instruction once a thread alone has used the queue a thousand times
// (runtime/core/biased_lock.h); nothing allocates but the buffer, which grows by doubling.
#ifndef PLAIT_RUNTIME_SYNC_QUEUE_H_
#define PLAIT_RUNTIME_SYNC_QUEUE_H_

#include <cstddef>

#include "plait/runtime/sync/queue_base.h"
#include "plait/runtime/sync/ring_buffer.h"

namespace plait {

template <class T>
class Queue : public internal::BasicQueue<T, internal::RingBuffer<T>> {
 public:
  // At least 1 (CHECK).
  explicit Queue(size_t capacity = internal::QueueBase::kUnbounded)
      : internal::BasicQueue<T, internal::RingBuffer<T>>(capacity) {}
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_QUEUE_H_
