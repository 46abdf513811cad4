#include "plait/runtime/testing/explorer/explorer.h"

#include <fstream>
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
using internal::kAcqRel;
using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;
using internal::kSeqCst;
using internal::SpinLock;
using internal::SpinLockHolder;
using internal::explored::Fence;
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
  EXPECT_GT(report.executions, 1);
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

// Of std::atomic's operations and plain ones on the same bytes by the same thread, each is kept in
// mind: the later does not hide the earlier.
TEST(ExplorerTest, AnAtomicAccessDoesNotHideAPlainOneBeforeIt) {
  const Report read = Explore([] {
    int word = 0;
    Parallel({[&] {
                static_cast<void>(*static_cast<volatile int*>(&word));
                __atomic_load_n(&word, __ATOMIC_RELAXED);
              },
              [&] { __atomic_store_n(&word, 1, __ATOMIC_RELAXED); }});
  });
  EXPECT_THAT(read.failure, HasSubstr("data race"));
  const Report written = Explore([] {
    int word = 0;
    Atomic<int> done = 0;
    Parallel({[&] { __atomic_store_n(&word, 1, __ATOMIC_RELAXED); },
              [&] {
                __atomic_store_n(&word, 2, __ATOMIC_RELAXED);
                done.store(1, kRelease);
              },
              [&] {
                if (done.load(kAcquire) == 1) word = 3;
              }});
  });
  EXPECT_THAT(written.failure, HasSubstr("data race"));
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
  EXPECT_THAT(report.failure, HasSubstr("T1 waits for a SpinLock in SpinLock::lock"));
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

TEST(ExplorerTest, TurnsThatLeadToTheSameAreExploredOnce) {
  const auto independent = [] {
    Atomic<int> x = 0, y = 0, z = 0;
    const auto add = [](Atomic<int>& each) {
      return [&each] {
        for (int i = 0; i < 4; ++i) each.fetch_add(1, kRelaxed);
      };
    };
    const auto one = add(x), two = add(y), three = add(z);
    Parallel({one, two, three});
    Require(x.load(kRelaxed) == 4, "none is lost");
  };
  const Report merged = Explore({.preemptions = 100}, independent);
  const Report apart = Explore({.preemptions = 100, .merge = false}, independent);
  EXPECT_TRUE(merged.ok() && apart.ok());
  EXPECT_TRUE(merged.exhaustive && apart.exhaustive);
  EXPECT_LT(50 * merged.executions, apart.executions)
      << merged.ToString() << "; " << apart.ToString();
}

// Two loads that must both give what is out of date.
void FailWithTwoStaleValues() {
  Atomic<int> x = 0, y = 0;
  Atomic<bool> stored = false;
  Parallel({[&] {
              x.store(1, kRelaxed);
              y.store(1, kRelaxed);
              stored.store(true, kRelaxed);
            },
            [&] {
              if (!stored.load(kRelaxed)) return;
              Require(x.load(kRelaxed) + y.load(kRelaxed) > 0, "one of them is new");
            }});
}

TEST(ExplorerTest, TheBoundOnStaleValuesIsABound) {
  for (bool merge : {true, false}) {
    const Report bounded = Explore({.stale_values = 1, .merge = merge}, FailWithTwoStaleValues);
    EXPECT_TRUE(bounded.ok()) << bounded.ToString();
    EXPECT_FALSE(bounded.exhaustive);
    const Options more = {.stale_values = 2, .merge = merge};
    const Report found = Explore(more, FailWithTwoStaleValues);
    EXPECT_THAT(found.failure, HasSubstr("one of them is new"));
    EXPECT_EQ(Replay(found.schedule, FailWithTwoStaleValues, more).failure, found.failure);
  }
}

// What comes of turns alone is found whatever that bound is.
TEST(ExplorerTest, TheBoundOnStaleValuesLeavesNoTurnsOut) {
  bool found = false;
  const auto old_and_new = [&found] {
    Atomic<int> x = 0, y = 0;
    int old_x = -1, new_y = -1;
    Parallel({[&] {
                old_x = x.load(kRelaxed);
                new_y = y.load(kRelaxed);
              },
              [&] {
                x.store(1, kRelaxed);
                y.store(1, kRelaxed);
              }});
    if (old_x == 0 && new_y == 1) found = true;
  };
  const Report report = Explore({.stale_values = 0}, old_and_new);
  EXPECT_TRUE(report.ok()) << report.ToString();
  EXPECT_TRUE(found);
}

thread_local int for_all_threads = 0;

TEST(ExplorerTest, ThreadLocalsAreNotWatched) {
  const Report report =
      Explore([] { Parallel({[] { ++for_all_threads; }, [] { ++for_all_threads; }}); });
  EXPECT_TRUE(report.ok()) << report.ToString();
}

TEST(ExplorerTest, WithFewerPreemptionsLeftAPointMayBeExploredAgainWithMore) {
  for (bool merge : {true, false}) {
    EXPECT_TRUE(Explore({.preemptions = 2, .merge = merge}, FailWithThreePreemptions).ok());
    EXPECT_FALSE(Explore({.preemptions = 3, .merge = merge}, FailWithThreePreemptions).ok());
  }
}

// Three threads under one lock: with the lock as one step, and step by step.
TEST(ExplorerTest, ASpinLockIsOneStepUnlessItIsWhatIsTested) {
  const auto program = [] {
    SpinLock lock;
    int shared = 0;
    const auto add = [&] {
      const SpinLockHolder hold(lock);
      ++shared;
    };
    Parallel({add, add, add});
    Require(shared == 3, "one at a time");
  };
  const Report whole = Explore({.preemptions = 100}, program);
  EXPECT_TRUE(whole.ok()) << whole.ToString();
  EXPECT_TRUE(whole.exhaustive);
  EXPECT_EQ(whole.executions, 6) << "the orders of three";
  const Report steps = Explore({.whole_spin_locks = false}, program);
  EXPECT_TRUE(steps.ok()) << steps.ToString();
  EXPECT_GT(steps.executions, 100);
}

TEST(ExplorerTest, TwoSpinLocksInTwoOrdersAreADeadlock) {
  const Report report = Explore([] {
    SpinLock one, two;
    const auto take = [](SpinLock& first, SpinLock& second) {
      return [&] {
        const SpinLockHolder hold(first);
        const SpinLockHolder hold_too(second);
      };
    };
    const auto this_way = take(one, two), that_way = take(two, one);
    Parallel({this_way, that_way});
  });
  EXPECT_THAT(report.failure, HasSubstr("waits for a SpinLock"));
}

// --- mutants ---

TEST(ExplorerTest, WeakeningAnOrderOfTheSpinLockIsNoticed) {
  const Mutants mutants = ExploreMutants(
      "core/spin_lock", {{"AddUnderLock", AddUnderLock, {.whole_spin_locks = false}}});
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
                                                      Fence(kSeqCst);
                                                      a = y.load(kRelaxed);
                                                    },
                                                    [&] {
                                                      y.store(1, kRelaxed);
                                                      Fence(kSeqCst);
                                                      b = x.load(kRelaxed);
                                                    }});
                                          Require(a + b > 0, "one sees the other");
                                        }}});
  EXPECT_THAT(mutants.survivors(), IsEmpty()) << mutants.ToString();
  EXPECT_EQ(mutants.all.size(), 2u);
}

// Or ExpectMutantsKilled would hold nothing against it.
TEST(ExplorerTest, ThePageOfMutantsIsThere) {
  EXPECT_TRUE(std::ifstream("runtime/testing/explorer/MUTANTS.md").is_open());
}

// It needs many more operations than can be kept in mind: that says nothing of the mutant.
TEST(ExplorerTest, AMutantWhoseSearchGivesUpIsNeitherKilledNorHarmless) {
  const Mutants mutants =
      ExploreMutants("explorer_test", {{"strong enough",
                                        [] {
                                          Atomic<int> flag = 0;
                                          Parallel({[&] { flag.store(1, kRelease); },
                                                    [&] {
                                                      if (flag.load(kAcquire) == 2) return;
                                                    }});
                                        }},
                                       {"too long once weakened", [] {
                                          Atomic<int> gate = 0, x = 0;
                                          Parallel({[&] {
                                                      x.store(1, kRelaxed);
                                                      gate.store(1, kRelease);
                                                    },
                                                    [&] {
                                                      if (gate.load(kAcquire) == 0) return;
                                                      if (x.load(kRelaxed) == 1) return;
                                                      for (int i = 0; i < 600; ++i) x.fetch_add(1);
                                                    }});
                                        }}});
  std::vector<std::string> undecided;
  for (const Mutant& mutant : mutants.all) {
    if (mutant.undecided) undecided.push_back(mutant.name);
    EXPECT_FALSE(mutant.killed && mutant.undecided);
  }
  EXPECT_EQ(undecided.size(), 2u) << mutants.ToString();
  EXPECT_THAT(mutants.survivors(), ::testing::IsSupersetOf(undecided));
  EXPECT_THAT(mutants.ToString(), HasSubstr("NOT DECIDED"));
}

TEST(LockedInstructionsTest, AreThoseThatWaitForTheProcessorsMemory) {
  const Report report = Explore([] {
    Atomic<int> x = 0;
    Require(LockedInstructions() == 0, "nothing was done yet");
    x.store(x.load(kSeqCst), kRelease);
    Fence(kAcqRel);
    Require(LockedInstructions() == 0, "plain loads and stores");
    x.fetch_add(1, kRelaxed);
    int expected = 7;
    Require(!x.compare_exchange_strong(expected, 8, kRelaxed, kRelaxed), "it is 1");
    x.store(2, kSeqCst);
    Fence(kSeqCst);
    Require(LockedInstructions() == 4, "each of these is one");
  });
  EXPECT_TRUE(report.ok()) << report.ToString();
}

}  // namespace
}  // namespace plait::explorer
