// WorkLane: what a worker keeps to itself of its deque's work, while all others are busy anyway.
//
// First in, first out, and behind what is in the deque: the newest end of the worker's queue, and,
// once the deque has been emptied, all of it. While it is open the worker puts its work here, by
// plain loads and stores, where the deque costs a locked instruction for a push and one to take the
// oldest. As soon as it sees that another has nothing to do, it closes the lane: what is here goes
// into the deque, where that can be stolen. Of one that is in a long item others take it, as from a
// slot, under the lock that is between the two (owner_lock.h).
//
//     closed --Open--> open --Push, which says so; somebody is idle--> closed, by its worker
//
// Who parks must not miss what is here: either its last look sees it, or the worker sees that it is
// parked (IdleSet::SomebodyIsIdle). Opening is sequentially consistent, and so is Reveal's look
// whether it is open. If that finds it closed, its parking comes before the opening, and the worker
// sees it at the next push. If it finds it open, a HeavyBarrier stands between the two as each
// would otherwise need one at each push. idle_set_explored_test weakens each.
//
// Threads: as noted. Lifetime: whoever calls a method keeps it alive; it does not own the items.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_WORK_LANE_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_WORK_LANE_H_

#include <cstddef>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/work_item.h"
#include "plait/schedulers/work_stealing/owner_lock.h"

namespace plait::internal {

class WorkLane {
 public:
  // Push says no when it is this long: closing it moves them all, which is not to take long.
  static constexpr size_t kMostItems = 256;

  WorkLane() = default;
  WorkLane(const WorkLane&) = delete;
  WorkLane& operator=(const WorkLane&) = delete;

  // --- its worker ---

  bool open() const noexcept { return open_.load(kRelaxed); }
  // Where HeavyBarrierWorks.
  void Open() noexcept {
    lock_.Do([this] { return robbed_ = false; });
    open_.store(true, kSeqCst);
  }
  // When it is empty.
  void Close() noexcept { open_.store(false, kRelaxed); }

  // While it is open. `lone`: the worker does it next, soon, and others need not come for it. False
  // when it is to be closed now: others have taken what was here, and would have to again, or it is
  // long.
  [[nodiscard]] bool Push(WorkItem& item, bool lone) noexcept {
    const bool good = lock_.Do([this, &item, lone] {
      queue_.Push(item);
      const size_t size = size_.load(kRelaxed) + 1;
      size_.store(size, kRelaxed);
      lone_.store(lone, kRelaxed);
      return !robbed_ && size < kMostItems;
    });
    // Before the look at who is idle.
    LightBarrier();
    return good;
  }
  // The oldest item, or null.
  WorkItem* Pop() noexcept {
    if (empty()) return nullptr;
    return lock_.Do([this] {
      WorkItem* const item = queue_.Pop();
      if (item != nullptr) size_.store(size_.load(kRelaxed) - 1, kRelaxed);
      return item;
    });
  }

  // --- any other thread ---

  // Of who says that it is idle, before it looks a last time: makes it see what is here, and in all
  // other lanes. False where there is nothing to see here.
  bool Reveal() const noexcept {
    if (!open_.load(kSeqCst)) return false;
    HeavyBarrier();
    return true;
  }
  // The older half of what is here.
  void TakeHalf(WorkQueue& taken) noexcept {
    const OthersHold hold(lock_);
    const size_t size = size_.load(kRelaxed);
    for (size_t left = (size + 1) / 2; left > 0; --left) taken.Push(*queue_.Pop());
    size_.store(size / 2, kRelaxed);
    robbed_ = true;
  }

  // --- any thread; a moment later it may not be so ---

  // Something is here that others are to come for.
  bool HasItems() const noexcept { return size() > (lone_.load(kRelaxed) ? size_t{1} : size_t{0}); }
  size_t size() const noexcept { return size_.load(kRelaxed); }
  bool empty() const noexcept { return size() == 0; }

 private:
  Atomic<bool> open_{false};
  OwnerLock lock_;  // guards what follows; some of it is also looked at without
  Atomic<bool> lone_{false};
  bool robbed_ = false;
  Atomic<size_t> size_{0};
  WorkQueue queue_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_WORK_LANE_H_
