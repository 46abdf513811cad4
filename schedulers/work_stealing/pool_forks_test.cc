// Plain functions that fork on a pool. Traps: a wake-up that is lost, of a worker that has asked
// for work and went to sleep; a cancel while they run.
#include "plait/schedulers/work_stealing/pool_forks.h"

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/parallel/invoke.h"
#include "plait/runtime/parallel/loops.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::thread_state;

int64_t Fib(int n) {
  if (n < 2) return n;
  const auto [a, b] = ParallelInvoke([n] { return Fib(n - 1); }, [n] { return Fib(n - 2); });
  return a + b;
}

// Waits in a function that forks, so that its thread can be asked for work.
void AwaitFlag(const Atomic<bool>& flag) {
  for (int round = 0; !flag.load(internal::kAcquire); ++round) {
    ParallelInvoke([] {}, [] {});
    internal::SpinWait(round);
  }
}

// Runs a plain function as a task of the pool.
template <class F>
auto RunOn(WorkStealingPool& pool, F body) {
  using R = std::invoke_result_t<F&>;
  return BlockOn(pool, [](F f) -> Task<R> { co_return f(); }(std::move(body)));
}

TEST(PoolForksTest, RecursionIsRightOnAnyNumberOfThreads) {
  for (const int threads : {1, 2, 3, 8}) {
    WorkStealingPool pool({.threads = threads});
    for (int i = 0; i < Repeats(20); ++i) {
      EXPECT_EQ(RunOn(pool, [] { return Fib(18); }), 2584) << threads;
    }
  }
}

TEST(PoolForksTest, AWorkerThatSleepsIsWokenForWhatIsForkedAfterwards) {
  WorkStealingPool pool({.threads = 2});
  const int rounds = Repeats(100);
  for (int i = 0; i < rounds; ++i) {
    // Every other time both sleep when the task begins.
    for (int round = 0; i % 2 == 0 && pool.idle_threads() < 2; ++round) internal::SpinWait(round);
    RunOn(pool, [] {
      Atomic<bool> other_runs{false};
      const void* const here = &thread_state;
      ParallelInvoke([&] { AwaitFlag(other_runs); },
                     [&] {
                       EXPECT_NE(static_cast<const void*>(&thread_state), here);
                       other_runs.store(true, internal::kRelease);
                     });
      return 0;
    });
  }
  EXPECT_GE(pool.steals(), static_cast<uint64_t>(rounds));
}

// What it asked for is given, and taken back, while it goes to sleep.
TEST(PoolForksTest, ForksThatAreTakenBackLoseNoQuestionOfOneThatGoesToSleep) {
  WorkStealingPool pool({.threads = 2});
  RunOn(pool, [&] {
    for (int i = 0; i < Repeats(50); ++i) {
      while (pool.idle_threads() < 1) ParallelInvoke([] {}, [] {});
      for (int j = 0; j < 50'000; ++j) ParallelInvoke([] {}, [] {});
      Atomic<bool> other_runs{false};
      ParallelInvoke([&] { AwaitFlag(other_runs); },
                     [&] { other_runs.store(true, internal::kRelease); });
    }
    return 0;
  });
}

TEST(PoolForksTest, FunctionsThatForkNothingHaveAThreadEach) {
  WorkStealingPool pool({.threads = 4});
  for (int i = 0; i < Repeats(50); ++i) {
    for (int round = 0; pool.idle_threads() < 4; ++round) internal::SpinWait(round);
    RunOn(pool, [] {
      Atomic<int> here{0};
      const auto meet = [&here] {
        here.fetch_add(1, internal::kAcqRel);
        for (int round = 0; here.load(internal::kAcquire) < 4; ++round) internal::SpinWait(round);
      };
      ParallelInvoke(meet, meet, meet, meet);
      return 0;
    });
  }
}

TEST(PoolForksTest, ALoopIsSharedByAllThreads) {
  WorkStealingPool pool({.threads = 3});
  RunOn(pool, [] {
    // Each of the first three items waits until three threads are at one.
    Atomic<int> at_work{0};
    ParallelFor(0, 1024, [&](int64_t) {
      at_work.fetch_add(1, internal::kAcqRel);
      for (int round = 0; at_work.load(internal::kAcquire) < 3; ++round) {
        ParallelInvoke([] {}, [] {});
        internal::SpinWait(round);
      }
    });
    return 0;
  });
}

// How deep this thread is in functions that fork.
thread_local int forking = 0;

Task<int64_t> ForkInTask() {
  EXPECT_EQ(forking, 0) << "a task runs on top of a function that waits";
  ++forking;
  const int64_t result = Fib(14);
  --forking;
  co_await Yield();
  co_return result;
}

TEST(PoolForksTest, NoTaskRunsOnTopOfAFunctionThatWaits) {
  WorkStealingPool pool({.threads = 4});
  std::vector<Task<int64_t>> tasks;
  const auto count = static_cast<size_t>(Repeats(300));
  while (tasks.size() < count) tasks.push_back(ForkInTask());
  const std::vector<int64_t> results =
      BlockOn(pool, [](std::vector<Task<int64_t>> all) -> Task<std::vector<int64_t>> {
        co_return co_await Gather(std::move(all));
      }(std::move(tasks)));
  EXPECT_EQ(results, std::vector<int64_t>(count, 377));
}

TEST(PoolForksTest, ACancelOfTheTaskEndsItsLoopOnAllThreads) {
  WorkStealingPool pool({.threads = 2});
  Atomic<bool> began{false};
  const auto loop = [&]() -> Task<absl::Status> {
    co_return ParallelFor(0, int64_t{1} << 60, [&](int64_t) {
      began.store(true, internal::kRelease);
      return absl::OkStatus();
    });
  };
  JoinHandle<absl::Status> running = Spawn(loop(), {.executor = &pool});
  for (int round = 0; !began.load(internal::kAcquire); ++round) internal::SpinWait(round);
  running.Cancel();
  EXPECT_EQ(running.Get().code(), absl::StatusCode::kCancelled);
}

TEST(PoolForksTest, ManyTasksForkAtOnceOnMoreThreadsThanProcessors) {
  WorkStealingPool pool({.threads = 8});
  std::vector<JoinHandle<int64_t>> running;
  const auto task = []() -> Task<int64_t> {
    co_return ParallelReduce(0, 2000, int64_t{0}, std::plus<>(), std::plus<>());
  };
  for (int i = 0; i < Repeats(100); ++i) running.push_back(Spawn(task(), {.executor = &pool}));
  for (JoinHandle<int64_t>& one : running) EXPECT_EQ(one.Get(), 1'999'000);
}

}  // namespace
}  // namespace plait
