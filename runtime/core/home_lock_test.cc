// Trap: the lock is taken away from its home while that is about to go in (explored next to this).
#include "plait/runtime/core/home_lock.h"

#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::internal {
namespace {

constexpr HomeLock::Bits kMine = 0x40;

void MakeHomeHere(HomeLock& lock) {
  const HomeLock::Bits bits = lock.Lock();
  lock.MakeHome(bits);
  lock.Unlock(bits);
}

bool IsHome(HomeLock& lock) {
  const bool home = lock.Enter();
  if (home) lock.Leave();
  return home;
}

TEST(HomeLockTest, ItHasNoHomeUntilItIsGivenOne) {
  HomeLock lock;
  EXPECT_FALSE(IsHome(lock));
  MakeHomeHere(lock);
  EXPECT_EQ(IsHome(lock), HeavyBarrierWorks());
  bool elsewhere = true;
  StartThread("another", [&] { elsewhere = IsHome(lock); }).join();
  EXPECT_FALSE(elsewhere);
}

TEST(HomeLockTest, ItsHomeMayLockItTooAndKeepsIt) {
  HomeLock lock;
  MakeHomeHere(lock);
  lock.Unlock(lock.Lock());
  EXPECT_EQ(IsHome(lock), HeavyBarrierWorks());
}

TEST(HomeLockTest, AnotherThreadTakesItAwayForGood) {
  HomeLock lock;
  MakeHomeHere(lock);
  StartThread("another", [&] { lock.Unlock(lock.Lock()); }).join();
  EXPECT_FALSE(IsHome(lock));
  if (!HeavyBarrierWorks()) GTEST_SKIP() << "without HeavyBarrier it is at home nowhere";
  MakeHomeHere(lock);
  EXPECT_FALSE(IsHome(lock));
  bool elsewhere = true;
  StartThread("another", [&] {
    MakeHomeHere(lock);
    elsewhere = IsHome(lock);
  }).join();
  EXPECT_FALSE(elsewhere);
}

TEST(HomeLockTest, TheUsersBitsStayAsTheyAreLeft) {
  HomeLock lock;
  lock.Unlock(lock.Lock() | kMine);
  MakeHomeHere(lock);
  StartThread("another", [&] {
    const HomeLock::Bits bits = lock.Lock();
    EXPECT_EQ(bits & HomeLock::kUserBits, kMine);
    lock.Unlock(bits);
  }).join();
  EXPECT_EQ(lock.bits() & HomeLock::kUserBits, kMine);
}

TEST(HomeLockStressTest, NoAdditionIsLostWhileOthersTakeItAway) {
  constexpr int kTimes = 100;
  for (int round = 0; round < Repeats(200); ++round) {
    HomeLock lock;
    int count = 0;
    const auto add_elsewhere = [&] {
      const HomeLock::Bits bits = lock.Lock();
      ++count;
      lock.Unlock(bits);
    };
    MakeHomeHere(lock);
    Thread other = StartThread("another", [&] {
      for (int i = 0; i < kTimes; ++i) add_elsewhere();
    });
    for (int i = 0; i < kTimes; ++i) {
      if (!lock.Enter()) {
        add_elsewhere();
        continue;
      }
      ++count;
      lock.Leave();
    }
    other.join();
    EXPECT_EQ(count, 2 * kTimes);
  }
}

}  // namespace
}  // namespace plait::internal
