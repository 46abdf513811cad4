// StampedRing<T>: a bounded first-in, first-out ring that any number of threads push to and pop
// from without a lock. Internal; Channel adds the waiting.
//
// After Dmitry Vyukov's bounded queue, in the form that crossbeam's array channel gave it: any
// capacity, and a mark in the tail that closes it.
//
// Two positions count up, tail (the next push) and head (the next pop): an index into the slots,
// above it a bit that only the tail uses, kClosed, and above that the lap. Each slot has a stamp
// that says whose turn it is. For slot i in lap L, with P the position (L, i):
//
//     stamp = P                    free        push claims P by moving the tail on,
//        |                                     writes the item, then publishes it:
//     stamp = P + 1                full        pop claims P by moving the head on,
//        |                                     takes the item, then frees the slot:
//     stamp = P + one lap          free, for the next lap
//
// Between the claim and the new stamp the slot is its claimer's alone; everyone else who comes to
// it gets kBusy, which passes by itself within a few instructions of that thread.
//
// PushAlone and PopAlone are for when nobody else touches the ring, as Channel sees to: then a
// claim is no locked instruction, and nothing is ever kBusy.
//
// Orderings. Stamps: release when the slot is handed on, acquire when it is looked at: the item, or
// the emptiness, is visible. Claims and the looks at the other position that decide kFull and
// kEmpty: sequentially consistent, not for the ring itself, which would do with relaxed ones, but
// for Channel, in which "I claimed, and then nobody waits" and "I wait, and then nothing was
// claimed" must not both come true. On x86 that costs nothing, as a claim is a locked instruction
// anyway. Alone: relaxed; what lets others in later makes it visible.
#ifndef PLAIT_RUNTIME_SYNC_STAMPED_RING_H_
#define PLAIT_RUNTIME_SYNC_STAMPED_RING_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "plait/runtime/core/atomic.h"

namespace plait::internal {

enum class RingResult : uint8_t {
  kDone,
  kBlocked,  // full, or empty
  kBusy,     // another thread is in the middle of it: try again
  kClosed,   // and, for a pop, empty
};

template <class T>
class StampedRing {
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "what goes through a Channel must be movable without exceptions: a move that fails "
                "would leave a hole in the ring");

 public:
  // At least 1.
  explicit StampedRing(size_t capacity)
      : capacity_(capacity),
        closed_bit_(std::bit_ceil(uint64_t{capacity} + 1)),
        lap_(closed_bit_ * 2),
        slots_(std::make_unique<Slot[]>(capacity)) {
    for (size_t i = 0; i < capacity; ++i) slots_[i].stamp.store(i, kRelaxed);
  }
  ~StampedRing() {
    std::optional<T> dropped;
    while (TryPop(dropped) == RingResult::kDone) {
    }
  }

  size_t capacity() const noexcept { return capacity_; }

  // kDone: `value` was moved in. Else it is untouched.
  RingResult TryPush(T& value) noexcept {
    uint64_t tail = tail_.load(kRelaxed);
    for (;;) {
      if ((tail & closed_bit_) != 0) return RingResult::kClosed;
      Slot& slot = slots_[tail & (closed_bit_ - 1)];
      const auto ahead = static_cast<int64_t>(slot.stamp.load(kAcquire) - tail);
      if (ahead == 0) [[likely]] {
        if (tail_.compare_exchange_weak(tail, Next(tail), kSeqCst, kRelaxed)) {
          ::new (static_cast<void*>(&slot.item)) T(std::move(value));
          slot.stamp.store(tail + 1, kRelease);
          return RingResult::kDone;
        }
      } else if (ahead < 0) {
        // Not freed since the lap before. As the head never passes the tail, one that is a whole
        // lap behind now says that the ring was full just now.
        if (head_.load(kSeqCst) + lap_ == tail) return RingResult::kBlocked;
        if (!Reload(tail_, tail)) return RingResult::kBusy;
      } else {
        tail = tail_.load(kRelaxed);  // others have pushed
      }
    }
  }

  // kDone: `out` has the oldest item.
  RingResult TryPop(std::optional<T>& out) noexcept {
    uint64_t head = head_.load(kRelaxed);
    for (;;) {
      Slot& slot = slots_[head & (closed_bit_ - 1)];
      const auto ahead = static_cast<int64_t>(slot.stamp.load(kAcquire) - (head + 1));
      if (ahead == 0) [[likely]] {
        if (head_.compare_exchange_weak(head, Next(head), kSeqCst, kRelaxed)) {
          out.emplace(std::move(*slot.get()));
          std::destroy_at(slot.get());
          slot.stamp.store(head + lap_, kRelease);
          return RingResult::kDone;
        }
      } else if (ahead < 0) {
        // Not published. A tail that is where the head is says that nothing was claimed either.
        const uint64_t tail = tail_.load(kSeqCst);
        if ((tail & ~closed_bit_) == head) {
          return tail == head ? RingResult::kBlocked : RingResult::kClosed;
        }
        if (!Reload(head_, head)) return RingResult::kBusy;
      } else {
        head = head_.load(kRelaxed);  // others have popped
      }
    }
  }

  RingResult PushAlone(T& value) noexcept {
    const uint64_t tail = tail_.load(kRelaxed);
    if ((tail & closed_bit_) != 0) return RingResult::kClosed;
    Slot& slot = slots_[tail & (closed_bit_ - 1)];
    if (slot.stamp.load(kRelaxed) != tail) return RingResult::kBlocked;
    ::new (static_cast<void*>(&slot.item)) T(std::move(value));
    slot.stamp.store(tail + 1, kRelaxed);
    tail_.store(Next(tail), kRelaxed);
    return RingResult::kDone;
  }

  RingResult PopAlone(std::optional<T>& out) noexcept {
    const uint64_t head = head_.load(kRelaxed);
    Slot& slot = slots_[head & (closed_bit_ - 1)];
    if (slot.stamp.load(kRelaxed) != head + 1) {
      return closed() ? RingResult::kClosed : RingResult::kBlocked;
    }
    out.emplace(std::move(*slot.get()));
    std::destroy_at(slot.get());
    slot.stamp.store(head + lap_, kRelaxed);
    head_.store(Next(head), kRelaxed);
    return RingResult::kDone;
  }

  // From now on pushes give kClosed; those that have claimed a slot go through. Returns whether
  // this call did it.
  bool Close() noexcept { return (tail_.fetch_or(closed_bit_, kSeqCst) & closed_bit_) == 0; }
  bool closed() const noexcept { return (tail_.load(kRelaxed) & closed_bit_) != 0; }

  // How many items are in, and on their way in or out. Exact when nobody else uses the ring.
  size_t size() const noexcept {
    const uint64_t head = head_.load(kAcquire);
    const uint64_t tail = tail_.load(kAcquire) & ~closed_bit_;
    const uint64_t mask = closed_bit_ - 1;
    // The head was read first, so the tail is not behind it, but may be more than a lap ahead.
    const uint64_t laps = (tail & ~mask) / lap_ - (head & ~mask) / lap_;
    const uint64_t items = laps * capacity_ + (tail & mask) - (head & mask);
    return items < capacity_ ? static_cast<size_t>(items) : capacity_;
  }

 private:
  struct Slot {
    Atomic<uint64_t> stamp{0};
    alignas(T) std::byte item[sizeof(T)];
    // The item that was made in these bytes; the stamp says whether there is one.
    T* get() noexcept { return std::launder(reinterpret_cast<T*>(item)); }
  };

  uint64_t Next(uint64_t position) const noexcept {
    if ((position & (closed_bit_ - 1)) + 1 < capacity_) return position + 1;
    return (position & ~(lap_ - 1)) + lap_;
  }

  // Whether `position` was out of date, and now is not.
  static bool Reload(const Atomic<uint64_t>& shared, uint64_t& position) noexcept {
    const uint64_t seen = std::exchange(position, shared.load(kRelaxed));
    return seen != position;
  }

  // Written by the threads that push and by those that pop; each on a line of its own, and so is
  // what nobody writes.
  static constexpr size_t kLine = 64;
  const size_t capacity_;
  const uint64_t closed_bit_;
  const uint64_t lap_;
  const std::unique_ptr<Slot[]> slots_;
  alignas(kLine) Atomic<uint64_t> tail_{0};
  alignas(kLine) Atomic<uint64_t> head_{0};
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_SYNC_STAMPED_RING_H_
