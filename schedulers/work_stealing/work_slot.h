// WorkSlot: a worker's own place for the one item that it runs next. Others only ever empty it, and
// seldom: what has been left lying, as its worker is stuck.
//
//                 Put                          Put, which gives back what was there
//   empty  ------------------->  an item  ---------------------+
//     ^                            |   ^                       |
//     +---- Take (its worker) -----+   +-----------------------+
//     +---- Steal (any other) -----+
//
// What empties it, or displaces what is there, is done under the lock that is between its worker
// and the others (owner_lock.h). A Put into the empty slot does without: nobody else writes there
// while it is empty.
//
// Orderings: that Put releases, and Steal acquires, the item's contents; the lock does the rest.
// work_slot_explored_test weakens each.
//
// Cost: its worker's operations are a few loads and stores, without locked instructions where the
// system has a HeavyBarrier.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_WORK_SLOT_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_WORK_SLOT_H_

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/work_item.h"
#include "plait/schedulers/work_stealing/owner_lock.h"

namespace plait::internal {

class WorkSlot {
 public:
  WorkSlot() = default;
  WorkSlot(const WorkSlot&) = delete;
  WorkSlot& operator=(const WorkSlot&) = delete;

  // --- its worker ---

  // False, and nothing done, where something is there.
  [[nodiscard]] bool PutIfEmpty(WorkItem& item) noexcept {
    if (!empty()) return false;
    item_.store(&item, kRelease);
    return true;
  }
  // What it displaces, or null.
  [[nodiscard]] WorkItem* Put(WorkItem& item) noexcept {
    if (PutIfEmpty(item)) return nullptr;
    return lock_.Do([this, &item] {
      WorkItem* const displaced = item_.load(kRelaxed);
      item_.store(&item, kRelaxed);
      return displaced;
    });
  }
  [[nodiscard]] WorkItem* Take() noexcept {
    if (empty()) return nullptr;
    return lock_.Do([this] {
      WorkItem* const item = item_.load(kRelaxed);
      item_.store(nullptr, kRelaxed);
      return item;
    });
  }
  // `item`, if that is what is there; then `on_taken()`, a small function object, is called.
  template <class F>
  [[nodiscard]] bool Take(const WorkItem& item, F on_taken) noexcept {
    if (item_.load(kRelaxed) != &item) return false;
    return lock_.Do([this, on_taken] {
      // Others only ever empty it: what is there is the item, or nothing.
      const bool there = !empty();
      item_.store(nullptr, kRelaxed);
      if (there) on_taken();
      return there;
    });
  }

  // --- any other thread ---

  [[nodiscard]] WorkItem* Steal() noexcept {
    if (empty()) return nullptr;
    const OthersHold hold(lock_);
    WorkItem* const item = item_.load(kAcquire);
    if (item != nullptr) item_.store(nullptr, kRelaxed);
    return item;
  }

  // --- any thread ---

  bool empty() const noexcept { return item_.load(kRelaxed) == nullptr; }

 private:
  OwnerLock lock_;
  Atomic<WorkItem*> item_{nullptr};
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_WORK_SLOT_H_
