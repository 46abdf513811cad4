#include "plait/runtime/sync/two_ended_ring.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/roving_lock.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::internal {
namespace {

template <class T>
bool Push(TwoEndedRing<T>& ring, T&& item) {
  T value = std::move(item);
  const RovingLockHolder hold(ring.in.lock);
  return ring.Push(value);
}

template <class T>
std::optional<T> Pop(TwoEndedRing<T>& ring) {
  std::optional<T> item;
  const RovingLockHolder hold(ring.out.lock);
  const bool popped = ring.Pop(item);
  EXPECT_EQ(popped, item.has_value());
  return item;
}

TEST(TwoEndedRingTest, ItIsFullAtItsCapacityAndInOrderForManyLapsWhateverTheCapacity) {
  for (const size_t capacity : {1, 2, 3, 4, 5, 7, 8, 9, 1000}) {
    SCOPED_TRACE(capacity);
    TwoEndedRing<int> ring(capacity);
    EXPECT_EQ(ring.capacity(), capacity);
    EXPECT_EQ(Pop(ring), std::nullopt);
    int pushed = 0;
    int popped = 0;
    for (size_t lap = 0; lap < 5; ++lap) {
      for (size_t i = 0; i < capacity; ++i) {
        EXPECT_EQ(ring.size(), i);
        EXPECT_TRUE(Push(ring, pushed++));
      }
      EXPECT_EQ(ring.size(), capacity);
      EXPECT_FALSE(Push(ring, 99));
      for (size_t i = 0; i < capacity; ++i) EXPECT_EQ(Pop(ring), popped++);
      EXPECT_EQ(Pop(ring), std::nullopt);
      // The next lap begins elsewhere.
      EXPECT_TRUE(Push(ring, pushed++));
      EXPECT_EQ(Pop(ring), popped++);
    }
  }
}

TEST(TwoEndedRingTest, APushThatFailsLeavesTheValueAndTheEndFreesWhatIsLeft) {
  auto counted = std::make_shared<int>(1);
  {
    TwoEndedRing<std::shared_ptr<int>> ring(2);
    const RovingLockHolder hold(ring.in.lock);
    for (int i = 0; i < 2; ++i) {
      std::shared_ptr<int> copy = counted;
      EXPECT_TRUE(ring.Push(copy));
      EXPECT_EQ(copy, nullptr);
    }
    std::shared_ptr<int> copy = counted;
    EXPECT_FALSE(ring.Push(copy));
    EXPECT_EQ(copy, counted);
    EXPECT_EQ(counted.use_count(), 4);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(TwoEndedRingStressTest,
     BetweenThreadsNothingIsLostOrDoubledAndEachProducersItemsKeepTheirOrder) {
  constexpr int kThreads = 2;
  for (const size_t capacity : {1, 3, 64}) {
    // Each lap may need another thread, which gets a processor when the machine likes: so many
    // laps, not so many items.
    const int64_t items = Repeats(std::min(20'000, 2'000 * static_cast<int>(capacity)));
    const int64_t total = kThreads * items;
    TwoEndedRing<int64_t> ring(capacity);
    std::vector<Thread> threads;
    std::vector<int64_t> sums(kThreads);
    int64_t popped = 0;  // under the lock of `out`
    for (int t = 0; t < kThreads; ++t) {
      threads.push_back(StartThread("producer", [&, t] {
        for (int64_t i = 0; i < items; ++i) {
          for (int round = 0; !Push(ring, t * items + i); ++round) SpinWait(round);
        }
      }));
      threads.push_back(StartThread("consumer", [&, t] {
        std::vector<int64_t> last(kThreads, -1);
        std::optional<int64_t> item;
        for (int round = 0;; ++round) {
          {
            const RovingLockHolder hold(ring.out.lock);
            if (popped == total) return;
            if (ring.Pop(item)) ++popped;
          }
          if (!item.has_value()) {
            SpinWait(round);
            continue;
          }
          round = 0;
          sums[static_cast<size_t>(t)] += *item;
          int64_t& before = last[static_cast<size_t>(*item / items)];
          EXPECT_LT(before, *item);
          before = *item;
          item.reset();
        }
      }));
    }
    for (Thread& thread : threads) thread.join();
    EXPECT_EQ(sums[0] + sums[1], total * (total - 1) / 2);
    EXPECT_EQ(ring.size(), 0u);
  }
}

}  // namespace
}  // namespace plait::internal
