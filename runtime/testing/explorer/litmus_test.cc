// The memory model, by the small programs that the literature knows it by. Each outcome that C++20
// allows must be found, and none that it forbids.
#include <functional>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/explored_atomic.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::explorer {
namespace {

using internal::Atomic;
using internal::kAcqRel;
using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;
using internal::kSeqCst;
using internal::MemoryOrder;
using internal::explored::Fence;
using internal::explored::HeavyBarrier;
using internal::explored::LightBarrier;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

using Outcome = std::vector<int>;

// What `program` can give, whatever the number of preemptions.
std::set<Outcome> Outcomes(const std::function<Outcome()>& program) {
  std::set<Outcome> outcomes;
  const Report report = Explore({.preemptions = 100}, [&] { outcomes.insert(program()); });
  EXPECT_TRUE(report.ok()) << report.ToString();
  EXPECT_TRUE(report.exhaustive);
  EXPECT_GT(report.executions, 1);
  return outcomes;
}

// --- store buffering: may each thread miss the other's store? ---

Outcome StoreBuffering(MemoryOrder store, MemoryOrder load, MemoryOrder fence = kRelaxed) {
  Atomic<int> x = 0, y = 0;
  int a = -1, b = -1;
  Parallel({[&] {
              x.store(1, store);
              if (fence != kRelaxed) Fence(fence);
              a = y.load(load);
            },
            [&] {
              y.store(1, store);
              if (fence != kRelaxed) Fence(fence);
              b = x.load(load);
            }});
  return {a, b};
}

TEST(StoreBufferingTest, BothMayMissTheOthersStoreBelowSequentialConsistency) {
  const auto all = UnorderedElementsAre(Outcome{0, 0}, Outcome{0, 1}, Outcome{1, 0}, Outcome{1, 1});
  EXPECT_THAT(Outcomes([] { return StoreBuffering(kRelaxed, kRelaxed); }), all);
  EXPECT_THAT(Outcomes([] { return StoreBuffering(kRelease, kAcquire); }), all);
  EXPECT_THAT(Outcomes([] { return StoreBuffering(kSeqCst, kAcquire); }), all);
  EXPECT_THAT(Outcomes([] { return StoreBuffering(kRelease, kSeqCst); }), all);
  EXPECT_THAT(Outcomes([] { return StoreBuffering(kRelaxed, kRelaxed, kAcqRel); }), all);
}

TEST(StoreBufferingTest, OneSeesTheOthersStoreUnderSequentialConsistency) {
  const auto some = UnorderedElementsAre(Outcome{0, 1}, Outcome{1, 0}, Outcome{1, 1});
  EXPECT_THAT(Outcomes([] { return StoreBuffering(kSeqCst, kSeqCst); }), some);
  EXPECT_THAT(Outcomes([] { return StoreBuffering(kRelaxed, kRelaxed, kSeqCst); }), some);
}

enum class Barrier { kNone, kLight, kHeavy };

void Do(Barrier barrier) {
  if (barrier == Barrier::kLight) LightBarrier();
  if (barrier == Barrier::kHeavy) HeavyBarrier();
}

TEST(StoreBufferingTest, AHeavyBarrierOrdersItsThreadWithThoseThatHaveALightOne) {
  const auto program = [](Barrier first, Barrier second) {
    return Outcomes([first, second]() -> Outcome {
      Atomic<int> x = 0, y = 0;
      int a = -1, b = -1;
      Parallel({[&] {
                  x.store(1, kRelaxed);
                  Do(first);
                  a = y.load(kRelaxed);
                },
                [&] {
                  y.store(1, kRelaxed);
                  Do(second);
                  b = x.load(kRelaxed);
                }});
      return {a, b};
    });
  };
  const auto some = UnorderedElementsAre(Outcome{0, 1}, Outcome{1, 0}, Outcome{1, 1});
  EXPECT_THAT(program(Barrier::kLight, Barrier::kHeavy), some);
  EXPECT_THAT(program(Barrier::kHeavy, Barrier::kLight), some);
  EXPECT_THAT(program(Barrier::kHeavy, Barrier::kHeavy), some);
  // Without the light one the compiler may do the load first.
  EXPECT_THAT(program(Barrier::kNone, Barrier::kHeavy), Contains(Outcome{0, 0}));
  EXPECT_THAT(program(Barrier::kLight, Barrier::kNone), Contains(Outcome{0, 0}));
  EXPECT_THAT(program(Barrier::kLight, Barrier::kLight), Contains(Outcome{0, 0}));
}

TEST(StoreBufferingTest, AHeavyBarrierOrdersWhatIsBeforeTheLastLightOneAndAfterTheNext) {
  // The light barriers are not between the accesses that are to be ordered.
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0, y = 0;
                int a = -1, b = -1;
                Parallel({[&] {
                            LightBarrier();
                            x.store(1, kRelaxed);
                            a = y.load(kRelaxed);
                            LightBarrier();
                          },
                          [&] {
                            y.store(1, kRelaxed);
                            HeavyBarrier();
                            b = x.load(kRelaxed);
                          }});
                return {a, b};
              }),
              Contains(Outcome{0, 0}));
}

TEST(MessagePassingTest, AHeavyBarrierOrdersWhatOthersReadToo) {
  const auto program = [](Barrier reader) {
    return Outcomes([reader]() -> Outcome {
      Atomic<int> x = 0, y = 0;
      int a = -1, b = -1;
      Parallel({[&] {
                  x.store(1, kRelaxed);
                  HeavyBarrier();
                  y.store(1, kRelaxed);
                },
                [&] {
                  a = y.load(kRelaxed);
                  Do(reader);
                  b = x.load(kRelaxed);
                }});
      return {a, b};
    });
  };
  EXPECT_THAT(program(Barrier::kLight),
              UnorderedElementsAre(Outcome{0, 0}, Outcome{0, 1}, Outcome{1, 1}));
  EXPECT_THAT(program(Barrier::kNone), Contains(Outcome{1, 0}));
}

TEST(StoreBufferingTest, AFenceOnOneSideOrdersItWithSequentiallyConsistentAccessesOfTheOther) {
  const auto program = [](MemoryOrder order) {
    return [order]() -> Outcome {
      Atomic<int> x = 0, y = 0;
      int a = -1, b = -1;
      Parallel({[&] {
                  x.store(1, kRelaxed);
                  Fence(kSeqCst);
                  a = y.load(kRelaxed);
                },
                [&] {
                  y.store(1, order);
                  b = x.load(order);
                }});
      return {a, b};
    };
  };
  EXPECT_THAT(Outcomes(program(kSeqCst)), Not(Contains(Outcome{0, 0})));
  EXPECT_THAT(Outcomes(program(kRelaxed)), Contains(Outcome{0, 0}));
}

// --- message passing: is what came before the flag visible to who sees it? ---

Outcome MessagePassing(MemoryOrder store, MemoryOrder load, MemoryOrder store_fence = kRelaxed,
                       MemoryOrder load_fence = kRelaxed) {
  Atomic<int> data = 0, flag = 0;
  int seen = -1, got = -1;
  Parallel({[&] {
              data.store(1, kRelaxed);
              if (store_fence != kRelaxed) Fence(store_fence);
              flag.store(1, store);
            },
            [&] {
              seen = flag.load(load);
              if (load_fence != kRelaxed) Fence(load_fence);
              got = data.load(kRelaxed);
            }});
  return {seen, got};
}

TEST(MessagePassingTest, TheDataMayBeMissingUnlessTheFlagIsReleasedAndAcquired) {
  EXPECT_THAT(Outcomes([] { return MessagePassing(kRelaxed, kRelaxed); }), Contains(Outcome{1, 0}));
  EXPECT_THAT(Outcomes([] { return MessagePassing(kRelease, kRelaxed); }), Contains(Outcome{1, 0}));
  EXPECT_THAT(Outcomes([] { return MessagePassing(kRelaxed, kAcquire); }), Contains(Outcome{1, 0}));
  const auto ordered = UnorderedElementsAre(Outcome{0, 0}, Outcome{0, 1}, Outcome{1, 1});
  EXPECT_THAT(Outcomes([] { return MessagePassing(kRelease, kAcquire); }), ordered);
  EXPECT_THAT(Outcomes([] { return MessagePassing(kSeqCst, kSeqCst); }), ordered);
}

TEST(MessagePassingTest, FencesOrderRelaxedAccesses) {
  const auto with = [](MemoryOrder store_fence, MemoryOrder load_fence) {
    return Outcomes([=] { return MessagePassing(kRelaxed, kRelaxed, store_fence, load_fence); });
  };
  EXPECT_THAT(with(kRelease, kAcquire), Not(Contains(Outcome{1, 0})));
  EXPECT_THAT(with(kSeqCst, kSeqCst), Not(Contains(Outcome{1, 0})));
  EXPECT_THAT(with(kAcquire, kRelease), Contains(Outcome{1, 0}));
  EXPECT_THAT(with(kRelease, kRelaxed), Contains(Outcome{1, 0}));
  EXPECT_THAT(with(kRelaxed, kAcquire), Contains(Outcome{1, 0}));
}

// The flag goes from 1 to 2 by `advance` before it is seen.
Outcome ReleaseSequence(bool same_thread, bool modify) {
  Atomic<int> data = 0, flag = 0;
  int seen = -1, got = -1;
  const auto advance = [&] {
    if (modify) {
      int one = 1;
      flag.compare_exchange_strong(one, 2, kRelaxed, kRelaxed);
    } else if (flag.load(kRelaxed) == 1) {
      flag.store(2, kRelaxed);
    }
  };
  Parallel({[&] {
              data.store(1, kRelaxed);
              flag.store(1, kRelease);
              if (same_thread) advance();
            },
            [&] {
              if (!same_thread) advance();
            },
            [&] {
              seen = flag.load(kAcquire);
              got = data.load(kRelaxed);
            }});
  return {seen, got};
}

TEST(ReleaseSequenceTest, ReadModifyWritesOfAnyThreadPassItOnAndStoresEndIt) {
  for (const bool same_thread : {true, false}) {
    EXPECT_THAT(Outcomes([=] { return ReleaseSequence(same_thread, /*modify=*/true); }),
                AllOf(Contains(Outcome{2, 1}), Not(Contains(Outcome{2, 0}))));
    EXPECT_THAT(Outcomes([=] { return ReleaseSequence(same_thread, /*modify=*/false); }),
                AllOf(Contains(Outcome{2, 1}), Contains(Outcome{2, 0})));
  }
}

// --- causality through a third thread ---

TEST(CausalityTest, WhatOneThreadSawIsVisibleToWhoSawThatItSawIt) {
  const auto program = [](MemoryOrder release, MemoryOrder acquire) {
    return [=]() -> Outcome {
      Atomic<int> x = 0, y = 0;
      int a = -1, b = -1, c = -1;
      Parallel({[&] { x.store(1, kRelaxed); },
                [&] {
                  a = x.load(kRelaxed);
                  y.store(1, release);
                },
                [&] {
                  b = y.load(acquire);
                  c = x.load(kRelaxed);
                }});
      return {a, b, c};
    };
  };
  EXPECT_THAT(Outcomes(program(kRelease, kAcquire)), Not(Contains(Outcome{1, 1, 0})));
  EXPECT_THAT(Outcomes(program(kRelaxed, kRelaxed)), Contains(Outcome{1, 1, 0}));
}

// --- independent reads of independent writes: do all see the stores in one order? ---

Outcome IndependentReads(MemoryOrder store, MemoryOrder load, MemoryOrder fence = kRelaxed) {
  Atomic<int> x = 0, y = 0;
  int a = -1, b = -1, c = -1, d = -1;
  const auto read = [&](const Atomic<int>& first, int& one, const Atomic<int>& second, int& other) {
    one = first.load(load);
    if (fence != kRelaxed) Fence(fence);
    other = second.load(load);
  };
  Parallel({[&] { x.store(1, store); }, [&] { y.store(1, store); }, [&] { read(x, a, y, b); },
            [&] { read(y, c, x, d); }});
  return {a, b, c, d};
}

TEST(IndependentReadsTest, OnlySequentialConsistencyMakesAllSeeOneOrder) {
  const Outcome disagree = {1, 0, 1, 0};
  EXPECT_THAT(Outcomes([] { return IndependentReads(kRelease, kAcquire); }), Contains(disagree));
  EXPECT_THAT(Outcomes([] { return IndependentReads(kSeqCst, kAcquire); }), Contains(disagree));
  EXPECT_THAT(Outcomes([] { return IndependentReads(kSeqCst, kSeqCst); }), Not(Contains(disagree)));
  // The loads are enough: each reads before a store that the next one reads.
  EXPECT_THAT(Outcomes([] { return IndependentReads(kRelaxed, kSeqCst); }),
              Not(Contains(disagree)));
  EXPECT_THAT(Outcomes([] { return IndependentReads(kRelaxed, kRelaxed, kSeqCst); }),
              Not(Contains(disagree)));
  EXPECT_THAT(Outcomes([] { return IndependentReads(kRelaxed, kRelaxed, kAcqRel); }),
              Contains(disagree));
}

// --- the order S need not be the order of execution ---

// On some machines a relaxed store overtakes a sequentially consistent one before it.
TEST(SequentialConsistencyTest, ItDoesNotOrderRelaxedAccessesAround) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0, y = 0;
                int a = -1, b = -1;
                Parallel({[&] {
                            x.store(1, kSeqCst);
                            y.store(1, kRelaxed);
                          },
                          [&] {
                            a = y.load(kRelaxed);
                            b = x.load(kSeqCst);
                          }});
                return {a, b};
              }),
              Contains(Outcome{1, 0}));
}

// C++11 forbade it, C++20 does not, as it costs a fence on Power (P0668): x's store happens before
// the addition, but not strongly.
TEST(SequentialConsistencyTest, MereHappensBeforeDoesNotOrderIt) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0, y = 0;
                int a = -1, b = -1, c = -1;
                Parallel({[&] {
                            x.store(1, kSeqCst);
                            y.store(1, kRelease);
                          },
                          [&] {
                            a = y.fetch_add(1, kSeqCst);
                            b = y.load(kRelaxed);
                          },
                          [&] {
                            y.store(3, kSeqCst);
                            c = x.load(kSeqCst);
                          }});
                return {a, b, c};
              }),
              Contains(Outcome{1, 3, 0}));
}

// "R": a store after a store, and a load after a store.
TEST(SequentialConsistencyTest, ItAgreesWithTheModificationOrder) {
  const auto program = [](MemoryOrder store, MemoryOrder load) {
    return [=]() -> Outcome {
      Atomic<int> x = 0, y = 0;
      int a = -1;
      Parallel({[&] {
                  x.store(1, store);
                  y.store(1, store);
                },
                [&] {
                  y.store(2, store);
                  a = x.load(load);
                }});
      return {y.load(kRelaxed), a};
    };
  };
  EXPECT_THAT(Outcomes(program(kSeqCst, kSeqCst)), Not(Contains(Outcome{2, 0})));
  EXPECT_THAT(Outcomes(program(kRelease, kAcquire)), Contains(Outcome{2, 0}));
}

// "2+2W": the modification orders of two locations.
TEST(ModificationOrderTest, TwoOfThemMayDisagreeUnlessSequentiallyConsistent) {
  const auto program = [](MemoryOrder order) {
    return [=]() -> Outcome {
      Atomic<int> x = 0, y = 0;
      Parallel({[&] {
                  x.store(1, order);
                  y.store(2, order);
                },
                [&] {
                  y.store(1, order);
                  x.store(2, order);
                }});
      return {x.load(kRelaxed), y.load(kRelaxed)};
    };
  };
  const Outcome first_stores_last = {1, 1};
  EXPECT_THAT(Outcomes(program(kRelaxed)), Contains(first_stores_last));
  EXPECT_THAT(Outcomes(program(kRelease)), Contains(first_stores_last));
  EXPECT_THAT(Outcomes(program(kSeqCst)), Not(Contains(first_stores_last)));
}

// --- coherence: one location, relaxed ---

TEST(CoherenceTest, LoadsDoNotGoBack) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0;
                int a = -1, b = -1;
                Parallel({[&] {
                            x.store(1, kRelaxed);
                            x.store(2, kRelaxed);
                          },
                          [&] {
                            a = x.load(kRelaxed);
                            b = x.load(kRelaxed);
                          }});
                return {a, b};
              }),
              UnorderedElementsAre(Outcome{0, 0}, Outcome{0, 1}, Outcome{0, 2}, Outcome{1, 1},
                                   Outcome{1, 2}, Outcome{2, 2}));
}

TEST(CoherenceTest, AThreadSeesItsOwnStoreOrALaterOne) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0;
                int a = -1;
                Parallel({[&] { x.store(1, kRelaxed); },
                          [&] {
                            x.store(2, kRelaxed);
                            a = x.load(kRelaxed);
                          }});
                return {a, x.load(kRelaxed)};
              }),
              UnorderedElementsAre(Outcome{2, 2}, Outcome{2, 1}, Outcome{1, 1}));
}

TEST(CoherenceTest, AStoreGoesAfterWhatItsThreadHasSeen) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0;
                int a = -1;
                Parallel({[&] { x.store(1, kRelaxed); },
                          [&] {
                            a = x.load(kRelaxed);
                            x.store(2, kRelaxed);
                          }});
                return {a, x.load(kRelaxed)};
              }),
              UnorderedElementsAre(Outcome{0, 1}, Outcome{0, 2}, Outcome{1, 2}));
}

TEST(CoherenceTest, AllThreadsSeeTheStoresInOneOrder) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0;
                int a = -1, b = -1, c = -1, d = -1;
                Parallel({[&] { x.store(1, kRelaxed); }, [&] { x.store(2, kRelaxed); },
                          [&] {
                            a = x.load(kRelaxed);
                            b = x.load(kRelaxed);
                          },
                          [&] {
                            c = x.load(kRelaxed);
                            d = x.load(kRelaxed);
                          }});
                return {a, b, c, d};
              }),
              AllOf(Contains(Outcome{1, 2, 1, 2}), Contains(Outcome{2, 1, 2, 1}),
                    Not(Contains(Outcome{1, 2, 2, 1}))));
}

// --- read-modify-writes ---

TEST(ReadModifyWriteTest, NoneIsLost) {
  EXPECT_THAT(
      Outcomes([]() -> Outcome {
        Atomic<int> x = 0;
        int a = -1, b = -1;
        Parallel({[&] { a = x.fetch_add(1, kRelaxed); }, [&] { b = x.fetch_add(1, kRelaxed); }});
        return {a, b, x.load(kRelaxed)};
      }),
      UnorderedElementsAre(Outcome{0, 1, 2}, Outcome{1, 0, 2}));
}

TEST(ReadModifyWriteTest, NoStoreComesBetweenItsLoadAndItsStore) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0;
                int a = -1;
                Parallel({[&] { x.store(5, kRelaxed); }, [&] { a = x.fetch_add(1, kRelaxed); }});
                return {a, x.load(kRelaxed)};
              }),
              UnorderedElementsAre(Outcome{0, 1 + 4}, Outcome{5, 6}));
}

TEST(ReadModifyWriteTest, OneOfTwoCompareAndExchangesWins) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0;
                int won = 0;
                Atomic<int> winners = 0;
                const auto compete = [&] {
                  int expected = 0;
                  if (x.compare_exchange_strong(expected, 1, kRelaxed, kRelaxed)) {
                    winners.fetch_add(1, kRelaxed);
                  }
                };
                Parallel({compete, compete, compete});
                won = winners.load(kRelaxed);
                return {won};
              }),
              UnorderedElementsAre(Outcome{1}));
}

TEST(ReadModifyWriteTest, ACompareAndExchangeMayFailOnAnOldValue) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0, y = 0;
                int seen = -1, found = -1;
                Parallel({[&] {
                            x.store(1, kRelaxed);
                            y.store(1, kRelaxed);
                          },
                          [&] {
                            seen = y.load(kRelaxed);
                            found = 1;
                            x.compare_exchange_strong(found, 2, kRelaxed, kRelaxed);
                          }});
                return {seen, found};
              }),
              Contains(Outcome{1, 0}));
}

// --- what is left out ---

TEST(LoadBufferingTest, LoadsThatReadFromTheFutureAreNotExplored) {
  EXPECT_THAT(Outcomes([]() -> Outcome {
                Atomic<int> x = 0, y = 0;
                int a = -1, b = -1;
                Parallel({[&] {
                            a = x.load(kRelaxed);
                            y.store(1, kRelaxed);
                          },
                          [&] {
                            b = y.load(kRelaxed);
                            x.store(1, kRelaxed);
                          }});
                return {a, b};
              }),
              UnorderedElementsAre(Outcome{0, 0}, Outcome{0, 1}, Outcome{1, 0}));
}

// Whether a load could have read from the future.
bool FindsLoadBuffering(const std::function<void()>& program) {
  const Report report = Explore({.forbid_load_buffering = true}, program);
  EXPECT_TRUE(report.complete || !report.failure.empty()) << report.ToString();
  EXPECT_TRUE(Explore(program).ok()) << "nothing else is wrong with it";
  return report.failure.find("load buffering") != report.failure.npos;
}

// Each thread loads what the other stores behind its own load.
bool LoadBuffering(MemoryOrder load, MemoryOrder store, MemoryOrder other_load,
                   MemoryOrder other_store) {
  return FindsLoadBuffering([&] {
    Atomic<int> x = 0, y = 0;
    Parallel({[&] {
                static_cast<void>(x.load(load));
                y.store(1, store);
              },
              [&] {
                if (y.load(other_load) == 1) x.store(1, other_store);
              }});
  });
}

TEST(LoadBufferingTest, ThatALoadCouldReadFromTheFutureIsFoundUnlessBothSidesOfOneReadAreOrdered) {
  EXPECT_TRUE(LoadBuffering(kRelaxed, kRelaxed, kRelaxed, kRelaxed));
  EXPECT_TRUE(LoadBuffering(kRelaxed, kRelease, kRelaxed, kRelaxed));
  EXPECT_TRUE(LoadBuffering(kRelaxed, kRelaxed, kAcquire, kRelaxed));
  EXPECT_TRUE(LoadBuffering(kAcquire, kRelaxed, kRelaxed, kRelaxed));
  EXPECT_TRUE(LoadBuffering(kRelaxed, kRelaxed, kRelaxed, kRelease));
  EXPECT_TRUE(LoadBuffering(kAcquire, kRelease, kRelaxed, kRelaxed));
  // The load happens before the store.
  EXPECT_FALSE(LoadBuffering(kRelaxed, kRelease, kAcquire, kRelaxed));
  // Or the store would, before itself.
  EXPECT_FALSE(LoadBuffering(kAcquire, kRelaxed, kRelaxed, kRelease));
  EXPECT_FALSE(LoadBuffering(kSeqCst, kSeqCst, kSeqCst, kSeqCst));
}

TEST(LoadBufferingTest, AChainOfThreadsIsFollowed) {
  const auto program = [](MemoryOrder of_last) {
    return FindsLoadBuffering([of_last] {
      Atomic<int> x = 0, y = 0, z = 0;
      Parallel({[&] {
                  static_cast<void>(x.load(kRelaxed));
                  y.store(1, kRelease);
                },
                [&] {
                  if (y.load(kAcquire) == 1) z.fetch_add(1, kRelease);
                },
                [&] {
                  if (z.load(of_last) == 1) x.store(1, kRelaxed);
                }});
    });
  };
  EXPECT_TRUE(program(kRelaxed));
  EXPECT_FALSE(program(kAcquire));
}

TEST(LoadBufferingTest, WhatComesOfNoStoreBehindTheLoadCouldNotBeReadEarlier) {
  // The one thread does not look at what the other does.
  EXPECT_FALSE(FindsLoadBuffering([] {
    Atomic<int> x = 0, y = 0;
    Parallel({[&] {
                static_cast<void>(x.load(kRelaxed));
                y.store(1, kRelaxed);
              },
              [&] { x.store(1, kRelaxed); }});
  }));
  // The second load could not, and so neither could the first, which reads nothing newer.
  EXPECT_FALSE(FindsLoadBuffering([] {
    Atomic<int> x = 0, y = 0;
    Parallel({[&] {
                static_cast<void>(x.load(kRelaxed));
                static_cast<void>(x.load(kAcquire));
                y.store(1, kRelaxed);
              },
              [&] {
                if (y.load(kRelaxed) == 1) x.store(1, kRelease);
              }});
  }));
}

}  // namespace
}  // namespace plait::explorer
