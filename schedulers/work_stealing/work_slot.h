// WorkSlot: a worker's own place for the one item that it runs next. Others only ever empty it.
//
//                 Put                          Put, which gives back what was there
//   empty  ------------------->  an item  ---------------------+
//     ^                            |   ^                       |
//     +---- Take (its worker) -----+   +-----------------------+
//     +---- Steal (any thread) ----+
//
// Orderings: Put releases, and Steal acquires, the item's contents. The worker's own operations
// need no more, as what it takes, or displaces, it has put there itself; and who steals tells the
// worker nothing. work_slot_explored_test weakens each.
//
// Cost: a Put into an empty slot is a store, as nobody else fills it; a Take of nothing is a load.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_WORK_SLOT_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_WORK_SLOT_H_

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {

class WorkSlot {
 public:
  WorkSlot() = default;
  WorkSlot(const WorkSlot&) = delete;
  WorkSlot& operator=(const WorkSlot&) = delete;

  // --- its worker ---

  // What it displaces, or null.
  [[nodiscard]] WorkItem* Put(WorkItem& item) noexcept {
    if (item_.load(kRelaxed) == nullptr) {
      item_.store(&item, kRelease);
      return nullptr;
    }
    return item_.exchange(&item, kRelease);
  }
  [[nodiscard]] WorkItem* Take() noexcept {
    return empty() ? nullptr : item_.exchange(nullptr, kRelaxed);
  }
  // `item`, if that is what is there.
  [[nodiscard]] bool Take(const WorkItem& item) noexcept {
    // Others only ever empty it: what comes out is the item, or nothing.
    return item_.load(kRelaxed) == &item && item_.exchange(nullptr, kRelaxed) != nullptr;
  }

  // --- any thread ---

  [[nodiscard]] WorkItem* Steal() noexcept {
    return empty() ? nullptr : item_.exchange(nullptr, kAcquire);
  }
  bool empty() const noexcept { return item_.load(kRelaxed) == nullptr; }

 private:
  Atomic<WorkItem*> item_{nullptr};
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_WORK_SLOT_H_
