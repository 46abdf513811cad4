// TimerQueue: timers in the order of their deadlines, to the nanosecond, at a constant cost however
// many there are.
//
// A hierarchical timing wheel (G. Varghese, T. Lauck: "Hashed and Hierarchical Timing Wheels", SOSP
// 1987) over 64-bit nanoseconds: 11 levels of 64 slots, six bits of the deadline a level. A timer
// stands at the level of the highest bit in which its deadline differs from the queue's current
// time, in the slot that its deadline's digit at that level names. So a slot of level 0 holds
// timers with one and the same deadline, in the order of their arrival, and all timers of a level
// are due before those of the levels above. When time enters a slot of a higher level, its timers
// move down; each does so at most once a level.
//
// Exactness: no tick and no rounding; a timer is never early. Equal deadlines fire in the order of
// insertion: a timer that comes later can't overtake, as it lands below an earlier one only after
// that has moved down itself. Cost: Add and Cancel are O(1), Advance is O(1) a timer and level;
// nothing allocates. 5.6 KiB a queue, no memory a timer beyond the Timer itself. Threads: one.
#ifndef PLAIT_RUNTIME_TIME_TIMER_QUEUE_H_
#define PLAIT_RUNTIME_TIME_TIMER_QUEUE_H_

#include <cstddef>
#include <cstdint>

#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // `timer` is in no queue, its deadline is set and not infinite. It stays until it fires or is
  // cancelled.
  void Add(Timer& timer);

  // `timer` is in this queue. Nothing of it stays behind.
  void Cancel(Timer& timer);

  // Moves the timers that are due at `now` to the end of `ready`, the earliest first. Time that
  // goes backwards is ignored.
  void Advance(Deadline now, WorkQueue& ready);

  // When to call Advance next: Infinite when empty. Never later than the first deadline; the
  // deadline itself except where many timers lie close together far in the future, where it may be
  // a point on the way there.
  Deadline NextWake() const;

 private:
  static constexpr int kBits = 6;
  static constexpr int kSlots = 1 << kBits;
  static constexpr int kLevels = 11;  // 66 bits

  static int LevelOf(uint64_t difference);
  static int DigitOf(uint64_t time, int level) {
    return static_cast<int>((time >> (level * kBits)) & (kSlots - 1));
  }
  // Deadlines as unsigned numbers in the same order.
  static uint64_t KeyOf(Deadline deadline) {
    return static_cast<uint64_t>(deadline.nanos()) ^ (uint64_t{1} << 63);
  }
  static Deadline DeadlineOf(uint64_t key) {
    return Deadline::AtNanos(static_cast<int64_t>(key ^ (uint64_t{1} << 63)));
  }

  void Insert(Timer& timer);
  // The start of the first occupied slot; false when there is none.
  bool FirstSlot(int* level, int* digit, uint64_t* start) const;

  uint64_t now_ = 0;  // a key; every timer's is greater than or equal to it
  size_t size_ = 0;
  uint16_t levels_ = 0;                 // bit l: level l has a timer
  uint64_t occupied_[kLevels] = {};     // bit s: slot s of the level has a timer
  Timer* slots_[kLevels][kSlots] = {};  // rings: the first; its previous is the last
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TIME_TIMER_QUEUE_H_
