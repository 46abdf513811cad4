#include "plait/runtime/core/roving_lock.h"

#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::internal {
namespace {

// More than it takes for the lock to belong to the thread that takes it, at first.
constexpr int kMany = 3'000;
// More than pays for taking it away.
constexpr int kVeryMany = 10'000;

bool LockOnceAsOwner(RovingLock& lock) {
  const RovingLock::Hold hold = lock.Lock();
  lock.Unlock(hold);
  return hold != nullptr;
}

bool LockOftenAndOwn(RovingLock& lock, int times = kMany) {
  for (int i = 1; i < times; ++i) LockOnceAsOwner(lock);
  return LockOnceAsOwner(lock);
}

template <class Do>
bool Elsewhere(Do&& todo) {
  bool result = false;
  StartThread("elsewhere", [&] { result = todo(); }).join();
  return result;
}

// A sandbox may forbid membarrier(2); then it is a SpinLock.
class RovingLockTest : public testing::Test {
 protected:
  const bool works_ = HeavyBarrierWorks();
  RovingLock lock_;
};

TEST_F(RovingLockTest, ItIsAnOrdinaryLockAtFirst) { EXPECT_FALSE(LockOnceAsOwner(lock_)); }

TEST_F(RovingLockTest, ItBelongsToTheThreadThatTakesItOften) {
  EXPECT_EQ(LockOftenAndOwn(lock_), works_);
}

TEST_F(RovingLockTest, AnotherThreadTakesItAwayAndMayHaveItThen) {
  LockOftenAndOwn(lock_, kVeryMany);
  EXPECT_FALSE(Elsewhere([&] { return LockOnceAsOwner(lock_); }));
  EXPECT_FALSE(LockOnceAsOwner(lock_));
  EXPECT_EQ(Elsewhere([&] { return LockOftenAndOwn(lock_); }), works_);
}

TEST_F(RovingLockTest, ItComesBack) {
  LockOftenAndOwn(lock_, kVeryMany);
  for (int i = 0; i < 20; ++i) {
    // Each owns it for long, so none has to take it more often than at first.
    EXPECT_FALSE(Elsewhere([&] { return LockOnceAsOwner(lock_); }));
    EXPECT_EQ(LockOftenAndOwn(lock_, kVeryMany), works_);
  }
}

TEST_F(RovingLockTest, WhereItIsSoonTakenAwayItTakesMoreAndMoreToOwnIt) {
  for (int i = 0; i < 2; ++i) {
    // Mostly to own it.
    LockOftenAndOwn(lock_, kMany);
    Elsewhere([&] { return LockOnceAsOwner(lock_); });
  }
  EXPECT_FALSE(LockOftenAndOwn(lock_, kMany));
  EXPECT_EQ(LockOftenAndOwn(lock_, kVeryMany), works_);
}

TEST_F(RovingLockTest, ItBelongsToNoMoreThanTwoThreadsInTurn) {
  const auto own = [&] { return LockOftenAndOwn(lock_, kVeryMany); };
  EXPECT_EQ(Elsewhere(own), works_);
  EXPECT_EQ(Elsewhere(own), works_);
  EXPECT_FALSE(Elsewhere(own));
}

// Two threads that each use it for a while, and come to it while the other goes in and out.
TEST_F(RovingLockTest, OneThreadAtATimeIsInHoweverOftenItIsTakenAway) {
  constexpr int kThreads = 3;
  const int times = Repeats(20) * kMany;
  int count = 0;
  std::vector<Thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.push_back(StartThread("user", [&] {
      for (int i = 0; i < times; ++i) {
        const RovingLockHolder hold(lock_);
        ++count;
      }
    }));
  }
  for (Thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * times);
}

}  // namespace
}  // namespace plait::internal
