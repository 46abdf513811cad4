// TwoEndedRing<T>: a bounded first-in, first-out ring whose two ends are used at the same time
// without a locked instruction between them. Internal; Channel adds the waiting.
//
// Each end has a lock, which belongs to one thread where one thread alone uses that end for a while
// (runtime/core/roving_lock.h). Whoever holds it has the end, and nothing is done to both ends at
// once but under both locks, the one of `in` taken first. An end counts what has passed through it:
//
//     in.passed - out.passed    is how many items are in
//     out.passed + capacity     is where a push must stop
//     in.passed                 is where a pop must stop
//
// The other end's count is looked at only where the end comes to where it had to stop when it
// looked last (`limit`). So where the ends are used by two threads, a cache line of items goes from
// the one to the other, and back, early enough, when it is to be written again, and the counts'
// lines go only once for all that has passed meanwhile.
//
// Orderings. A count releases what was done to the slots, and a look at it acquires: an item's
// contents, and that a slot was emptied, are visible before it is used. Nothing more is needed, as
// whoever wants to be sure that the other end has not moved holds both locks.
#ifndef PLAIT_RUNTIME_SYNC_TWO_ENDED_RING_H_
#define PLAIT_RUNTIME_SYNC_TWO_ENDED_RING_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/roving_lock.h"

namespace plait::internal {

// What is written by those who use one end, on lines of its own.
struct alignas(64) RingEnd {
  RovingLock lock;  // guards all but the atomics, which change under it
  Atomic<uint64_t> passed{0};
  Atomic<uint64_t> limit{0};
  size_t slot = 0;
  // Both for the ring's user. The lowest bits of the serial of the thread that has used this end
  // last, a guess; who owns the lock does not write it, as it mostly is his since before.
  Atomic<uint32_t> thread{0};
  // There is more to do here than to move an item.
  bool detour = false;

  // What Channel has learned of whether it is worth while to look at the other end again. Guesses,
  // used without the lock.
  alignas(64) Atomic<uint64_t> next_look{0};  // not before so many have passed
  Atomic<uint32_t> in_vain{0};                // so often in a row
  Atomic<uint32_t> pauses{0};                 // before the first look
};

class [[nodiscard]] BothEndsHolder {
 public:
  BothEndsHolder(RingEnd& in, RingEnd& out) noexcept : in_(in.lock), out_(out.lock) {}

 private:
  const RovingLockHolder in_;
  const RovingLockHolder out_;
};

template <class T>
class TwoEndedRing {
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "what goes through a Channel must be movable without exceptions: a move that fails "
                "would leave a hole in the ring");

 public:
  // At least 1.
  explicit TwoEndedRing(size_t capacity)
      : capacity_(capacity), slots_(std::make_unique_for_overwrite<Slot[]>(capacity)) {
    in.limit.store(capacity, kRelaxed);
  }
  TwoEndedRing(const TwoEndedRing&) = delete;
  TwoEndedRing& operator=(const TwoEndedRing&) = delete;
  ~TwoEndedRing() {
    std::optional<T> dropped;
    while (Pop(dropped)) {
    }
  }

  size_t capacity() const noexcept { return capacity_; }

  // Holding in.lock. False, and `value` is untouched, where it is full.
  [[gnu::always_inline]] bool Push(T& value) noexcept {
    const uint64_t passed = in.passed.load(kRelaxed);
    if (passed == in.limit.load(kRelaxed) && !Look(in, passed, out, capacity_)) [[unlikely]]
      return false;
    const size_t slot = in.slot;
    // Once a line, and of slots that are known to be free, so that it takes nothing away from the
    // other end.
    if (slot % kSlotsPerLine == 0 && passed + kAhead < in.limit.load(kRelaxed)) {
      const size_t ahead = slot + kAhead;
      PrefetchToWrite(&slots_[ahead < capacity_ ? ahead : ahead - capacity_]);
    }
    ::new (static_cast<void*>(slots_[slot].bytes)) T(std::move(value));
    Advance(in, passed, slot);
    return true;
  }

  // Holding out.lock. False where it is empty; else `item` is the oldest.
  [[gnu::always_inline]] bool Pop(std::optional<T>& item) noexcept {
    const uint64_t passed = out.passed.load(kRelaxed);
    if (passed == out.limit.load(kRelaxed) && !Look(out, passed, in, 0)) [[unlikely]]
      return false;
    const size_t slot = out.slot;
    T* const oldest = slots_[slot].get();
    item.emplace(std::move(*oldest));
    std::destroy_at(oldest);
    Advance(out, passed, slot);
    return true;
  }

  // Holding in.lock: nothing is in, and nothing comes in. Relaxed: `out` counts up to what `in` has
  // counted, so that this is found where it is so only.
  bool StaysEmpty() const noexcept { return out.passed.load(kRelaxed) == in.passed.load(kRelaxed); }
  // Holding out.lock: it is full, and nothing is taken. Relaxed: likewise.
  bool StaysFull() const noexcept {
    return in.passed.load(kRelaxed) == out.passed.load(kRelaxed) + capacity_;
  }

  // Any thread: whether it looks as if nothing were in. Of the other end only what a Pop would look
  // at, too.
  bool SeemsEmpty() const noexcept {
    const uint64_t passed = out.passed.load(kRelaxed);
    return passed == out.limit.load(kRelaxed) && passed == in.passed.load(kRelaxed);
  }

  // How many items are in. Exact when nobody else uses the ring.
  size_t size() const noexcept {
    // Of items that pass meanwhile, those that come are counted and those that go are not.
    const uint64_t taken = out.passed.load(kAcquire);
    const uint64_t items = in.passed.load(kRelaxed) - taken;
    return items < capacity_ ? static_cast<size_t>(items) : capacity_;
  }

  RingEnd in;
  RingEnd out;

 private:
  struct Slot {
    alignas(T) std::byte bytes[sizeof(T)];
    // The item that was made in these bytes; the counts say whether there is one.
    T* get() noexcept { return std::launder(reinterpret_cast<T*>(bytes)); }
  };

  // A power of two, and no more than there are.
  static constexpr size_t kSlotsPerLine = sizeof(Slot) < 64 ? std::bit_floor(64 / sizeof(Slot)) : 1;
  // So far ahead of a push, its slot's line is fetched, which the other end's thread has read last:
  // a store that waits for a line holds up those behind it.
  static constexpr size_t kAhead = sizeof(Slot) < 256 ? 256 / sizeof(Slot) : 1;

  static void PrefetchToWrite(const void* line) noexcept {
#if defined(__x86_64__)
    // __builtin_prefetch would fetch it to read, where not told of the processor.
    asm volatile("prefetchw (%0)" : : "r"(line));
#else
    __builtin_prefetch(line, 1);
#endif
  }

  // Whether `end` may go on by now.
  static bool Look(RingEnd& end, uint64_t passed, const RingEnd& other, uint64_t lead) noexcept {
    const uint64_t limit = other.passed.load(kAcquire) + lead;
    end.limit.store(limit, kRelaxed);
    return passed != limit;
  }

  [[gnu::always_inline]] void Advance(RingEnd& end, uint64_t passed, size_t slot) noexcept {
    const size_t next = slot + 1;
    end.slot = next != capacity_ ? next : 0;
    end.passed.store(passed + 1, kRelease);
  }

  // Nobody writes these.
  const size_t capacity_;
  const std::unique_ptr<Slot[]> slots_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_SYNC_TWO_ENDED_RING_H_
