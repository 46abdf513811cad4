// PriorityQueue<T, Compare>: a Queue that gives the smallest item first. (asyncio: PriorityQueue.)
//
//   plait::PriorityQueue<Job> jobs(100);                            // Job has operator<
//   plait::PriorityQueue<Job, std::greater<>> largest_first(100);
//
// `Compare(a, b)` says whether `a` comes out before `b`: std::less, the default, gives the smallest
// first as asyncio does (and unlike std::priority_queue). Of equal items the one that was put first
// comes first. Everything else is as with Queue (queue.h): Put, Get, TryPut, TryGet, Close,
// TaskDone, Join. An item that is put while a getter waits goes to that getter; one whose putter
// waits for room takes its rank when that goes on. Cost: Put and Get of n items are O(log n) under
// the queue's lock, so Compare must be brief and must not come back here.
#ifndef PLAIT_RUNTIME_SYNC_PRIORITY_QUEUE_H_
#define PLAIT_RUNTIME_SYNC_PRIORITY_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "plait/runtime/sync/queue_base.h"

namespace plait {
namespace internal {

template <class T, class Compare>
class HeapItems {
 public:
  explicit HeapItems(Compare compare) : later_{std::move(compare)} {}

  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  void Push(T&& value) {
    items_.push_back(Item{std::move(value), next_number_++});
    std::push_heap(items_.begin(), items_.end(), later_);
  }
  T Pop() {
    std::pop_heap(items_.begin(), items_.end(), later_);
    T value = std::move(items_.back().value);
    items_.pop_back();
    return value;
  }

  struct Item {
    T value;
    uint64_t number;  // in the order of putting
  };
  using Storage = std::vector<Item>;
  void Swap(Storage& other) noexcept { items_.swap(other); }

 private:
  // The heap's top is the largest: that which nothing comes before.
  struct Later {
    Compare before;
    bool operator()(const Item& a, const Item& b) const {
      if (before(b.value, a.value)) return true;
      return !before(a.value, b.value) && b.number < a.number;
    }
  };

  Later later_;
  uint64_t next_number_ = 0;
  Storage items_;
};

}  // namespace internal

template <class T, class Compare = std::less<T>>
class PriorityQueue : public internal::BasicQueue<T, internal::HeapItems<T, Compare>> {
 public:
  // At least 1 (CHECK).
  explicit PriorityQueue(size_t capacity = internal::QueueBase::kUnbounded,
                         Compare compare = Compare())
      : internal::BasicQueue<T, internal::HeapItems<T, Compare>>(capacity, std::move(compare)) {}
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_PRIORITY_QUEUE_H_
