// Mutex and Semaphore under the explorer: their handshakes between those who wait, those who wake
// them, and cancels.
//
// Traps: the wake-up lost between check and park, which is a deadlock here; cancel racing
// completion.
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/sync/semaphore.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/testing/explorer/await.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait {
namespace {

using explorer::Await;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;
using explorer::Shorter;

// --- Mutex ---

void ThreeLock() {
  Mutex mutex;
  int shared = 0;
  const auto add = [&] {
    const MutexGuard guard = Await(mutex.Lock());
    Require(guard.ok(), "nobody cancels it");
    ++shared;
  };
  Parallel({add, add, add});
  Require(shared == 3, "one at a time");
  Require(!mutex.locked(), "it is free in the end");
}

void ALockIsCancelled() {
  Mutex mutex;
  internal::StopState stop;
  int shared = 0;
  Parallel({[&] {
              const MutexGuard guard = Await(mutex.Lock());
              ++shared;
            },
            [&] {
              const MutexGuard guard = Await(mutex.Lock(), &stop);
              if (guard.ok()) ++shared;
            },
            [&] { stop.RequestStop(); }});
  Require(shared >= 1, "who was not cancelled had it");
  Require(!mutex.locked(), "it is free in the end");
}

// What guards it belongs to the one that locks it often by then, or not yet.
void ItIsTakenAwayFromItsOwner() {
  Mutex mutex;
  int shared = 0;
  const auto add = [&] {
    const MutexGuard guard = Await(mutex.Lock());
    ++shared;
  };
  Parallel({[&] {
              for (int i = 0; i < 3; ++i) add();
            },
            add});
  Require(shared == 4, "one at a time");
  Require(!mutex.locked(), "it is free in the end");
}

std::vector<Scenario> MutexScenarios() {
  return {{"three lock", ThreeLock},
          {"a lock is cancelled", ALockIsCancelled},
          {"it is taken away from its owner", ItIsTakenAwayFromItsOwner}};
}

TEST(MutexExploredTest, OneAtATimeAndNoWakeUpIsLost) { ExpectAllExecutionsPass(MutexScenarios()); }

// --- Semaphore ---

void ThreeAcquire() {
  Semaphore semaphore(1);
  int shared = 0;
  const auto add = [&] {
    const SemaphoreGuard guard = Await(semaphore.Acquire());
    ++shared;
  };
  Parallel({add, add, add});
  Require(shared == 3, "one at a time");
  Require(semaphore.available() == 1, "the permit is back");
}

void AnAcquireIsCancelled() {
  Semaphore semaphore(1);
  internal::StopState stop;
  int shared = 0;
  Parallel({[&] {
              const SemaphoreGuard guard = Await(semaphore.Acquire());
              ++shared;
            },
            [&] {
              const SemaphoreGuard guard = Await(semaphore.Acquire(), &stop);
              if (guard.ok()) ++shared;
            },
            [&] { stop.RequestStop(); }});
  Require(shared >= 1, "who was not cancelled had it");
  Require(semaphore.available() == 1, "the permit is back");
}

// What came with either permit is visible to who gets both.
void TwoReleasesForOneAcquire() {
  Semaphore semaphore(0);
  int one = 0, two = 0;
  Parallel({[&] {
              const SemaphoreGuard guard = Await(semaphore.Acquire(2));
              Require(one + two == 2, "both are visible");
            },
            [&] {
              one = 1;
              semaphore.Release(1);
            },
            [&] {
              two = 1;
              semaphore.Release(1);
            }});
}

void OneReleaseForTwoAcquires() {
  Semaphore semaphore(0);
  int written = 0;
  const auto acquire = [&] {
    SemaphoreGuard guard = Await(semaphore.Acquire(1));
    Require(written == 1, "it is visible");
  };
  Parallel({acquire, acquire, [&] {
              written = 1;
              semaphore.Release(2);
            }});
}

// One of the two may have seen that somebody waits, who was served meanwhile.
void TwoReleasesForOneAfterTheOther() {
  Semaphore semaphore(0);
  int one = 0, two = 0;
  Parallel({[&] {
              const SemaphoreGuard first = Await(semaphore.Acquire());
              const SemaphoreGuard second = Await(semaphore.Acquire());
              Require(one + two == 2, "both are visible");
            },
            [&] {
              one = 1;
              semaphore.Release(1);
            },
            [&] {
              two = 1;
              semaphore.Release(1);
            }});
}

// The cancel serves one with a permit that was there before, and had not been enough.
void ACancelServesTheNext() {
  Semaphore semaphore(0);
  internal::StopState stop;
  int written = 0;
  Parallel({[&] {
              written = 1;
              semaphore.Release(1);
              stop.RequestStop();
            },
            [&] {
              const SemaphoreGuard guard = Await(semaphore.Acquire(2), &stop);
              Require(!guard.ok(), "there are not so many");
            },
            [&] {
              const SemaphoreGuard guard = Await(semaphore.Acquire(1));
              Require(written == 1, "it is visible");
            }});
}

std::vector<Scenario> SemaphoreScenarios() {
  return {{"three acquire", ThreeAcquire},
          {"one release for two acquires", OneReleaseForTwoAcquires},
          {"two releases for one acquire", TwoReleasesForOneAcquire},
          {"two releases, one after the other", TwoReleasesForOneAfterTheOther},
          {"an acquire is cancelled", AnAcquireIsCancelled},
          {"a cancel serves the next", ACancelServesTheNext, {.preemptions = 2}}};
}

TEST(SemaphoreExploredTest, NoPermitAndNoWakeUpIsLost) {
  ExpectAllExecutionsPass(SemaphoreScenarios());
}

TEST(SemaphoreExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/sync/semaphore", Shorter(SemaphoreScenarios(), 1), 5);
}

}  // namespace
}  // namespace plait
