// Inbox: a queue that any thread may push to and one thread empties, with the handshake that puts
// that thread to sleep.
//
// The whole state is one word:
//
//     empty (null)  --Push-->  items (newest first)  --Drain-->  empty
//       |   ^                     ^
//  PrepareToSleep  Drain          | Push, which then returns true: wake the consumer
//       v   |                     |
//     asleep ---------------------+
//
// As "asleep" and "there are items" are values of the same word, a push between the consumer's last
// look and its going to sleep makes PrepareToSleep fail: no wake-up is lost, and only the push that
// finds it asleep pays for a wake-up.
//
// Orderings: a push releases the item's contents and a drain acquires them. PrepareToSleep and the
// failed look need no ordering of their own, as the next Drain acquires before anything is read.
// inbox_explored_test runs all executions of small programs, in which each of the two, weakened,
// fails with a data race on an item.
#ifndef PLAIT_RUNTIME_CORE_INBOX_H_
#define PLAIT_RUNTIME_CORE_INBOX_H_

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {

class Inbox {
 public:
  constexpr Inbox() = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Any thread. True when the consumer was asleep, and must be woken by the caller.
  [[nodiscard]] bool Push(WorkItem& item) noexcept;

  // Consumer. Moves all items, oldest first, behind those in `ready`; ends the state asleep. One
  // load when empty.
  void Drain(WorkQueue& ready) noexcept {
    if (head_.load(kRelaxed) != nullptr) DrainSlow(ready);
  }

  // Consumer. False when an item has arrived: do not sleep.
  [[nodiscard]] bool PrepareToSleep() noexcept;

  bool empty() const noexcept { return head_.load(kRelaxed) == nullptr; }
  // Any thread. Items are there; that the consumer sleeps is none.
  bool has_items() const noexcept;

 private:
  void DrainSlow(WorkQueue& ready) noexcept;

  Atomic<WorkItem*> head_{nullptr};
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_INBOX_H_
