#include "plait/schedulers/work_stealing/deque.h"

#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::internal {
namespace {

using Stolen = WorkStealingDeque::Stolen;

TEST(WorkStealingDequeTest, TheOwnerTakesTheNewest) {
  WorkStealingDeque deque;
  WorkItem items[3];
  for (WorkItem& item : items) deque.Push(item);
  EXPECT_EQ(deque.size(), 3);
  for (int i = 2; i >= 0; --i) EXPECT_EQ(deque.Pop(), &items[i]);
  EXPECT_EQ(deque.Pop(), nullptr);
  EXPECT_TRUE(deque.empty());
}

TEST(WorkStealingDequeTest, AThiefTakesTheOldest) {
  WorkStealingDeque deque;
  WorkItem items[3];
  for (WorkItem& item : items) deque.Push(item);
  for (WorkItem& item : items) {
    const Stolen stolen = deque.Steal();
    EXPECT_EQ(stolen.outcome, Stolen::kItem);
    EXPECT_EQ(stolen.item, &item);
  }
  const Stolen nothing = deque.Steal();
  EXPECT_EQ(nothing.outcome, Stolen::kEmpty);
  EXPECT_EQ(nothing.item, nullptr);
  EXPECT_EQ(deque.Pop(), nullptr);
}

TEST(WorkStealingDequeTest, PoppingWhatIsEmptyLeavesItGood) {
  WorkStealingDeque deque;
  WorkItem item;
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(deque.Pop(), nullptr);
    EXPECT_EQ(deque.Steal().outcome, Stolen::kEmpty);
    deque.Push(item);
    EXPECT_EQ(deque.size(), 1);
    EXPECT_EQ(deque.Pop(), &item);
  }
}

TEST(WorkStealingDequeTest, ItGrowsAroundTheEndOfTheRing) {
  WorkStealingDeque deque(2);
  std::vector<WorkItem> items(100);
  size_t pushed = 0;
  size_t stolen = 0;
  while (pushed < items.size()) {  // two steps forward, one back
    deque.Push(items[pushed++]);
    if (pushed < items.size()) deque.Push(items[pushed++]);
    ASSERT_EQ(deque.Steal().item, &items[stolen++]);
  }
  EXPECT_EQ(deque.size(), static_cast<int64_t>(pushed - stolen));
  while (pushed > stolen) ASSERT_EQ(deque.Pop(), &items[--pushed]);
  EXPECT_TRUE(deque.empty());
}

TEST(WorkStealingDequeDeathTest, TheCapacityIsAPowerOfTwo) {
  EXPECT_DEATH(WorkStealingDeque(3), "power of two");
  EXPECT_DEATH(WorkStealingDeque(0), "power of two");
}

TEST(WorkStealingDequeStressTest, EveryItemIsTakenOnce) {
  constexpr int kThieves = 3;
  const int count = Repeats(30'000);
  struct Counted : WorkItem {
    int value = 0;  // plain: whoever takes it must see it
    Atomic<int> taken{0};
  };
  const auto items = std::make_unique<Counted[]>(static_cast<size_t>(count));
  WorkStealingDeque deque(2);
  Atomic<int> left{count};
  const auto take = [&left](WorkItem& item) {
    auto& counted = static_cast<Counted&>(item);
    EXPECT_EQ(counted.value, 1);
    EXPECT_EQ(counted.taken.fetch_add(1, kRelaxed), 0);
    left.fetch_sub(1, kRelaxed);
  };
  std::vector<Thread> thieves;
  for (int t = 0; t < kThieves; ++t) {
    thieves.push_back(StartThread("thief", [&] {
      while (left.load(kRelaxed) > 0) {
        const Stolen stolen = deque.Steal();
        if (stolen.outcome == Stolen::kItem) {
          take(*stolen.item);
        } else {
          std::this_thread::yield();
        }
      }
    }));
  }
  for (int i = 0; i < count; ++i) {
    items[static_cast<size_t>(i)].value = 1;
    deque.Push(items[static_cast<size_t>(i)]);
    // Up and down, so that owner and thieves often meet at the last item.
    for (int n = i % 4; n > 0; --n) {
      if (WorkItem* item = deque.Pop()) take(*item);
    }
  }
  while (WorkItem* item = deque.Pop()) take(*item);
  for (Thread& thief : thieves) thief.join();
  EXPECT_EQ(left.load(kRelaxed), 0);
}

}  // namespace
}  // namespace plait::internal
