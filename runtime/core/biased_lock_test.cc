#include "plait/runtime/core/biased_lock.h"

#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::internal {
namespace {

// More than it takes for the lock to belong to the thread.
constexpr int kMany = 3'000;

BiasedLock::Hold LockOnce(BiasedLock& lock) {
  const BiasedLock::Hold hold = lock.Lock();
  lock.Unlock(hold);
  return hold;
}

BiasedLock::Hold LockOften(BiasedLock& lock) {
  for (int i = 1; i < kMany; ++i) LockOnce(lock);
  return LockOnce(lock);
}

bool IsShared(BiasedLock& lock) {
  const BiasedLockHolder hold(lock);
  return lock.shared();
}

BiasedLock::Hold LockElsewhere(BiasedLock& lock) {
  BiasedLock::Hold hold{};
  StartThread("elsewhere", [&] { hold = LockOnce(lock); }).join();
  return hold;
}

BiasedLock::Hold AsOwner() {
  return HeavyBarrierWorks() ? BiasedLock::Hold::kOwner : BiasedLock::Hold::kSpin;
}

TEST(BiasedLockTest, ItIsAnOrdinaryLockAtFirst) {
  BiasedLock lock;
  EXPECT_EQ(LockOnce(lock), BiasedLock::Hold::kSpin);
  EXPECT_FALSE(IsShared(lock));
}

TEST(BiasedLockTest, ItBelongsToTheThreadThatTakesItOften) {
  BiasedLock lock;
  EXPECT_EQ(LockOften(lock), AsOwner());
  EXPECT_FALSE(IsShared(lock));
}

TEST(BiasedLockTest, AnotherThreadTakesItAwayForGood) {
  // A sandbox may forbid membarrier(2); it is a SpinLock then, which the tests above see.
  if (!HeavyBarrierWorks()) GTEST_SKIP() << "without HeavyBarrier it never belongs to a thread";
  BiasedLock lock;
  LockOften(lock);
  EXPECT_EQ(LockElsewhere(lock), BiasedLock::Hold::kSpin);
  EXPECT_TRUE(IsShared(lock));
  EXPECT_EQ(LockOften(lock), BiasedLock::Hold::kSpin);
}

TEST(BiasedLockTest, WhenAVisitIsForgottenItsOwnerEarnsItAgainAndNobodyElseDoes) {
  if (!HeavyBarrierWorks()) GTEST_SKIP() << "without HeavyBarrier it never belongs to a thread";
  BiasedLock lock;
  const auto visit_elsewhere = [&] {
    StartThread("visitor", [&] {
      const BiasedLockHolder hold(lock);
      lock.ForgetThis();
    }).join();
  };
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(LockOften(lock), BiasedLock::Hold::kOwner);
    visit_elsewhere();
    EXPECT_EQ(LockOnce(lock), BiasedLock::Hold::kSpin);
  }
  BiasedLock::Hold hold{};
  StartThread("another", [&] { hold = LockOften(lock); }).join();
  EXPECT_EQ(hold, BiasedLock::Hold::kSpin);
}

TEST(BiasedLockTest, ItsOwnerForgetsNothing) {
  if (!HeavyBarrierWorks()) GTEST_SKIP() << "without HeavyBarrier it never belongs to a thread";
  BiasedLock lock;
  LockOften(lock);
  {
    const BiasedLockHolder hold(lock);
    lock.ForgetThis();
  }
  EXPECT_EQ(LockOnce(lock), BiasedLock::Hold::kOwner);
}

TEST(BiasedLockTest, TheThreadThatMakesItNeedNotBeTheOneThatUsesIt) {
  BiasedLock lock;
  LockElsewhere(lock);
  EXPECT_EQ(LockOften(lock), AsOwner());
}

TEST(BiasedLockTest, ManyThreadsAtFirstMakeItShared) {
  BiasedLock lock;
  for (int i = 0; i < 20; ++i) LockElsewhere(lock);
  EXPECT_TRUE(IsShared(lock));
  EXPECT_EQ(LockOften(lock), BiasedLock::Hold::kSpin);
}

// Each lock belongs to one of two threads when the other comes, while the first goes in and out.
TEST(BiasedLockTest, OneThreadAtATimeIsInWhileItIsTakenAway) {
  struct Guarded {
    BiasedLock lock;
    int count = 0;
    Atomic<int> begun{0};
  };
  std::vector<Guarded> all(static_cast<size_t>(Repeats(200)));
  const auto add = [](Guarded& guarded, int times) {
    for (int i = 0; i < times; ++i) {
      const BiasedLockHolder hold(guarded.lock);
      ++guarded.count;
    }
  };
  Thread owner = StartThread("owner", [&] {
    for (Guarded& each : all) {
      add(each, kMany);
      each.begun.store(1, kRelease);
      add(each, kMany);
    }
  });
  for (Guarded& each : all) {
    for (int round = 0; each.begun.load(kAcquire) == 0; ++round) SpinWait(round);
    add(each, kMany);
  }
  owner.join();
  for (Guarded& each : all) EXPECT_EQ(each.count, 3 * kMany);
}

}  // namespace
}  // namespace plait::internal
