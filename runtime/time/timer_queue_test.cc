#include "plait/runtime/time/timer_queue.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/work_item.h"

namespace plait {
namespace {

struct NumberedTimer : Timer {
  int number = 0;
};

std::vector<int> TakeNumbers(WorkQueue& ready) {
  std::vector<int> numbers;
  while (WorkItem* item = ready.Pop()) {
    numbers.push_back(static_cast<NumberedTimer&>(static_cast<Timer&>(*item)).number);
  }
  return numbers;
}

TEST(TimerQueueTest, AnEmptyQueueHasNothingToWakeFor) {
  TimerQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_TRUE(queue.NextWake().is_infinite());
  WorkQueue ready;
  queue.Advance(Deadline::AtNanos(1'000'000), ready);
  EXPECT_TRUE(ready.empty());
}

TEST(TimerQueueTest, ATimerFiresAtItsDeadlineAndNotANanosecondBefore) {
  for (const int64_t nanos : {int64_t{1}, int64_t{63}, int64_t{64}, int64_t{65}, int64_t{4096},
                              int64_t{1'000'000'007}, int64_t{1} << 40, int64_t{1} << 62}) {
    TimerQueue queue;
    WorkQueue ready;
    queue.Advance(Deadline::AtNanos(0), ready);
    NumberedTimer timer;
    timer.deadline = Deadline::AtNanos(nanos);
    queue.Add(timer);
    EXPECT_TRUE(timer.armed());
    EXPECT_EQ(queue.NextWake(), timer.deadline);
    queue.Advance(Deadline::AtNanos(nanos - 1), ready);
    EXPECT_TRUE(ready.empty()) << nanos;
    queue.Advance(Deadline::AtNanos(nanos), ready);
    EXPECT_EQ(ready.Pop(), &timer) << nanos;
    EXPECT_FALSE(timer.armed());
    EXPECT_TRUE(queue.empty());
  }
}

TEST(TimerQueueTest, EqualDeadlinesFireInTheOrderOfInsertionWheneverTheyWereAdded) {
  // Some stand on a high level and move down before others come to the same deadline directly.
  TimerQueue queue;
  WorkQueue ready;
  constexpr int64_t kDeadline = 5'000'000'000;
  std::vector<std::unique_ptr<NumberedTimer>> timers;
  std::vector<int> expected;
  int64_t now = 0;
  for (int i = 0; i < 200; ++i) {
    timers.push_back(std::make_unique<NumberedTimer>());
    timers.back()->number = i;
    timers.back()->deadline = Deadline::AtNanos(kDeadline);
    expected.push_back(i);
    queue.Add(*timers.back());
    now += (kDeadline - now) / 3;
    queue.Advance(Deadline::AtNanos(now), ready);
    EXPECT_TRUE(ready.empty());
  }
  queue.Advance(Deadline::AtNanos(kDeadline), ready);
  EXPECT_EQ(TakeNumbers(ready), expected);
}

TEST(TimerQueueTest, WhatIsOverdueFiresAtOnceBehindWhatWasOverdueBefore) {
  TimerQueue queue;
  WorkQueue ready;
  queue.Advance(Deadline::AtNanos(1'000'000), ready);
  std::vector<std::unique_ptr<NumberedTimer>> timers;
  for (const int64_t nanos : {int64_t{500}, int64_t{3}, std::numeric_limits<int64_t>::min()}) {
    timers.push_back(std::make_unique<NumberedTimer>());
    timers.back()->number = static_cast<int>(timers.size());
    timers.back()->deadline = Deadline::AtNanos(nanos);
    queue.Add(*timers.back());
  }
  EXPECT_LE(queue.NextWake(), Deadline::AtNanos(1'000'000));
  queue.Advance(Deadline::AtNanos(1'000'000), ready);
  EXPECT_EQ(TakeNumbers(ready), (std::vector<int>{1, 2, 3}));
}

TEST(TimerQueueTest, TimeThatGoesBackwardsIsIgnored) {
  TimerQueue queue;
  WorkQueue ready;
  queue.Advance(Deadline::AtNanos(1000), ready);
  NumberedTimer timer;
  timer.deadline = Deadline::AtNanos(2000);
  queue.Add(timer);
  queue.Advance(Deadline::AtNanos(10), ready);
  EXPECT_TRUE(ready.empty());
  queue.Advance(Deadline::AtNanos(2000), ready);
  EXPECT_EQ(ready.Pop(), &timer);
}

TEST(TimerQueueTest, TheLastDeadlinesBeforeInfinityDoNotWrap) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  TimerQueue queue;
  WorkQueue ready;
  queue.Advance(Deadline::AtNanos(123), ready);
  NumberedTimer last;
  last.number = 2;
  last.deadline = Deadline::AtNanos(most - 1);
  queue.Add(last);
  NumberedTimer before_last;
  before_last.number = 1;
  before_last.deadline = Deadline::AtNanos(most - 2);
  queue.Add(before_last);
  queue.Advance(Deadline::AtNanos(most - 3), ready);
  EXPECT_TRUE(ready.empty());
  queue.Advance(Deadline::Infinite(), ready);
  EXPECT_EQ(TakeNumbers(ready), (std::vector<int>{1, 2}));
}

TEST(TimerQueueTest, CancellingLeavesNothingBehind) {
  TimerQueue queue;
  WorkQueue ready;
  std::vector<std::unique_ptr<NumberedTimer>> timers;
  for (int i = 0; i < 300; ++i) {
    timers.push_back(std::make_unique<NumberedTimer>());
    timers.back()->deadline = Deadline::AtNanos(int64_t{1} << (i % 60));
    queue.Add(*timers.back());
  }
  for (int i = 0; i < 300; ++i) queue.Cancel(*timers[static_cast<size_t>((i * 7) % 300)]);
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.NextWake().is_infinite());
  timers.clear();  // nothing refers to them
  queue.Advance(Deadline::Infinite(), ready);
  EXPECT_TRUE(ready.empty());
}

TEST(TimerQueueTest, ACancelledOrFiredTimerMayBeAddedAgain) {
  TimerQueue queue;
  WorkQueue ready;
  NumberedTimer timer;
  timer.deadline = Deadline::AtNanos(10);
  queue.Add(timer);
  queue.Cancel(timer);
  EXPECT_FALSE(timer.armed());
  timer.deadline = Deadline::AtNanos(20);
  queue.Add(timer);
  queue.Advance(Deadline::AtNanos(15), ready);
  EXPECT_TRUE(ready.empty());
  queue.Advance(Deadline::AtNanos(25), ready);
  EXPECT_EQ(ready.Pop(), &timer);
  timer.deadline = Deadline::AtNanos(30);
  queue.Add(timer);
  queue.Advance(Deadline::AtNanos(30), ready);
  EXPECT_EQ(ready.Pop(), &timer);
}

TEST(TimerQueueDeathTest, MisuseIsAProgrammingError) {
  TimerQueue queue;
  NumberedTimer timer;
  EXPECT_DEATH(queue.Cancel(timer), "a timer was cancelled that is not waiting");
  timer.deadline = Deadline::Infinite();
  EXPECT_DEATH(queue.Add(timer), "a timer needs a finite deadline");
  timer.deadline = Deadline::AtNanos(5);
  queue.Add(timer);
  EXPECT_DEATH(queue.Add(timer), "a timer was added that is waiting already");
  queue.Cancel(timer);
}

// The queue against a std::multimap, which keeps equal keys in the order of insertion.
class Model {
 public:
  explicit Model(uint32_t seed, int64_t range) : random_(seed), range_(range) { AdvanceTo(0); }

  void Step() {
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Add();
      case 4:
      case 5:
        return CancelOne();
      default:
        return AdvanceSome();
    }
  }

  void Drain() {
    while (!expected_.empty()) AdvanceTo(expected_.begin()->first);
    EXPECT_TRUE(queue_.empty());
    EXPECT_TRUE(queue_.NextWake().is_infinite());
  }

 private:
  int64_t Below(int64_t bound) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(bound));
  }

  void Add() {
    auto timer = std::make_unique<NumberedTimer>();
    timer->number = static_cast<int>(timers_.size());
    const int64_t most = std::numeric_limits<int64_t>::max() - 1;
    // Now and then the same deadline as another's, or one that has passed.
    int64_t at = now_;
    if (!expected_.empty() && random_() % 4 == 0) {
      at = expected_.begin()->first;
    } else if (random_() % 16 != 0) {
      const int64_t ahead = Below(range_);
      at = now_ > most - ahead ? most : now_ + ahead;
    }
    timer->deadline = Deadline::AtNanos(random_() % 16 == 0 ? at - Below(100) : at);
    const int64_t due = std::max(timer->deadline.nanos(), now_);
    expected_.emplace(due, timer->number);
    queue_.Add(*timer);
    timers_.push_back(std::move(timer));
    CheckSize();
  }

  void CancelOne() {
    if (expected_.empty()) return;
    auto victim = expected_.begin();
    std::advance(victim, static_cast<int64_t>(random_() % std::min<size_t>(expected_.size(), 50)));
    NumberedTimer& timer = *timers_[static_cast<size_t>(victim->second)];
    ASSERT_TRUE(timer.armed());
    queue_.Cancel(timer);
    ASSERT_FALSE(timer.armed());
    expected_.erase(victim);
    CheckSize();
  }

  void AdvanceSome() {
    const Deadline wake = queue_.NextWake();
    ASSERT_EQ(wake.is_infinite(), expected_.empty());
    if (expected_.empty()) return;
    // Never later than the first deadline; on the way there it may be earlier.
    ASSERT_LE(wake.nanos(), expected_.begin()->first);
    switch (random_() % 3) {
      case 0:
        return AdvanceTo(std::max(wake.nanos(), now_));
      case 1:
        return AdvanceTo(expected_.begin()->first);
      default: {
        const int64_t most = std::numeric_limits<int64_t>::max() - 1;
        const int64_t ahead = Below(range_ / 4 + 1);
        return AdvanceTo(now_ > most - ahead ? most : now_ + ahead);
      }
    }
  }

  void AdvanceTo(int64_t now) {
    now_ = now;
    std::vector<int> due;
    while (!expected_.empty() && expected_.begin()->first <= now) {
      due.push_back(expected_.begin()->second);
      expected_.erase(expected_.begin());
    }
    WorkQueue ready;
    queue_.Advance(Deadline::AtNanos(now), ready);
    ASSERT_EQ(TakeNumbers(ready), due) << "at " << now;
    CheckSize();
  }

  void CheckSize() { ASSERT_EQ(queue_.size(), expected_.size()); }

  std::mt19937_64 random_;
  const int64_t range_;
  int64_t now_ = 0;
  TimerQueue queue_;
  std::multimap<int64_t, int> expected_;
  std::vector<std::unique_ptr<NumberedTimer>> timers_;
};

class TimerQueueModelTest : public testing::TestWithParam<int> {};

TEST_P(TimerQueueModelTest, ItAgreesWithASortedListWhateverIsDone) {
  const int64_t range = int64_t{1} << GetParam();
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    Model model(seed, range);
    for (int i = 0; i < 4000 && !HasFatalFailure(); ++i) model.Step();
    if (!HasFatalFailure()) model.Drain();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
  }
}

// From all at once to centuries apart.
INSTANTIATE_TEST_SUITE_P(Ranges, TimerQueueModelTest,
                         testing::Values(1, 4, 6, 7, 12, 13, 20, 30, 40, 55, 60, 62));

}  // namespace
}  // namespace plait
