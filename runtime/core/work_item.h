// WorkItem: the one thing an Executor runs. WorkQueue: a FIFO of them.
//
// A WorkItem is intrusive: whoever wants to be run embeds one (a coroutine's promise, an operation,
// a timer) and passes it by reference, so that posting never allocates. It may be in one queue at a
// time; once `run` has been entered, the item belongs to its owner again, which may queue it anew
// or destroy it from inside `run`.
//
// A continuation is a WorkItem too: "go on with this" and "run this" are one notion throughout the
// runtime.
#ifndef PLAIT_RUNTIME_CORE_WORK_ITEM_H_
#define PLAIT_RUNTIME_CORE_WORK_ITEM_H_

#include <utility>

namespace plait {

struct WorkItem {
  using RunFunction = void (*)(WorkItem&) noexcept;

  // With `next` left as it is, for who queues it to set: where a store is worth saving.
  struct Unlinked {};

  constexpr WorkItem() : WorkItem(nullptr) {}
  constexpr explicit WorkItem(RunFunction f) : next(nullptr), run(f) {}
  WorkItem(RunFunction f, Unlinked) : run(f) {}
  WorkItem(const WorkItem&) = delete;
  WorkItem& operator=(const WorkItem&) = delete;

  WorkItem* next;
  RunFunction run;
};

// A first-in, first-out list of items that it does not own. One thread at a time. Every operation
// is O(1) but Remove.
class WorkQueue {
 public:
  constexpr WorkQueue() = default;
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  bool empty() const { return head_ == nullptr; }

  // The item that will be popped next, or null.
  WorkItem* front() const { return head_; }

  void Push(WorkItem& item) {
    item.next = nullptr;
    if (head_ == nullptr) {
      head_ = &item;
    } else {
      tail_->next = &item;
    }
    tail_ = &item;
  }

  // The oldest item, or null when empty.
  WorkItem* Pop() {
    WorkItem* item = head_;
    if (item != nullptr) head_ = item->next;
    return item;
  }

  // Takes `item` out if it is all there is.
  bool PopOnly(const WorkItem& item) {
    if (head_ != &item || item.next != nullptr) return false;
    head_ = nullptr;
    return true;
  }

  // Takes `item` out, wherever it is; false when it is not here. O(n).
  bool Remove(WorkItem& item) {
    WorkItem* before = nullptr;
    for (WorkItem* at = head_; at != nullptr; before = at, at = at->next) {
      if (at != &item) continue;
      (before == nullptr ? head_ : before->next) = item.next;
      if (tail_ == &item) tail_ = before;
      return true;
    }
    return false;
  }

  // Moves everything in `other` behind what is here, in order.
  void Append(WorkQueue& other) {
    if (other.head_ == nullptr) return;
    if (head_ == nullptr) {
      head_ = other.head_;
    } else {
      tail_->next = other.head_;
    }
    tail_ = other.tail_;
    other.head_ = nullptr;
  }

 private:
  WorkItem* head_ = nullptr;
  WorkItem* tail_ = nullptr;  // meaningful only while head_ is not null
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_WORK_ITEM_H_
