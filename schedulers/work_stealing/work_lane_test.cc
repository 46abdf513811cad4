// WorkLane alone, and in a pool: what a worker keeps to itself is run in its turn, and is not left
// lying when the worker is stuck. The handshakes are explored (owner_lock_explored_test,
// idle_set_explored_test).
//
// Traps: the wake-up lost between check and park, which is a hang here.
#include "plait/schedulers/work_stealing/work_lane.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/testing/until.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;
using internal::WorkLane;

class WorkLaneTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!internal::HeavyBarrierWorks()) GTEST_SKIP() << "lanes are for systems with a HeavyBarrier";
  }
};

TEST_F(WorkLaneTest, TheOldestIsTakenFirst) {
  WorkLane lane;
  WorkItem items[3];
  lane.Open();
  for (WorkItem& item : items) EXPECT_TRUE(lane.Push(item, /*lone=*/false));
  EXPECT_EQ(lane.size(), 3u);
  for (WorkItem& item : items) EXPECT_EQ(lane.Pop(), &item);
  EXPECT_EQ(lane.Pop(), nullptr);
  EXPECT_TRUE(lane.empty());
}

TEST_F(WorkLaneTest, OthersTakeTheOlderHalfAndThenItIsToBeClosed) {
  WorkLane lane;
  WorkItem items[4];
  lane.Open();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(lane.Push(items[i], /*lone=*/false));
  WorkQueue taken;
  lane.TakeHalf(taken);
  EXPECT_EQ(taken.Pop(), &items[0]);
  EXPECT_EQ(taken.Pop(), &items[1]);
  EXPECT_TRUE(taken.empty());
  EXPECT_FALSE(lane.Push(items[3], /*lone=*/false));
  EXPECT_EQ(lane.Pop(), &items[2]);
  EXPECT_EQ(lane.Pop(), &items[3]);
  lane.Close();
  lane.Open();
  EXPECT_TRUE(lane.Push(items[0], /*lone=*/false));
}

TEST_F(WorkLaneTest, NothingIsThereToBeTakenFromAnEmptyOne) {
  WorkLane lane;
  lane.Open();
  WorkQueue taken;
  lane.TakeHalf(taken);
  EXPECT_TRUE(taken.empty());
  EXPECT_EQ(lane.Pop(), nullptr);
}

TEST_F(WorkLaneTest, OthersDoNotComeForALoneItemUntilThereIsAnother) {
  WorkLane lane;
  WorkItem items[2];
  lane.Open();
  EXPECT_TRUE(lane.Push(items[0], /*lone=*/true));
  EXPECT_FALSE(lane.HasItems());
  EXPECT_FALSE(lane.empty());
  EXPECT_TRUE(lane.Push(items[1], /*lone=*/false));
  EXPECT_EQ(lane.Pop(), &items[0]);
  EXPECT_TRUE(lane.HasItems());
}

TEST_F(WorkLaneTest, ItIsToBeClosedWhenItIsLong) {
  WorkLane lane;
  std::vector<WorkItem> items(WorkLane::kMostItems);
  lane.Open();
  for (size_t i = 0; i + 1 < items.size(); ++i) EXPECT_TRUE(lane.Push(items[i], /*lone=*/false));
  EXPECT_FALSE(lane.Push(items.back(), /*lone=*/false));
}

TEST_F(WorkLaneTest, EachItemIsTakenOnceWhileAnotherThreadTakesToo) {
  const int count = Repeats(50'000);
  struct Counted : WorkItem {
    int runs = 0;
  };
  std::vector<Counted> items(static_cast<size_t>(count));
  const auto run = [](WorkItem& item) { ++static_cast<Counted&>(item).runs; };
  WorkLane lane;
  Atomic<bool> ended{false};
  lane.Open();
  Thread other = StartThread("other", [&] {
    while (!ended.load(kAcquire)) {
      if (!lane.HasItems()) continue;
      WorkQueue taken;
      lane.TakeHalf(taken);
      while (WorkItem* const item = taken.Pop()) run(*item);
    }
  });
  for (int i = 0; i < count; ++i) {
    // As a worker that closes it, and opens it again.
    if (!lane.Push(items[static_cast<size_t>(i)], /*lone=*/false)) lane.Open();
    if (i % 3 != 0) continue;
    if (WorkItem* const item = lane.Pop()) run(*item);
  }
  while (WorkItem* const item = lane.Pop()) run(*item);
  ended.store(true, kRelease);
  other.join();
  for (const Counted& item : items) ASSERT_EQ(item.runs, 1);
}

// --- in a pool ---

// Enough that the lane is opened on the way.
constexpr int kManyTurns = 5'000;

Task<void> TakeTurns(int number, int turns, std::vector<int>* order) {
  for (int i = 0; i < turns; ++i) {
    order->push_back(number);
    co_await Yield();
  }
}

// With a virtual clock there is no monitor, which would help a worker that has no processor for a
// while by posting what waits there, at another place in the order.
TEST(LaneInAPoolTest, TasksThatYieldGoOnTakingTurns) {
  TestClock clock;
  WorkStealingPool pool({.threads = 1, .clock = &clock});
  std::vector<int> order;
  order.reserve(3 * kManyTurns);
  BlockOn(pool, Gather(TakeTurns(0, kManyTurns, &order), TakeTurns(1, kManyTurns, &order),
                       TakeTurns(2, kManyTurns, &order)));
  ASSERT_EQ(order.size(), 3u * kManyTurns);
  // In whichever order they began.
  for (size_t i = 3; i < order.size(); ++i) ASSERT_EQ(order[i], order[i - 3]);
}

TEST(LaneInAPoolTest, WhatIsPostedFromOutsideHasItsTurnAmongThoseThatYield) {
  WorkStealingPool pool({.threads = 1});
  Atomic<bool> stop{false};
  Atomic<int> turns{0};
  const auto yield = [](Atomic<bool>* until, Atomic<int>* count) -> Task<void> {
    while (!until->load(kRelaxed)) {
      count->fetch_add(1, kRelaxed);
      co_await Yield();
    }
  };
  JoinHandle<void> one = Spawn(yield(&stop, &turns), {.executor = &pool});
  JoinHandle<void> two = Spawn(yield(&stop, &turns), {.executor = &pool});
  Until([&] { return turns.load(kRelaxed) > kManyTurns; });
  // Each is run, though the two never end; and each lets the two go on.
  for (int i = 0; i < Repeats(100); ++i) {
    const int before = turns.load(kRelaxed);
    BlockOn(pool, []() -> Task<void> { co_return; }());
    Until([&] { return turns.load(kRelaxed) > before; });
  }
  stop.store(true, kRelaxed);
  BlockOn(pool, [](JoinHandle<void>* a, JoinHandle<void>* b) -> Task<void> {
    co_await *a;
    co_await *b;
  }(&one, &two));
}

struct StuckWorker {
  static constexpr int kChildren = 10;

  Atomic<bool> both_busy{false};
  Atomic<bool> spawned{false};
  Atomic<int> ran{0};
};

// Busy until the other has spawned, so that nobody has nothing to do just then.
Task<void> BeBusy(StuckWorker* scene) {
  scene->both_busy.store(true, kRelease);
  Until([scene] { return scene->spawned.load(kAcquire); });
  co_return;
}

Task<void> Count(StuckWorker* scene) {
  scene->ran.fetch_add(1, kRelease);
  co_return;
}

Task<void> SpawnAndBeStuck(StuckWorker* scene) {
  JoinHandle<void> other = Spawn(BeBusy(scene));
  while (!scene->both_busy.load(kAcquire)) co_await Yield();
  for (int i = 0; i < kManyTurns; ++i) co_await Yield();
  std::vector<JoinHandle<void>> children;
  children.reserve(StuckWorker::kChildren);
  for (int i = 0; i < StuckWorker::kChildren; ++i) children.push_back(Spawn(Count(scene)));
  scene->spawned.store(true, kRelease);
  // The last is what this worker would run next, and stays there.
  Until([scene] { return scene->ran.load(kAcquire) == StuckWorker::kChildren - 1; });
  for (JoinHandle<void>& child : children) co_await child;
  co_await other;
}

// With a virtual clock, so that it is not the monitor who helps.
TEST(LaneInAPoolTest, WhatAStuckWorkerKeepsToItselfIsRunByAnotherThatHasNothingToDo) {
  TestClock clock;
  WorkStealingPool pool({.threads = 2, .clock = &clock});
  for (int round = 0; round < Repeats(20); ++round) {
    StuckWorker scene;
    BlockOn(pool, SpawnAndBeStuck(&scene));
    EXPECT_EQ(scene.ran.load(kRelaxed), StuckWorker::kChildren);
  }
}

struct LongFork {
  Atomic<bool> both_busy{false};
  Atomic<bool> yielded{false};
  Atomic<bool> went_on{false};
};

// Busy until the fork's first part yields: nobody asks for the second.
Task<void> BeBusyUntilItYields(LongFork* scene) {
  scene->both_busy.store(true, kRelease);
  Until([scene] { return scene->yielded.load(kAcquire); });
  co_return;
}

Task<void> YieldOnce(LongFork* scene) {
  scene->yielded.store(true, kRelease);
  co_await Yield();
  scene->went_on.store(true, kRelease);
}

Task<void> HoldTheThread(LongFork* scene) {
  Until([scene] { return scene->went_on.load(kAcquire); });
  co_return;
}

Task<void> ForkAndYield(LongFork* scene) {
  JoinHandle<void> other = Spawn(BeBusyUntilItYields(scene));
  while (!scene->both_busy.load(kAcquire)) co_await Yield();
  for (int i = 0; i < kManyTurns; ++i) co_await Yield();
  co_await Fork(YieldOnce(scene), HoldTheThread(scene));
  co_await other;
}

// What yields is the only work in the worker's queue, but what it has forked comes first.
TEST(LaneInAPoolTest, WhatYieldsBeforeALongForkIsRunByAnotherThatHasNothingToDo) {
  TestClock clock;
  WorkStealingPool pool({.threads = 2, .clock = &clock});
  for (int round = 0; round < Repeats(20); ++round) {
    LongFork scene;
    BlockOn(pool, ForkAndYield(&scene));
    EXPECT_TRUE(scene.went_on.load(kRelaxed));
  }
}

}  // namespace
}  // namespace plait
