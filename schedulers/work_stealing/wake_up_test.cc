// Wake-ups of a whole WorkStealingPool: posts from outside while workers search and park. The
// protocol alone is explored in idle_set_explored_test; this is all of it together.
//
// Traps: the wake-up lost between check and park, which is a hang here. In each test nobody but the
// worker that a post wakes could run what it posts.
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/until.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;
using internal::SpinWait;

// Workers are met where they search, where they are about to park, and where they sleep.
void Pause(int round) {
  for (int i = round % 64; i > 0; --i) SpinWait(0);
}

// Counts how often it was run.
struct Counted : WorkItem {
  Counted() : WorkItem(&Run) {}
  static void Run(WorkItem& item) noexcept {
    static_cast<Counted&>(item).runs.fetch_add(1, kRelease);
  }
  Atomic<int> runs{0};
};

TEST(WakeUpTest, NoPostFromOutsideIsMissedByWorkersThatPark) {
  const int rounds = Repeats(100'000);
  WorkStealingPool pool({.threads = 2});
  Counted item;
  for (int round = 0; round < rounds; ++round) {
    pool.Schedule(item);
    Until([&] { return item.runs.load(kAcquire) == round + 1; });
    Pause(round);
  }
  EXPECT_EQ(item.runs.load(kRelaxed), rounds);
}

// Holds its worker until the other has begun: each must have a worker of its own.
struct Meeting : WorkItem {
  Meeting() : WorkItem(&Run) {}
  static void Run(WorkItem& item) noexcept {
    auto& self = static_cast<Meeting&>(item);
    const int round = self.runs.load(kRelaxed) + 1;
    self.begun.store(round, kRelease);
    Until([&] { return self.other->begun.load(kAcquire) >= round; });
    self.runs.store(round, kRelease);
  }
  Meeting* other = nullptr;
  Atomic<int> begun{0};
  Atomic<int> runs{0};
};

TEST(WakeUpTest, OfTwoPostsAtOnceEachGetsAWorker) {
  const int rounds = Repeats(5'000);
  WorkStealingPool pool({.threads = 2});
  Meeting one, two;
  one.other = &two;
  two.other = &one;
  for (int round = 0; round < rounds; ++round) {
    pool.Schedule(one);
    pool.Schedule(two);
    Until([&] { return one.runs.load(kAcquire) > round && two.runs.load(kAcquire) > round; });
    Pause(round);
  }
  EXPECT_EQ(one.runs.load(kRelaxed) + two.runs.load(kRelaxed), 2 * rounds);
}

// The same, posted by one of the pool's own items to the deque of a worker that is busy then.
TEST(WakeUpTest, WhatAWorkerPutsIntoItsDequeWakesAnother) {
  const int rounds = Repeats(20'000);
  struct Poster : WorkItem {
    Poster() : WorkItem(&Run) {}
    static void Run(WorkItem& item) noexcept {
      auto& self = static_cast<Poster&>(item);
      self.pool->ScheduleLast(*self.first);
      self.pool->ScheduleLast(*self.second);
    }
    WorkStealingPool* pool = nullptr;
    WorkItem* first = nullptr;
    WorkItem* second = nullptr;
  };
  WorkStealingPool pool({.threads = 2});
  Meeting one, two;
  one.other = &two;
  two.other = &one;
  Poster poster;
  poster.pool = &pool;
  poster.first = &one;
  poster.second = &two;
  for (int round = 0; round < rounds; ++round) {
    pool.Schedule(poster);
    Until([&] { return one.runs.load(kAcquire) > round && two.runs.load(kAcquire) > round; });
    Pause(round);
  }
  EXPECT_EQ(one.runs.load(kRelaxed) + two.runs.load(kRelaxed), 2 * rounds);
}

TEST(WakeUpTest, PostsOfSeveralThreadsAreAllRunWhileWorkersPark) {
  const int rounds = Repeats(10'000);
  WorkStealingPool pool({.threads = 4});
  const auto post = [&pool, rounds] {
    Counted item;
    for (int round = 0; round < rounds; ++round) {
      pool.Schedule(item);
      Until([&] { return item.runs.load(kAcquire) == round + 1; });
      Pause(round);
    }
  };
  Thread other = StartThread("poster", post);
  post();
  other.join();
}

}  // namespace
}  // namespace plait
