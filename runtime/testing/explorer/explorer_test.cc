#include "plait/runtime/testing/explorer/explorer.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/explored_atomic.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::explorer {
namespace {

using internal::Atomic;
using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;
using internal::SpinLock;
using internal::SpinLockHolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

void AddUnderLock() {
  SpinLock lock;
  int shared = 0;
  const auto add = [&] {
    const SpinLockHolder hold(lock);
    ++shared;
  };
  Parallel({add, add, add});
  Require(shared == 3, "an addition was lost");
}

TEST(ExplorerTest, WhatIsRightPasses) {
  const Report report = Explore(AddUnderLock);
  EXPECT_TRUE(report.ok()) << report.ToString();
  EXPECT_GT(report.executions, 10);
  EXPECT_THAT(report.ToString(), HasSubstr("executions"));
}

TEST(ExplorerTest, ARequirementThatDoesNotHoldInOneExecutionIsFound) {
  const Report report = Explore([] {
    Atomic<int> shared = 0;
    const auto add = [&] { shared.store(shared.load(kRelaxed) + 1, kRelaxed); };
    Parallel({add, add});
    Require(shared.load(kRelaxed) == 2, "an addition was lost");
  });
  EXPECT_THAT(report.failure, HasSubstr("an addition was lost (explorer_test.cc:"));
  EXPECT_FALSE(report.ok());
}

// --- plain memory ---

TEST(ExplorerTest, ADataRaceOnPlainMemoryIsFoundWithoutAMarkInTheCode) {
  const Report report = Explore([] {
    int shared = 0;
    Parallel({[&] { shared = 1; }, [&] { shared = 2; }});
  });
  EXPECT_THAT(report.failure, HasSubstr("data race: a write by T2"));
  EXPECT_THAT(report.failure, HasSubstr("and a write by T1"));
}

TEST(ExplorerTest, ReadsDoNotRaceWithEachOther) {
  const Report report = Explore([] {
    int shared = 3;
    int a = 0, b = 0;
    Parallel({[&] { a = shared; }, [&] { b = shared; }});
    Require(a == 3 && b == 3, "what came before the threads is visible to them");
  });
  EXPECT_TRUE(report.ok()) << report.ToString();
}

TEST(ExplorerTest, NeighbouringBytesDoNotRace) {
  const Report report = Explore([] {
    struct {
      char one = 0;
      char two = 0;
    } bytes;
    Parallel({[&] { bytes.one = 1; }, [&] { bytes.two = 2; }});
    Require(bytes.one + bytes.two == 3, "both were written");
  });
  EXPECT_TRUE(report.ok()) << report.ToString();
}

// Publishes plain memory by an atomic, with the orders given.
Report Publish(internal::MemoryOrder store, internal::MemoryOrder load) {
  return Explore([=] {
    int data = 0;
    Atomic<bool> ready = false;
    Parallel({[&] {
                data = 1;
                ready.store(true, store);
              },
              [&] {
                if (ready.load(load)) Require(data == 1, "published");
              }});
  });
}

TEST(ExplorerTest, WhatIsReleasedAndAcquiredDoesNotRaceAndElseItDoes) {
  EXPECT_TRUE(Publish(kRelease, kAcquire).ok());
  EXPECT_THAT(Publish(kRelaxed, kAcquire).failure, HasSubstr("data race: a read by T2"));
  EXPECT_THAT(Publish(kRelease, kRelaxed).failure, HasSubstr("data race: a read by T2"));
}

TEST(ExplorerTest, AWriteAfterTheReleaseRaces) {
  const Report report = Explore([] {
    int data = 0;
    Atomic<bool> ready = false;
    Parallel({[&] {
                ready.store(true, kRelease);
                data = 1;
              },
              [&] {
                if (ready.load(kAcquire)) data = 2;
              }});
  });
  EXPECT_THAT(report.failure, HasSubstr("data race"));
}

TEST(ExplorerTest, TheUseOfFreedMemoryIsFound) {
  const Report report = Explore([] {
    auto owned = std::make_unique<int>(1);
    int* const leaked = owned.get();
    Atomic<bool> gone = false;
    Parallel({[&] {
                owned.reset();
                gone.store(true, kRelease);
              },
              [&] {
                if (gone.load(kAcquire)) *leaked = 2;
              }});
  });
  EXPECT_THAT(report.failure, HasSubstr("use of freed memory: a write by T2"));
}

TEST(ExplorerTest, FreeingWhatAnotherThreadMayStillReadIsARace) {
  const Report report = Explore([] {
    auto owned = std::make_unique<int>(1);
    int* const lent = owned.get();
    int got = 0;
    Parallel({[&] { owned.reset(); }, [&] { got = *lent; }});
  });
  EXPECT_THAT(report.failure, Not(IsEmpty()));
}

TEST(ExplorerTest, AnAtomicMustBeMadeBeforeItIsUsed) {
  const Report report = Explore([] {
    Atomic<Atomic<int>*> pointer = nullptr;
    std::unique_ptr<Atomic<int>> owned;
    Parallel({[&] {
                owned = std::make_unique<Atomic<int>>(1);
                pointer.store(owned.get(), kRelaxed);
              },
              [&] {
                if (Atomic<int>* seen = pointer.load(kRelaxed)) {
                  static_cast<void>(seen->load(kRelaxed));
                }
              }});
  });
  EXPECT_THAT(report.failure, HasSubstr("its construction does not happen before"));
}

TEST(ExplorerTest, AnAtomicMustNotBeUsedAfterItsEnd) {
  const Report report = Explore([] {
    auto owned = std::make_unique<Atomic<int>>(1);
    Atomic<int>* const lent = owned.get();
    Parallel({[&] { owned.reset(); }, [&] { lent->store(2, kRelaxed); }});
  });
  EXPECT_THAT(report.failure, Not(IsEmpty()));
}

// --- waiting ---

TEST(ExplorerTest, ADeadlockIsFoundAndSaysWhoWaitsWhere) {
  const Report report = Explore([] {
    SpinLock a, b;
    Parallel({[&] {
                const SpinLockHolder first(a);
                const SpinLockHolder second(b);
              },
              [&] {
                const SpinLockHolder first(b);
                const SpinLockHolder second(a);
              }});
  });
  EXPECT_THAT(report.failure, HasSubstr("deadlock"));
  EXPECT_THAT(report.failure, HasSubstr("T1 waits for a store that ends its spinning"));
}

TEST(ExplorerTest, AWakeUpLostBetweenCheckAndParkIsFound) {
  const auto program = [](bool checks_again) {
    return Explore([=] {
      Atomic<bool> work = false;
      Atomic<bool> sleeps = false;
      Event wake;
      Parallel({[&] {  // the consumer
                  if (work.load()) return;
                  sleeps.store(true);
                  if (checks_again && work.load()) return;
                  wake.Wait();
                },
                [&] {  // the producer
                  work.store(true);
                  if (sleeps.load()) wake.Set();
                }});
    });
  };
  EXPECT_TRUE(program(true).ok());
  EXPECT_THAT(program(false).failure, HasSubstr("a wake-up was lost: T0 waits"));
  EXPECT_THAT(program(false).failure, HasSubstr("T1 waits for an event"));
}

TEST(ExplorerTest, AnEventPassesOnWhatCameBefore) {
  const Report report = Explore([] {
    int data = 0;
    Event ready;
    Parallel({[&] {
                data = 1;
                ready.Set();
              },
              [&] {
                ready.Wait();
                Require(data == 1, "it was set after that");
              }});
  });
  EXPECT_TRUE(report.ok()) << report.ToString();
  EXPECT_TRUE(report.exhaustive);
}

TEST(ExplorerTest, ALoopThatSpinsSeesTheStoreInTheEnd) {
  const Report report = Explore([] {
    Atomic<int> flag = 0;
    Parallel({[&] {
                for (int round = 0; flag.load(kAcquire) == 0; ++round) internal::SpinWait(round);
              },
              [&] { flag.store(1, kRelease); }});
  });
  EXPECT_TRUE(report.ok()) << report.ToString();
}

TEST(ExplorerTest, AnExecutionThatDoesNotEndIsFound) {
  const Report report = Explore([] {
    Atomic<int> turns = 0;
    Parallel({[&] {
      while (turns.load(kRelaxed) >= 0) turns.fetch_add(1, kRelaxed);
    }});
  });
  EXPECT_THAT(report.failure, HasSubstr("an execution does not end"));
}

// --- the search ---

// Read-modify-writes read what is newest, so that only the order of execution can do this.
void FailWithThreePreemptions() {
  Atomic<int> x = 0;
  std::vector<int> one, two;
  Parallel({[&] {
              for (int i = 0; i < 3; ++i) one.push_back(x.fetch_add(1));
            },
            [&] {
              for (int i = 0; i < 2; ++i) two.push_back(x.fetch_add(1));
            }});
  Require(one != std::vector<int>({0, 2, 4}), "they took turns");
}

TEST(ExplorerTest, TheBoundOnPreemptionsIsABound) {
  EXPECT_TRUE(Explore({.preemptions = 2}, FailWithThreePreemptions).ok());
  EXPECT_FALSE(Explore({.preemptions = 2}, FailWithThreePreemptions).exhaustive);
  EXPECT_FALSE(Explore({.preemptions = 3}, FailWithThreePreemptions).ok());
}

TEST(ExplorerTest, ASearchThatGivesUpIsNotOk) {
  const Report report = Explore({.max_executions = 3}, AddUnderLock);
  EXPECT_THAT(report.failure, IsEmpty());
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(report.ToString(), HasSubstr("gave up"));
}

TEST(ExplorerTest, AFailureIsReplayedFromItsScheduleWithTheSameTrace) {
  const Report found = Explore(FailWithThreePreemptions);
  ASSERT_FALSE(found.ok());
  const Report again = Replay(found.schedule, FailWithThreePreemptions);
  EXPECT_EQ(again.failure, found.failure);
  EXPECT_EQ(again.trace, found.trace);
  EXPECT_THAT(again.trace, Not(IsEmpty()));
  EXPECT_THAT(found.ToString(), HasSubstr("Replay(\"" + found.schedule + "\")"));
  EXPECT_THAT(found.ToString(), HasSubstr("T1 a0.modify(seq_cst) 0 -> 1  in "));
}

// --- mutants ---

TEST(ExplorerTest, WeakeningAnOrderOfTheSpinLockIsNoticed) {
  const Mutants mutants = ExploreMutants("core/spin_lock", {{"AddUnderLock", AddUnderLock}});
  EXPECT_THAT(mutants.survivors(), IsEmpty()) << mutants.ToString();
  std::vector<std::string> names;
  for (const Mutant& mutant : mutants.all) names.push_back(mutant.name);
  EXPECT_THAT(names, ElementsAre("SpinLock::lock modify: acquire -> relaxed",
                                 "SpinLock::unlock store: release -> relaxed",
                                 "SpinLock::LockSlow modify: acquire -> relaxed"));
  EXPECT_THAT(mutants.all[0].killer, HasSubstr("AddUnderLock, data race"));
}

TEST(ExplorerTest, AnOrderThatIsStrongerThanNeededSurvives) {
  const Mutants mutants =
      ExploreMutants("explorer_test", {{"count", [] {
                                          Atomic<int> count = 0;
                                          const auto add = [&] { count.fetch_add(1, kRelease); };
                                          Parallel({add, add});
                                          Require(count.load(kRelaxed) == 2, "none is lost");
                                        }}});
  EXPECT_EQ(mutants.survivors().size(), 1u) << mutants.ToString();
}

TEST(ExplorerTest, RemovingAFenceIsNoticed) {
  const Mutants mutants =
      ExploreMutants("explorer_test", {{"store buffering", [] {
                                          Atomic<int> x = 0, y = 0;
                                          int a = -1, b = -1;
                                          Parallel({[&] {
                                                      x.store(1, kRelaxed);
                                                      internal::explored::Fence(internal::kSeqCst);
                                                      a = y.load(kRelaxed);
                                                    },
                                                    [&] {
                                                      y.store(1, kRelaxed);
                                                      internal::explored::Fence(internal::kSeqCst);
                                                      b = x.load(kRelaxed);
                                                    }});
                                          Require(a + b > 0, "one sees the other");
                                        }}});
  EXPECT_THAT(mutants.survivors(), IsEmpty()) << mutants.ToString();
  EXPECT_EQ(mutants.all.size(), 2u);
}

}  // namespace
}  // namespace plait::explorer
