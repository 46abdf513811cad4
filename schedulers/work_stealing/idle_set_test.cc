// IdleSet by one thread, call by call: who is woken, and who is not. That no wake-up is lost
// between threads is idle_set_explored_test's.
#include "plait/schedulers/work_stealing/idle_set.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace plait::internal {
namespace {

using ::testing::ElementsAre;

constexpr int kNobody = IdleSet::kNobody;

TEST(IdleSetTest, WhereAllAreBusyAPostWakesNobody) {
  IdleSet idle(4);
  EXPECT_EQ(idle.ClaimForWork(), kNobody);
  EXPECT_EQ(idle.ClaimForOrderedWork(), kNobody);
  EXPECT_FALSE(idle.ClaimParked(2));
  EXPECT_EQ(idle.parked(), 0);
  EXPECT_EQ(idle.searching(), 0);
}

TEST(IdleSetTest, TenPostsWakeOneWorkerUntilItHasFoundSomething) {
  IdleSet idle(4);
  for (int worker : {3, 1, 2}) idle.PreparePark(worker);
  EXPECT_EQ(idle.parked(), 3);
  std::vector<int> woken;
  for (int post = 0; post < 10; ++post) {
    const int worker = post % 2 == 0 ? idle.ClaimForWork() : idle.ClaimForOrderedWork();
    if (worker != kNobody) woken.push_back(worker);
  }
  EXPECT_THAT(woken, ElementsAre(1)) << "the one of the lowest number";
  EXPECT_FALSE(idle.CancelPark(1)) << "it was claimed";
  EXPECT_TRUE(idle.searches(1));
  EXPECT_TRUE(idle.EndSearch(1)) << "and must look after the other nine";
  EXPECT_EQ(idle.ClaimForOrderedWork(), 2) << "by waking the next";
}

TEST(IdleSetTest, OnlyTheLastSearcherThatFindsSomethingWakesAnother) {
  IdleSet idle(4);
  EXPECT_TRUE(idle.BeginSearch(0));
  EXPECT_TRUE(idle.BeginSearch(1));
  EXPECT_FALSE(idle.EndSearch(0));
  EXPECT_TRUE(idle.EndSearch(1));
  EXPECT_FALSE(idle.EndSearch(1)) << "it does not search";
  EXPECT_EQ(idle.searching(), 0);
}

TEST(IdleSetTest, AtMostHalfTheWorkersSearchByThemselves) {
  IdleSet idle(5);
  EXPECT_TRUE(idle.BeginSearch(0));
  EXPECT_TRUE(idle.BeginSearch(0)) << "it does already";
  EXPECT_TRUE(idle.BeginSearch(1));
  EXPECT_TRUE(idle.BeginSearch(2));
  EXPECT_EQ(idle.searching(), 3);
  EXPECT_FALSE(idle.BeginSearch(3));
  EXPECT_FALSE(idle.searches(3));
  idle.PreparePark(0);
  EXPECT_TRUE(idle.BeginSearch(3));
}

TEST(IdleSetTest, APoolOfOneWorkerSearchesToo) {
  IdleSet idle(1);
  EXPECT_TRUE(idle.BeginSearch(0));
  EXPECT_TRUE(idle.EndSearch(0));
}

TEST(IdleSetTest, AWorkerThatParksSearchesNoMore) {
  IdleSet idle(2);
  EXPECT_TRUE(idle.BeginSearch(0));
  EXPECT_EQ(idle.ClaimForWork(), kNobody) << "it will see the work";
  idle.PreparePark(0);
  EXPECT_EQ(idle.searching(), 0);
  EXPECT_EQ(idle.ClaimForWork(), 0);
  EXPECT_EQ(idle.searching(), 1) << "from the claim on, not from when it is awake";
}

TEST(IdleSetTest, AWorkerThatWakesByItselfIsBusyAndIsNotWoken) {
  IdleSet idle(2);
  idle.PreparePark(0);
  EXPECT_TRUE(idle.CancelPark(0));
  EXPECT_FALSE(idle.searches(0));
  EXPECT_EQ(idle.ClaimForWork(), kNobody);
  EXPECT_FALSE(idle.ClaimParked(0));
}

TEST(IdleSetTest, APostToOneWorkerWakesThatOneOnce) {
  IdleSet idle(3);
  for (int worker : {0, 1, 2}) idle.PreparePark(worker);
  EXPECT_TRUE(idle.ClaimParked(2));
  EXPECT_FALSE(idle.ClaimParked(2)) << "it is on its way";
  EXPECT_FALSE(idle.CancelPark(2));
  EXPECT_TRUE(idle.EndSearch(2));
  EXPECT_EQ(idle.parked(), 2);
}

TEST(IdleSetTest, WorkersBeyondTheFirst64AreFoundToo) {
  IdleSet idle(130);
  for (int worker : {129, 64, 63}) idle.PreparePark(worker);
  EXPECT_EQ(idle.parked(), 3);
  for (int worker : {63, 64, 129}) {
    EXPECT_EQ(idle.ClaimForWork(), worker);
    EXPECT_FALSE(idle.CancelPark(worker));
    EXPECT_TRUE(idle.EndSearch(worker));
  }
  EXPECT_EQ(idle.ClaimForWork(), kNobody);
}

TEST(IdleSetDeathTest, ItIsOfAtLeastOneWorker) { EXPECT_DEATH(IdleSet(0), "at least one worker"); }

}  // namespace
}  // namespace plait::internal
