#include "plait/runtime/time/timer_queue.h"

#include <algorithm>
#include <bit>

#include "plait/runtime/core/check.h"

namespace plait {

int TimerQueue::LevelOf(uint64_t difference) {
  return difference == 0 ? 0 : (63 - std::countl_zero(difference)) / kBits;
}

void TimerQueue::Insert(Timer& timer) {
  // A deadline that has passed already is due now, behind those that were here first.
  const uint64_t key = std::max(KeyOf(timer.deadline), now_);
  const int level = LevelOf(key ^ now_);
  const int digit = DigitOf(key, level);
  Timer*& first = slots_[level][digit];
  if (first == nullptr) {
    timer.next = timer.previous = &timer;
    first = &timer;
    occupied_[level] |= uint64_t{1} << digit;
    levels_ |= static_cast<uint16_t>(1 << level);
  } else {
    timer.next = first;
    timer.previous = first->previous;
    first->previous->next = &timer;
    first->previous = &timer;
  }
}

void TimerQueue::Add(Timer& timer) {
  PLAIT_CHECK(!timer.armed(), "a timer was added that is waiting already");
  PLAIT_CHECK(!timer.deadline.is_infinite(), "a timer needs a finite deadline");
  // What is overdue keeps its order of arrival: as a deadline it counts from now.
  if (KeyOf(timer.deadline) < now_) timer.deadline = DeadlineOf(now_);
  Insert(timer);
  ++size_;
}

void TimerQueue::Cancel(Timer& timer) {
  PLAIT_CHECK(timer.armed(), "a timer was cancelled that is not waiting");
  if (timer.next != &timer) {
    auto* next = static_cast<Timer*>(timer.next);
    timer.previous->next = next;
    next->previous = timer.previous;
  }
  // Where it stands follows from its deadline and the current time, so a timer need not remember
  // it.
  const uint64_t key = KeyOf(timer.deadline);
  const int level = LevelOf(key ^ now_);
  const int digit = DigitOf(key, level);
  Timer*& first = slots_[level][digit];
  if (first == &timer) {
    if (timer.next == &timer) {
      first = nullptr;
      occupied_[level] &= ~(uint64_t{1} << digit);
      if (occupied_[level] == 0) levels_ &= static_cast<uint16_t>(~(1 << level));
    } else {
      first = static_cast<Timer*>(timer.next);
    }
  }
  timer.previous = nullptr;
  --size_;
}

bool TimerQueue::FirstSlot(int* level, int* digit, uint64_t* start) const {
  if (levels_ == 0) return false;
  *level = std::countr_zero(levels_);
  // All of a level's timers lie at or after the current time's digit, so the lowest bit is the
  // first.
  *digit = std::countr_zero(occupied_[*level]);
  const int shift = *level * kBits;
  const uint64_t above = shift + kBits >= 64 ? 0 : (now_ >> (shift + kBits)) << (shift + kBits);
  *start = above | (static_cast<uint64_t>(*digit) << shift);
  return true;
}

Deadline TimerQueue::NextWake() const {
  int level = 0;
  int digit = 0;
  uint64_t start = 0;
  if (!FirstSlot(&level, &digit, &start)) return Deadline::Infinite();
  if (level == 0) return DeadlineOf(start);
  // The exact minimum, where that is quickly found: waking on the way costs more than a short walk.
  constexpr int kWalk = 16;
  const Timer* const first = slots_[level][digit];
  const Timer* timer = first;
  Deadline earliest = Deadline::Infinite();
  for (int i = 0; i < kWalk; ++i) {
    earliest = std::min(earliest, timer->deadline);
    timer = static_cast<const Timer*>(timer->next);
    if (timer == first) return earliest;
  }
  return DeadlineOf(start);
}

void TimerQueue::Advance(Deadline now, WorkQueue& ready) {
  const uint64_t target = KeyOf(now);
  int level = 0;
  int digit = 0;
  uint64_t start = 0;
  while (FirstSlot(&level, &digit, &start) && start <= target) {
    Timer* timer = slots_[level][digit];
    slots_[level][digit] = nullptr;
    occupied_[level] &= ~(uint64_t{1} << digit);
    if (occupied_[level] == 0) levels_ &= static_cast<uint16_t>(~(1 << level));
    now_ = std::max(now_, start);
    timer->previous->next = nullptr;  // opens the ring
    while (timer != nullptr) {
      auto* next = static_cast<Timer*>(timer->next);
      if (level == 0) {
        timer->previous = nullptr;
        ready.Push(*timer);
        --size_;
      } else {
        Insert(*timer);
      }
      timer = next;
    }
  }
  // Never past an occupied slot's start, so where each timer stands stays what its deadline and
  // now_ say.
  now_ = std::max(now_, target);
}

}  // namespace plait
