// LifoQueue<T>: a Queue that gives the item first that was put last: a stack. (asyncio: LifoQueue.)
//
//   plait::LifoQueue<Buffer> spare(16);    // the buffer used last is the warmest
//
// Everything else is as with Queue (queue.h): Put, Get, TryPut, TryGet, Close, TaskDone, Join. An
// item that is put while a getter waits goes to that getter; one whose putter waits for room is put
// when that goes on.
#ifndef PLAIT_RUNTIME_SYNC_LIFO_QUEUE_H_
#define PLAIT_RUNTIME_SYNC_LIFO_QUEUE_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "plait/runtime/sync/queue_base.h"

namespace plait {
namespace internal {

template <class T>
class StackItems {
 public:
  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  void Push(T&& value) { items_.push_back(std::move(value)); }
  T Pop() {
    T value = std::move(items_.back());
    items_.pop_back();
    return value;
  }

  using Storage = std::vector<T>;
  void Swap(Storage& other) noexcept { items_.swap(other); }

 private:
  Storage items_;
};

}  // namespace internal

template <class T>
class LifoQueue : public internal::BasicQueue<T, internal::StackItems<T>> {
 public:
  // At least 1 (CHECK).
  explicit LifoQueue(size_t capacity = internal::QueueBase::kUnbounded)
      : internal::BasicQueue<T, internal::StackItems<T>>(capacity) {}
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_LIFO_QUEUE_H_
