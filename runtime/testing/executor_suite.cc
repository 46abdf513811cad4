// The numbers in the tests' names are those of the list "What any event loop must get right".
#include "plait/runtime/testing/executor_suite.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/repeats.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcqRel;
using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;

// Counts down and then ends a Finish. Any thread.
class Countdown {
 public:
  explicit Countdown(int count) : left_(count) {}
  void Arrive() {
    if (left_.fetch_sub(1, kAcqRel) == 1) finish_.Set();
  }
  void Await(Executor& executor) { finish_.Await(executor); }

 private:
  Atomic<int> left_;
  Finish finish_;
};

// --- order ---

TEST_P(ExecutorSuite, Line9PostedWorkRunsInTheOrderOfPosting) {
  constexpr int kItems = 5000;  // more than any turn
  absl::Mutex mutex;
  std::vector<int> ran;
  Countdown all(kItems);
  std::vector<std::unique_ptr<FunctionItem>> items;
  for (int i = 0; i < kItems; ++i) {
    items.push_back(std::make_unique<FunctionItem>([&, i] {
      {
        absl::MutexLock hold(&mutex);
        ran.push_back(i);
      }
      all.Arrive();
    }));
    executor().Schedule(*items.back());
  }
  all.Await(executor());
  std::vector<int> expected(kItems);
  std::iota(expected.begin(), expected.end(), 0);
  if (!ordered()) std::sort(ran.begin(), ran.end());
  EXPECT_EQ(ran, expected);
}

TEST_P(ExecutorSuite, Line9WorkPostedByWorkRunsInTheOrderOfPosting) {
  constexpr int kItems = 3000;
  absl::Mutex mutex;
  std::vector<int> ran;
  Countdown all(kItems);
  std::vector<std::unique_ptr<FunctionItem>> items;
  for (int i = 0; i < kItems; ++i) {
    items.push_back(std::make_unique<FunctionItem>([&, i] {
      {
        absl::MutexLock hold(&mutex);
        ran.push_back(i);
      }
      all.Arrive();
    }));
  }
  FunctionItem poster([&] {
    for (const auto& item : items) executor().Schedule(*item);
  });
  executor().Schedule(poster);
  all.Await(executor());
  std::vector<int> expected(kItems);
  std::iota(expected.begin(), expected.end(), 0);
  if (!ordered()) std::sort(ran.begin(), ran.end());
  EXPECT_EQ(ran, expected);
}

TEST_P(ExecutorSuite, ScheduleNeverRunsTheItemInsideTheCall) {
  Finish finish;
  bool inside = false;
  bool ran_inside = true;
  absl::Mutex mutex;  // for pools, where the item may run on another thread meanwhile
  const void* thread_of_outer = nullptr;
  FunctionItem inner([&] {
    absl::MutexLock hold(&mutex);
    ran_inside = inside && thread_of_outer == &internal::thread_state;
  });
  FunctionItem last([&] { finish.Set(); });
  FunctionItem outer([&] {
    {
      absl::MutexLock hold(&mutex);
      inside = true;
      thread_of_outer = &internal::thread_state;
    }
    executor().Schedule(inner);
    {
      absl::MutexLock hold(&mutex);
      inside = false;
    }
    executor().Schedule(last);
  });
  executor().Schedule(outer);
  finish.Await(executor());
  // On a pool `inner` may still be about to run: the executor's end waits for it.
  ReplaceExecutor();
  EXPECT_FALSE(ran_inside);
}

TEST_P(ExecutorSuite, AnItemMayBeFreedByItsOwnRun) {
  Countdown all(100);
  struct SelfFreeing : WorkItem {
    explicit SelfFreeing(Countdown& countdown)
        : WorkItem([](WorkItem& item) noexcept {
            auto* self = static_cast<SelfFreeing*>(&item);
            Countdown& count = self->all;
            delete self;
            count.Arrive();
          }),
          all(countdown) {}
    Countdown& all;
  };
  for (int i = 0; i < 100; ++i) executor().Schedule(*new SelfFreeing(all));
  all.Await(executor());
}

TEST_P(ExecutorSuite, AnItemMayPostItselfAgain) {
  constexpr int kRuns = 10'000;
  struct Again : WorkItem {
    Again(Executor& on, Finish& end)
        : WorkItem([](WorkItem& item) noexcept {
            auto& self = static_cast<Again&>(item);
            if (++self.runs == kRuns) return self.finish.Set();
            self.executor.Schedule(item);
          }),
          executor(on),
          finish(end) {}
    Executor& executor;
    Finish& finish;
    int runs = 0;
  };
  Finish finish;
  Again again(executor(), finish);
  executor().Schedule(again);
  finish.Await(executor());
  EXPECT_EQ(again.runs, kRuns);
}

// --- fairness ---

TEST_P(ExecutorSuite, Line10WorkThatRepostsItselfDoesNotStarveOtherWork) {
  Finish finish;
  Atomic<bool> other_ran{false};
  struct Greedy : WorkItem {
    Greedy(Executor& on, Atomic<bool>& flag, Finish& end)
        : WorkItem([](WorkItem& item) noexcept {
            auto& self = static_cast<Greedy&>(item);
            if (self.other_ran.load(kRelaxed)) return self.finish.Set();
            self.executor.Schedule(item);
          }),
          executor(on),
          other_ran(flag),
          finish(end) {}
    Executor& executor;
    Atomic<bool>& other_ran;
    Finish& finish;
  };
  Greedy greedy(executor(), other_ran, finish);
  FunctionItem other([&] { other_ran.store(true, kRelaxed); });
  executor().Schedule(greedy);
  executor().Schedule(other);
  finish.Await(executor());  // or never
  EXPECT_TRUE(other_ran.load(kRelaxed));
}

TEST_P(ExecutorSuite, Line10WorkThatRepostsItselfDoesNotStarveAnotherThreadsPost) {
  Finish finish;
  Atomic<bool> other_ran{false};
  absl::Notification spinning;
  FunctionItem other([&] { other_ran.store(true, kRelease); });
  struct Greedy : WorkItem {
    Greedy(Executor& on, Atomic<bool>& flag, absl::Notification& begun, Finish& end)
        : WorkItem([](WorkItem& item) noexcept {
            auto& self = static_cast<Greedy&>(item);
            if (self.runs++ == 0) self.spinning.Notify();
            if (self.other_ran.load(kAcquire)) return self.finish.Set();
            self.executor.Schedule(item);
          }),
          executor(on),
          other_ran(flag),
          spinning(begun),
          finish(end) {}
    Executor& executor;
    Atomic<bool>& other_ran;
    absl::Notification& spinning;
    Finish& finish;
    int runs = 0;
  };
  Greedy greedy(executor(), other_ran, spinning, finish);
  executor().Schedule(greedy);
  Thread poster = StartThread("poster", [&] {
    spinning.WaitForNotification();
    executor().Schedule(other);
  });
  finish.Await(executor());
  poster.join();
  EXPECT_TRUE(other_ran.load(kRelaxed));
}

// --- threads ---

// Trap: the wake-up that falls between the executor's last look at its queue and its going to
// sleep. Each round finds the executor about to sleep or asleep, as nothing else is there to do.
TEST_P(ExecutorSuite, Line11APostFromAnotherThreadWakesASleepingExecutor) {
  const int rounds = Repeats(5000);
  RunningExecutor running(MakeExecutor());
  int runs = 0;
  for (int i = 0; i < rounds; ++i) {
    absl::Notification ran;
    FunctionItem item([&] {
      ++runs;
      ran.Notify();
    });
    running.executor().Schedule(item);
    ran.WaitForNotification();
  }
  EXPECT_EQ(runs, rounds);
}

TEST_P(ExecutorSuite, Line12NoPostFromManyThreadsIsLostThoughWakesMayCoalesce) {
  constexpr int kThreads = 4;
  const int items_each = Repeats(5000);
  Countdown all(kThreads * items_each);
  std::vector<std::vector<int>> ran(kThreads);
  absl::Mutex mutex;
  std::vector<std::vector<std::unique_ptr<FunctionItem>>> items(kThreads);
  std::vector<Thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < items_each; ++i) {
      items[t].push_back(std::make_unique<FunctionItem>([&, t, i] {
        {
          absl::MutexLock hold(&mutex);
          ran[t].push_back(i);
        }
        all.Arrive();
      }));
    }
  }
  for (int t = 0; t < kThreads; ++t) {
    threads.push_back(StartThread("poster", [&, t] {
      for (const auto& item : items[t]) executor().Schedule(*item);
    }));
  }
  all.Await(executor());
  for (Thread& thread : threads) thread.join();
  std::vector<int> expected(static_cast<size_t>(items_each));
  std::iota(expected.begin(), expected.end(), 0);
  for (int t = 0; t < kThreads; ++t) {
    if (!ordered()) std::sort(ran[t].begin(), ran[t].end());
    EXPECT_EQ(ran[t], expected) << "posted by thread " << t;  // each thread's in its order
  }
}

// Trap: completion racing the end. The poster may still be inside Schedule, about to wake the
// executor, when the item has run and the executor is destroyed.
TEST_P(ExecutorSuite, AnExecutorMayBeDestroyedAsSoonAsTheLastPostHasRun) {
  for (int i = 0; i < Repeats(300); ++i) {
    std::unique_ptr<Executor> mortal = MakeExecutor();
    Finish finish;
    FunctionItem item([&] { finish.Set(); });
    Thread poster = StartThread("poster", [&] { mortal->Schedule(item); });
    finish.Await(*mortal);
    mortal = nullptr;
    poster.join();
  }
}

Task<int> Number(int n) { co_return n; }

Task<int> TakeFrom(Future<int> future) {
  const absl::StatusOr<int> value = co_await future;
  co_return value.ok() ? *value : -1;
}

TEST_P(ExecutorSuite, TasksMayBeSpawnedFromAnyThread) {
  constexpr int kThreads = 4;
  const int tasks = Repeats(500);
  std::vector<std::vector<JoinHandle<int>>> handles(kThreads);
  std::vector<Thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.push_back(StartThread("spawner", [&, t] {
      for (int i = 0; i < tasks; ++i) {
        handles[t].push_back(Spawn(Number(i), {.executor = &executor()}));
      }
    }));
  }
  for (Thread& thread : threads) thread.join();
  const int64_t sum = Await([&]() -> Task<int64_t> {
    int64_t total = 0;
    for (auto& of_thread : handles) {
      for (auto& handle : of_thread) total += co_await handle;
    }
    co_return total;
  });
  EXPECT_EQ(sum, int64_t{kThreads} * tasks * (tasks - 1) / 2);
}

TEST_P(ExecutorSuite, ExecutorsOnTwoThreadsPassAValueBackAndForth) {
  const int rounds = Repeats(2000);
  RunningExecutor other(MakeExecutor());
  const int last = Await([&]() -> Task<int> {
    int value = 0;
    for (int i = 0; i < rounds; ++i) {
      Promise<int> promise;
      JoinHandle<int> echo = Spawn(TakeFrom(promise.future()), {.executor = &other.executor()});
      promise.Set(value + 1);
      value = co_await echo;
    }
    co_return value;
  });
  EXPECT_EQ(last, rounds);
}

// --- BlockOn ---

TEST_P(ExecutorSuite, BlockOnGivesTheResultAndMayBeCalledAgain) {
  EXPECT_EQ(BlockOn(executor(), Number(1)), 1);
  EXPECT_EQ(BlockOn(executor(), Number(2)), 2);
}

TEST_P(ExecutorSuite, BlockOnReturnsThoughOtherTasksAreLeft) {
  Promise<int> promise;
  JoinHandle<int> left = Spawn(TakeFrom(promise.future()), {.executor = &executor()});
  EXPECT_EQ(BlockOn(executor(), Number(3)), 3);
  EXPECT_FALSE(left.done());
  promise.Set(4);
  const int value = Await([&]() -> Task<int> { co_return co_await left; });
  EXPECT_EQ(value, 4);
}

TEST_P(ExecutorSuite, DestroyingAnExecutorCancelsAndJoinsItsTasks) {
  Promise<int> never;
  JoinHandle<int> left = Spawn(TakeFrom(never.future()), {.executor = &executor()});
  EXPECT_EQ(BlockOn(executor(), Number(3)), 3);
  ReplaceExecutor();
  EXPECT_TRUE(left.done());
  EXPECT_TRUE(left.cancelled());
}

TEST_P(ExecutorSuite, TheTasksThatHaveNotEndedAreOnTheExecutorsBooks) {
  EXPECT_EQ(executor().tasks().size(), 0u);
  Promise<int> promise;
  JoinHandle<int> left = Spawn(TakeFrom(promise.future()), {.executor = &executor()});
  EXPECT_EQ(executor().tasks().size(), 1u);
  promise.Set(1);
  Await([&]() -> Task<void> { static_cast<void>(co_await left); });
  // A task is off the books a moment after those who wait for it are told; an executor with threads
  // may still be at it.
  for (int round = 0; executor().tasks().size() > 0; ++round) internal::SpinWait(round);
}

Task<int> BlockInside(Executor& executor) { co_return BlockOn(executor, Number(1)); }

TEST_P(ExecutorSuite, BlockOnInsideATaskIsAProgrammingError) {
  // The executor is made in the child: a loop does not survive the fork.
  EXPECT_DEATH(
      {
        std::unique_ptr<Executor> mortal = MakeExecutor();
        BlockOn(*mortal, BlockInside(*mortal));
      },
      "BlockOn and Run cannot be called inside a task");
}

// --- cost ---

TEST_P(ExecutorSuite, APostAllocatesNothing) {
  constexpr int kRuns = 1000;
  struct Again : WorkItem {
    Again(Executor& on, Finish& end)
        : WorkItem([](WorkItem& item) noexcept {
            auto& self = static_cast<Again&>(item);
            if (++self.runs == 10) self.before = AllocationCount();
            if (self.runs == 10 + kRuns) {
              self.allocated = AllocationCount() - self.before;
              return self.finish.Set();
            }
            self.executor.Schedule(item);
          }),
          executor(on),
          finish(end) {}
    Executor& executor;
    Finish& finish;
    int runs = 0;
    int64_t before = 0;
    int64_t allocated = -1;
  };
  Finish finish;
  Again again(executor(), finish);
  executor().Schedule(again);
  finish.Await(executor());
  EXPECT_EQ(again.allocated, 0);
}

TEST_P(ExecutorSuite, APostFromAnotherThreadAllocatesNothing) {
  RunningExecutor running(MakeExecutor());
  constexpr int kPosts = 1000;
  Atomic<int> runs{0};
  FunctionItem item([&] { runs.fetch_add(1, kAcqRel); });
  const auto post_and_wait = [&](int round) {
    running.executor().Schedule(item);
    for (int spin = 0; runs.load(internal::kAcquire) != round; ++spin) internal::SpinWait(spin);
  };
  post_and_wait(1);
  const int64_t before = AllocationCount();
  for (int i = 0; i < kPosts; ++i) post_and_wait(2 + i);
  EXPECT_EQ(AllocationCount() - before, 0);
}

}  // namespace
}  // namespace plait
