#include "plait/runtime/sync/stamped_ring.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {
namespace {

RingResult Push(StampedRing<int>& ring, int value) { return ring.TryPush(value); }

TEST(StampedRingTest, ItIsFullAtItsCapacityAndInOrderForManyLapsWhateverTheCapacity) {
  for (const size_t capacity : {1, 2, 3, 4, 5, 7, 8, 9, 1000}) {
    SCOPED_TRACE(capacity);
    StampedRing<int> ring(capacity);
    EXPECT_EQ(ring.capacity(), capacity);
    std::optional<int> out;
    EXPECT_EQ(ring.TryPop(out), RingResult::kBlocked);
    int pushed = 0;
    int popped = 0;
    for (size_t lap = 0; lap < 5; ++lap) {
      for (size_t i = 0; i < capacity; ++i) {
        EXPECT_EQ(ring.size(), i);
        EXPECT_EQ(Push(ring, pushed++), RingResult::kDone);
      }
      EXPECT_EQ(ring.size(), capacity);
      EXPECT_EQ(Push(ring, 99), RingResult::kBlocked);
      for (size_t i = 0; i < capacity; ++i) {
        EXPECT_EQ(ring.TryPop(out), RingResult::kDone);
        EXPECT_EQ(*out, popped++);
      }
      EXPECT_EQ(ring.TryPop(out), RingResult::kBlocked);
      // The next lap begins elsewhere.
      EXPECT_EQ(Push(ring, pushed++), RingResult::kDone);
      EXPECT_EQ(ring.TryPop(out), RingResult::kDone);
      EXPECT_EQ(*out, popped++);
    }
  }
}

TEST(StampedRingTest, OneThatIsClosedGivesWhatIsLeftAndTakesNoMore) {
  StampedRing<int> ring(3);
  EXPECT_EQ(Push(ring, 1), RingResult::kDone);
  EXPECT_FALSE(ring.closed());
  EXPECT_TRUE(ring.Close());
  EXPECT_FALSE(ring.Close());
  EXPECT_TRUE(ring.closed());
  EXPECT_EQ(ring.size(), 1u);
  EXPECT_EQ(Push(ring, 2), RingResult::kClosed);
  std::optional<int> out;
  EXPECT_EQ(ring.TryPop(out), RingResult::kDone);
  EXPECT_EQ(ring.TryPop(out), RingResult::kClosed);
}

TEST(StampedRingTest, APushThatFailsLeavesTheValueAndTheEndFreesWhatIsLeft) {
  auto counted = std::make_shared<int>(1);
  {
    StampedRing<std::shared_ptr<int>> ring(2);
    for (int i = 0; i < 2; ++i) {
      std::shared_ptr<int> copy = counted;
      EXPECT_EQ(ring.TryPush(copy), RingResult::kDone);
      EXPECT_EQ(copy, nullptr);
    }
    std::shared_ptr<int> copy = counted;
    EXPECT_EQ(ring.TryPush(copy), RingResult::kBlocked);
    EXPECT_EQ(copy, counted);
    EXPECT_EQ(counted.use_count(), 4);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(StampedRingStressTest,
     BetweenThreadsNothingIsLostOrDoubledAndEachProducersItemsKeepTheirOrder) {
  constexpr int kThreads = 2;
  for (const size_t capacity : {1, 3, 64}) {
    // Each lap may need another thread, which gets a processor when the machine likes: so many
    // laps, not so many items.
    const int64_t items = std::min<int64_t>(20'000, 2'000 * static_cast<int64_t>(capacity));
    StampedRing<int64_t> ring(capacity);
    std::vector<Thread> threads;
    Atomic<int64_t> popped{0};
    std::vector<int64_t> sums(kThreads);
    for (int t = 0; t < kThreads; ++t) {
      threads.push_back(StartThread("producer", [&, t] {
        for (int64_t i = 0; i < items; ++i) {
          int64_t item = t * items + i;
          for (int round = 0; ring.TryPush(item) != RingResult::kDone; ++round) SpinWait(round);
        }
      }));
      threads.push_back(StartThread("consumer", [&, t] {
        std::vector<int64_t> last(kThreads, -1);
        std::optional<int64_t> item;
        for (int round = 0; popped.load(kRelaxed) < kThreads * items;) {
          if (ring.TryPop(item) != RingResult::kDone) {
            SpinWait(round++);
            continue;
          }
          round = 0;
          popped.fetch_add(1, kRelaxed);
          sums[static_cast<size_t>(t)] += *item;
          int64_t& before = last[static_cast<size_t>(*item / items)];
          EXPECT_LT(before, *item);
          before = *item;
        }
      }));
    }
    for (Thread& thread : threads) thread.join();
    const int64_t total = kThreads * items;
    EXPECT_EQ(popped.load(), total);
    EXPECT_EQ(sums[0] + sums[1], total * (total - 1) / 2);
    EXPECT_EQ(ring.size(), 0u);
  }
}

}  // namespace
}  // namespace plait::internal
