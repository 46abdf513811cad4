// How much an event loop runs between two looks at its reactor.
#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

struct CountedItem : WorkItem {
  CountedItem() : WorkItem(&Run) {}
  static void Run(WorkItem& item) noexcept {
    auto& self = static_cast<CountedItem&>(item);
    ++*self.ran;
    if (self.clock != nullptr) self.clock->Advance(absl::Milliseconds(1));
    if (self.stops != nullptr) self.stops->Stop();
  }

  int* ran = nullptr;
  TestClock* clock = nullptr;  // by which it takes a millisecond
  EventLoop* stops = nullptr;
};

// A wait brings all of `burst`; a look, which it counts, nothing.
class BurstReactor final : public Reactor {
 public:
  BurstReactor(std::vector<CountedItem>& burst, int& looks) : burst_(burst), looks_(looks) {}

  absl::string_view name() const override { return "burst"; }
  void Submit(IoOperation&) noexcept override {}
  void Cancel(IoOperation&) noexcept override {}
  void CancelAll() noexcept override {}
  void Poll(Deadline deadline, Clock&, WorkQueue& ready) noexcept override {
    if (deadline == Deadline::Immediate()) {
      ++looks_;
    } else {
      for (CountedItem& item : burst_) ready.Push(item);
    }
  }
  void Wake() noexcept override {}
  size_t in_flight() const noexcept override { return 0; }
  bool expects_results() const noexcept override { return true; }

 private:
  std::vector<CountedItem>& burst_;
  int& looks_;
};

// Notes how often `ran` was counted up before each look, which brings nothing.
class NotingReactor final : public Reactor {
 public:
  NotingReactor(const int& ran, std::vector<int>& turns) : ran_(ran), turns_(turns) {}

  absl::string_view name() const override { return "noting"; }
  void Submit(IoOperation&) noexcept override {}
  void Cancel(IoOperation&) noexcept override {}
  void CancelAll() noexcept override {}
  void Poll(Deadline, Clock&, WorkQueue&) noexcept override {
    turns_.push_back(ran_ - before_);
    before_ = ran_;
  }
  void Wake() noexcept override {}
  size_t in_flight() const noexcept override { return 0; }
  bool expects_results() const noexcept override { return true; }

 private:
  const int& ran_;
  std::vector<int>& turns_;
  int before_ = 0;
};

// Runs alone, turn after turn, and lets all of `items` be run then.
struct LoneItem : WorkItem {
  LoneItem() : WorkItem(&Run) {}
  static void Run(WorkItem& item) noexcept {
    auto& self = static_cast<LoneItem&>(item);
    // As from outside: it comes after the next look.
    if (--self.turns > 0) return self.loop->PostFromSignalHandler(self);
    for (CountedItem& each : *self.items) self.loop->Schedule(each);
  }

  int turns = 20;
  EventLoop* loop = nullptr;
  std::vector<CountedItem>* items = nullptr;
};

TEST(EventLoopTurnTest, TurnsThatEndForLackOfWorkMakeNoLongerOnes) {
  std::vector<CountedItem> items(EventLoop::kMaxItemsPerTurn);
  int ran = 0;
  std::vector<int> turns;
  for (CountedItem& item : items) item.ran = &ran;
  TestClock clock;  // the items take no time
  EventLoop loop(std::make_unique<NotingReactor>(ran, turns), {.clock = &clock});
  items.back().stops = &loop;
  LoneItem lone;
  lone.loop = &loop;
  lone.items = &items;
  loop.Schedule(lone);
  ASSERT_TRUE(loop.RunForever().ok());
  EXPECT_EQ(ran, EventLoop::kMaxItemsPerTurn);
  ASSERT_GE(turns.size(), 20u);
  EXPECT_EQ(turns[19], 64 - 1) << "behind the lone item";
}

TEST(EventLoopTurnTest, ItemsThatBecomeLongDoNotKeepTheNextLookWaitingForAWholeTurn) {
  std::vector<CountedItem> quick(4 * EventLoop::kMaxItemsPerTurn);
  std::vector<CountedItem> slow(EventLoop::kMaxItemsPerTurn);
  int ran = 0;
  int ran_slow = 0;
  std::vector<int> turns;
  TestClock clock;
  EventLoop loop(std::make_unique<NotingReactor>(ran_slow, turns), {.clock = &clock});
  for (CountedItem& item : quick) {
    item.ran = &ran;
    loop.Schedule(item);
  }
  for (CountedItem& item : slow) {
    item.ran = &ran_slow;
    item.clock = &clock;
    loop.Schedule(item);
  }
  slow.back().stops = &loop;
  ASSERT_TRUE(loop.RunForever().ok());
  EXPECT_EQ(ran_slow, EventLoop::kMaxItemsPerTurn);
  EXPECT_LT(turns.size(), 200u) << "turns of items that take no time become long";
  EXPECT_LE(*std::max_element(turns.begin(), turns.end()), 64);
}

TEST(EventLoopTurnTest, WhatAWaitHasBroughtIsRunBeforeTheNextLook) {
  std::vector<CountedItem> burst(EventLoop::kMaxItemsPerTurn);
  int ran = 0;
  int looks = 0;
  for (CountedItem& item : burst) item.ran = &ran;
  TestClock clock;  // the items take no time
  EventLoop loop(std::make_unique<BurstReactor>(burst, looks), {.clock = &clock});
  burst.back().stops = &loop;
  ASSERT_TRUE(loop.RunForever().ok());
  EXPECT_EQ(ran, EventLoop::kMaxItemsPerTurn);
  EXPECT_EQ(looks, 0);
}

TEST(EventLoopTurnTest, WhatAWaitHasBroughtDoesNotKeepTheNextLookWaitingForLong) {
  std::vector<CountedItem> burst(EventLoop::kMaxItemsPerTurn);
  int ran = 0;
  int looks = 0;
  TestClock clock;
  for (CountedItem& item : burst) {
    item.ran = &ran;
    item.clock = &clock;
  }
  EventLoop loop(std::make_unique<BurstReactor>(burst, looks), {.clock = &clock});
  burst.back().stops = &loop;
  ASSERT_TRUE(loop.RunForever().ok());
  EXPECT_EQ(ran, EventLoop::kMaxItemsPerTurn);
  EXPECT_GT(looks, 10);
}

}  // namespace
}  // namespace plait
