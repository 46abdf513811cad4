// How much an event loop runs between two looks at its reactor.
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
