// WorkStealingDeque: the work of one thread of a pool, from which other threads may steal.
//
// The owner pushes and pops at the bottom, newest first, so that what it runs next is what its
// cache still knows; thieves take from the top, oldest first. It grows as needed. Internal to the
// pool.
//
//       top (next to be stolen)                       bottom (next free)
//        |                                             |
//   ... [ ] [ ] [ ] [ ] [ ] [ ] [ ] [ ] [ ] [ ] [ ] [ ] ...
//        ----> Steal: top + 1                <---- Pop: bottom - 1     ----> Push: bottom + 1
//
// Indexes only grow but for the moment of a Pop; index i is in slot i mod capacity. The items are
// those in [top, bottom). Who owns the item at index i?
//
//   not yet --bottom: i -> i + 1 (Push)--> everyone's
//   everyone's --top: i -> i + 1, a compare-and-swap (Steal, or Pop of the last)--> the taker's
//   everyone's --bottom: i + 1 -> i, and top < i is seen after that (Pop)--> the owner's
//
// The algorithm is Chase's and Lev's (Dynamic Circular Work-Stealing Deque, SPAA 2005) as Le, Pop,
// Cohen and Zappa Nardelli wrote it for weak memory models (Correct and Efficient Work-Stealing for
// Weak Memory Models, PPoPP 2013), with orders on the accesses in place of their two fences:
// ThreadSanitizer does not know fences, and on x86-64 and ARMv8 it costs the same.
//
// Orderings. Everything hangs on Pop and Steal not taking the same item, where Pop does without a
// compare-and-swap as more than one item is left. Pop writes bottom and then reads top; Steal reads
// top and then bottom; these four are sequentially consistent. So if a thief still sees the old
// bottom, the owner sees every steal that the thief knew of. Otherwise the order S had a cycle:
//
//     owner's load of top, which misses a steal < thief's load of top, which knows of it
//         < thief's load of the old bottom < owner's store of bottom < owner's load of top
//
// Its first step holds in C++20 whatever the order of the steal between the two loads, as coherence
// orders one before the other; so the compare-and-swaps, unlike those of the paper, need not be
// sequentially consistent. The others:
//   - Push releases bottom, and Steal's load acquires it: the item, and what is in it. It is also
//     sequentially consistent, as is HasItems's load: whoever pushes reads next who is idle, and
//     who goes idle looks next for items; one of them sees the other (idle_set.h).
//   - Growing releases the ring, and Steal acquires it: a thief may see the new ring while it sees
//     the old bottom.
//   - Steal's compare-and-swap releases top, and Push acquires it: the thief has read its slot
//     before another item is put there.
//   - What Pop writes back releases bottom again: C++20 has no release sequence through plain
//     stores, and a thief that reads it may be the one that was faster, and must see the item.
//   - Slots, the owner's own reads, and its compare-and-swap (what it takes it has pushed itself):
//     relaxed.
// deque_explored_test weakens each, and idle_set_explored_test what HasItems is about. Each is
// noticed: with a data race on an item, or on the new ring, a lost wake-up, or, of the third and
// fourth point, because a load of a thief's could then read from a store that comes of it.
//
// Old rings are kept until the deque dies, as a thief may be reading one: together they are smaller
// than the newest. Threads: as noted. Lifetime: whoever calls a method keeps the deque alive; it
// does not own the items. Cost: a push is a store and an exchange, a pop one exchange, a steal one
// compare-and-swap.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_DEQUE_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_DEQUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {

class WorkStealingDeque {
 public:
  struct Stolen {
    enum Outcome : uint8_t {
      kItem,
      kEmpty,
      kLost,  // to another thread, just now: there may be more
    };
    Outcome outcome;
    WorkItem* item;  // null unless kItem
  };

  // `capacity`, a power of two (CHECK), is what it holds before it grows.
  explicit WorkStealingDeque(size_t capacity = 256);
  WorkStealingDeque(const WorkStealingDeque&) = delete;
  WorkStealingDeque& operator=(const WorkStealingDeque&) = delete;
  ~WorkStealingDeque();

  // Owner. Allocates when it grows.
  void Push(WorkItem& item) {
    const int64_t bottom = bottom_.load(kRelaxed);
    const int64_t top = top_.load(kAcquire);
    Ring* ring = ring_.load(kRelaxed);
    if (bottom - top >= ring->capacity()) [[unlikely]]
      ring = Grow(*ring, top, bottom);
    ring->Put(bottom, &item);
    bottom_.store(bottom + 1, kSeqCst);
  }

  // Owner. The newest item, or null.
  WorkItem* Pop() noexcept {
    const int64_t last = bottom_.load(kRelaxed) - 1;
    // The top only grows: what was empty is.
    if (top_.load(kRelaxed) > last) return nullptr;
    bottom_.store(last, kSeqCst);
    int64_t top = top_.load(kSeqCst);
    if (top < last) [[likely]]
      return ring_.load(kRelaxed)->Get(last);
    WorkItem* item = nullptr;
    // The last one: whoever moves the top has it.
    if (top == last && top_.compare_exchange_strong(top, top + 1, kRelaxed, kRelaxed)) {
      item = ring_.load(kRelaxed)->Get(last);
    }
    bottom_.store(last + 1, kRelease);
    return item;
  }

  // Any thread. The oldest item.
  Stolen Steal() noexcept {
    int64_t top = top_.load(kSeqCst);
    const int64_t bottom = bottom_.load(kSeqCst);
    if (top >= bottom) return {.outcome = Stolen::kEmpty, .item = nullptr};
    // Before the top moves: after that the owner may put another item there.
    WorkItem* const item = ring_.load(kAcquire)->Get(top);
    if (!top_.compare_exchange_strong(top, top + 1, kRelease, kRelaxed)) {
      return {.outcome = Stolen::kLost, .item = nullptr};
    }
    return {.outcome = Stolen::kItem, .item = item};
  }

  // Any thread. The look of a worker that is about to park; what it misses is pushed by somebody
  // who sees that it parks.
  bool HasItems() const noexcept {
    const int64_t top = top_.load(kRelaxed);
    return bottom_.load(kSeqCst) > top;
  }

  // Any thread; a moment later it may not be so. Exact for the owner while nobody steals.
  int64_t size() const noexcept {
    const int64_t items = bottom_.load(kRelaxed) - top_.load(kRelaxed);
    return items > 0 ? items : 0;
  }
  bool empty() const noexcept { return size() == 0; }

 private:
  class Ring {
   public:
    explicit Ring(int64_t capacity)
        : capacity_(capacity),
          slots_(std::make_unique<Atomic<WorkItem*>[]>(static_cast<size_t>(capacity))) {}

    int64_t capacity() const noexcept { return capacity_; }
    WorkItem* Get(int64_t index) const noexcept { return Slot(index).load(kRelaxed); }
    void Put(int64_t index, WorkItem* item) noexcept { Slot(index).store(item, kRelaxed); }

   private:
    Atomic<WorkItem*>& Slot(int64_t index) const noexcept {
      return slots_[static_cast<size_t>(index & (capacity_ - 1))];
    }

    const int64_t capacity_;
    const std::unique_ptr<Atomic<WorkItem*>[]> slots_;
  };

  Ring* Grow(const Ring& full, int64_t top, int64_t bottom);

  // The thieves' and the owner's, each on a line of its own.
  alignas(64) Atomic<int64_t> top_{0};
  alignas(64) Atomic<int64_t> bottom_{0};
  Atomic<Ring*> ring_;
  std::vector<std::unique_ptr<Ring>> rings_;  // the owner's; the last is `ring_`
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_DEQUE_H_
