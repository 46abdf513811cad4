// PoolSuite: what a pool of threads does beyond what every Executor does: its threads and its
// observers, how it closes, and what becomes of it in a forked child.
//
//   template <>
//   inline constexpr const char* kPoolName<ThreadPool> = "ThreadPool";
//
//   INSTANTIATE_TYPED_TEST_SUITE_P(ThreadPool, PoolSuite, ThreadPool);
//   INSTANTIATE_TYPED_TEST_SUITE_P(ThreadPool, PoolDeathTest, ThreadPool);
//
// It is a type that is made of its options and has, as they have, the members of ThreadPool.
//
// The numbers in the tests' names are those of the list "What any event loop must get right".
//
// Traps faced: (4) a wake-up lost between check and park.
#ifndef PLAIT_RUNTIME_TESTING_POOL_SUITE_H_
#define PLAIT_RUNTIME_TESTING_POOL_SUITE_H_

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/idle_frames.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/executor_fixture.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/testing/until.h"

namespace plait {

// What the pool calls itself in messages: each says it.
template <class Pool>
inline constexpr const char* kPoolName = nullptr;

template <class Pool>
class PoolSuite : public testing::Test {
  static_assert(kPoolName<Pool> != nullptr);
};
TYPED_TEST_SUITE_P(PoolSuite);

// Apart, since GoogleTest runs first what ends in this word.
template <class Pool>
class PoolDeathTest : public testing::Test {};
TYPED_TEST_SUITE_P(PoolDeathTest);

// What the tests are made of.
namespace pool_programs {

using internal::Atomic;

inline Task<void> MeetAt(absl::Barrier* barrier) {
  if (barrier->Block()) delete barrier;  // the last one out
  co_return;
}

inline Task<absl::Status> SpawnUntilCancelled(Atomic<int>* spawned, Atomic<int>* ended) {
  auto child = [](Atomic<int>* count) -> Task<void> {
    count->fetch_add(1, internal::kAcqRel);
    co_return;
  };
  bool cancelled = false;
  for (int after = 0; after < 10; after += cancelled ? 1 : 0) {
    cancelled = CurrentStopToken().stop_requested();
    spawned->fetch_add(1, internal::kAcqRel);
    Spawn(child(ended));  // also when the pool is closing: then it is cancelled, and joined
    co_await Yield();
  }
  co_return absl::CancelledError("asked to");
}

// So many at once, so that as many frames are freed.
inline Task<void> RunTasks(int count) {
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < count; ++i)
    tasks.push_back(Spawn([]() -> Task<void> { co_await Yield(); }()));
  for (auto& task : tasks) co_await task;
}

}  // namespace pool_programs

TYPED_TEST_P(PoolSuite, AsManyTasksRunAtOnceAsItHasThreads) {
  for (const int threads : {1, 2, 8}) {
    TypeParam pool({.threads = threads});
    EXPECT_EQ(pool.threads(), threads);
    auto* const barrier = new absl::Barrier(threads);
    std::vector<JoinHandle<void>> handles;
    for (int i = 0; i < threads; ++i) {
      handles.push_back(
          Spawn(pool_programs::MeetAt(barrier), {.executor = &pool}));  // or they wait for ever
    }
    for (auto& handle : handles) {
      BlockOn(pool, [](JoinHandle<void>* one) -> Task<void> { co_await *one; }(&handle));
    }
  }
}

TYPED_TEST_P(PoolSuite, AnObserverIsToldOfItsTasksOnAllOfItsThreads) {
  class Counter final : public TaskObserver {
   public:
    void OnStart(const ObservedTask&, uint64_t) noexcept override { started.fetch_add(1); }
    void OnEnd(const ObservedTask&, Ending ending) noexcept override {
      (ending == Ending::kOk ? ok : failed).fetch_add(1);
    }
    internal::Atomic<int> started{0};
    internal::Atomic<int> ok{0};
    internal::Atomic<int> failed{0};
  } counter;
  internal::Atomic<int> reports{0};
  {
    TypeParam pool(
        {.threads = 3, .hooks = {.observer = &counter, .on_report = [&](const Report& report) {
                                   EXPECT_EQ(report.kind, ReportKind::kErrorNeverRetrieved);
                                   reports.fetch_add(1);
                                 }}});
    BlockOn(pool, []() -> Task<void> {
      for (int i = 0; i < 100; ++i) {
        Spawn([](int n) -> Task<absl::Status> {
          co_await Yield();
          co_return n % 10 == 0 ? absl::InternalError("no") : absl::OkStatus();
        }(i));
      }
      while (AllTasks().size() > 1) co_await Yield();
    }());
  }
  EXPECT_EQ(counter.started.load(), 101);
  EXPECT_EQ(counter.ok.load(), 91);
  EXPECT_EQ(counter.failed.load(), 10);
  EXPECT_EQ(reports.load(), 10);
}

// By real time, in which alone a thread is idle.
TYPED_TEST_P(PoolSuite, AThreadThatIsIdleForAWhileKeepsNoFrames) {
  TypeParam pool({.threads = 1});
  for (int burst = 0; burst < 2; ++burst) {
    BlockOn(pool, []() -> Task<void> {
      co_await pool_programs::RunTasks(1000);
      if (internal::kFramesArePooled) {
        EXPECT_GT(internal::KeptFrameBytes(), 50'000u);
      }
      while (internal::KeptFrameBytes() > 0) {  // or for ever
        const absl::Status slept = co_await Sleep(2 * internal::kIdleUntilFramesGo);
        EXPECT_TRUE(slept.ok()) << slept;
      }
    }());
  }
}

TYPED_TEST_P(PoolSuite, ByDefaultItHasAThreadForEachThatTheMachineRunsAtOnce) {
  TypeParam pool;
  EXPECT_EQ(pool.threads(), HardwareThreads());
}

TYPED_TEST_P(PoolSuite, ThreadCountsThatMakeNoSenseAreRefused) {
  const std::string complaint = absl::StrCat(kPoolName<TypeParam>, "Options::threads is ");
  for (const int threads : {0, -1, std::numeric_limits<int>::min(), TypeParam::kMostThreads + 1,
                            std::numeric_limits<int>::max()}) {
    const absl::Status status = TypeParam::Create({.threads = threads}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), complaint)) << status;
    EXPECT_DEATH(TypeParam({.threads = threads}), complaint);
  }
  const absl::StatusOr<std::unique_ptr<TypeParam>> pool = TypeParam::Create({.threads = 3});
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_EQ((*pool)->threads(), 3);
}

TYPED_TEST_P(PoolSuite, Line66CloseWakesWorkersThatAreParkedOrSpinOrSleep) {
  for (const int i : ShareOf(200)) {
    TypeParam pool({.threads = 4});
    if (i % 3 == 0) Until([&] { return pool.idle_threads() == 4; });
    // No sleep of the test's: Close cancels it, and its worker waits for its timer until then.
    auto sleep_for_ever = []() -> Task<absl::Status> {
      co_return co_await Sleep(absl::Hours(100));
    };
    JoinHandle<absl::Status> sleeper = Spawn(sleep_for_ever(), {.executor = &pool});
    if (i % 3 == 1) Until([&] { return pool.idle_threads() == 4; });
    EXPECT_TRUE(pool.Close().ok());  // or never
    EXPECT_TRUE(sleeper.cancelled());
    EXPECT_TRUE(pool.Close().ok());
  }
}

TYPED_TEST_P(PoolSuite, Line67EveryTaskThatIsSpawnedWhileThePoolClosesEndsBeforeCloseReturns) {
  for (const int i : ShareOf(200)) {
    TypeParam pool({.threads = 3});
    internal::Atomic<int> spawned{0};
    internal::Atomic<int> ended{0};
    for (int n = 0; n < 4; ++n) {
      Spawn(pool_programs::SpawnUntilCancelled(&spawned, &ended), {.executor = &pool});
    }
    if (i % 2 == 0) Until([&] { return spawned.load(internal::kAcquire) > 10; });
    EXPECT_TRUE(pool.Close().ok());
    EXPECT_EQ(spawned.load(internal::kAcquire), ended.load(internal::kAcquire));
    EXPECT_EQ(pool.tasks().size(), 0u);
  }
}

TYPED_TEST_P(PoolDeathTest, Line67SchedulingAfterCloseIsAProgrammingError) {
  EXPECT_DEATH(
      {
        TypeParam pool({.threads = 1});
        static_cast<void>(pool.Close());
        Spawn([]() -> Task<void> { co_return; }(), {.executor = &pool});
      },
      absl::StrCat("work was scheduled on a ", kPoolName<TypeParam>, " that was closed"));
}

TYPED_TEST_P(PoolSuite, CancelTasksEndsTheTasksAndLeavesThePoolOpen) {
  TypeParam pool({.threads = 2});
  auto forever = []() -> Task<absl::Status> { co_return co_await Sleep(absl::InfiniteDuration()); };
  auto persistent = [forever](int times) -> Task<absl::Status> {
    auto again = [](auto self, auto wait, int left) -> Task<absl::Status> {
      absl::Status cut = co_await wait();
      if (left > 0) Spawn(self(self, wait, left - 1));  // it leaves another behind
      co_return cut;
    };
    co_return co_await again(again, forever, times);
  };
  JoinHandle<absl::Status> handle = Spawn(persistent(5), {.executor = &pool});
  EXPECT_TRUE(pool.CancelTasks().ok());
  EXPECT_TRUE(handle.cancelled());
  EXPECT_EQ(pool.tasks().size(), 0u);
  EXPECT_EQ(BlockOn(pool, []() -> Task<int> { co_return 3; }()), 3);
}

TYPED_TEST_P(PoolSuite, CloseAndCancelTasksOnAThreadOfItsOwnAreRefused) {
  TypeParam pool({.threads = 2});
  BlockOn(pool, [](TypeParam* own) -> Task<void> {
    for (const absl::Status& status : {own->Close(), own->CancelTasks()}) {
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), "own threads")) << status;
    }
    co_return;
  }(&pool));
}

TYPED_TEST_P(PoolSuite, OffloadHasAPoolOfItsOwnSoThatNoWorkerBlocks) {
  TypeParam pool({.threads = 1});
  absl::Notification release;
  BlockOn(pool, [](absl::Notification* notification) -> Task<void> {
    auto let_go = [](absl::Notification* of) -> Task<void> {
      of->Notify();
      co_return;
    };
    Spawn(let_go(notification));
    co_await Offload([notification] { notification->WaitForNotification(); });  // or never
  }(&release));
  TypeParam other({.threads = 1, .blocking = &pool});
  EXPECT_EQ(&other.blocking(), static_cast<Executor*>(&pool));
}

// With one thread the two kinds of work take turns, so neither waits for the other to end.
// Run often: what is spawned late may be as far as it likes when the blocking threads are joined.
TYPED_TEST_P(PoolSuite, WhatIsSpawnedLateMayStillOffloadWhatCannotSayThatItDidNotRun) {
  for (int round = 0; round < Repeats(100); ++round) {
    TypeParam pool({.threads = 2});
    const auto forever = []() -> Task<absl::Status> {
      co_return co_await Sleep(absl::InfiniteDuration());
    };
    const auto offload = []() -> Task<int> {
      for (int turn = 0; turn < 20; ++turn) co_await Yield();
      co_return co_await Offload([] { return 7; });
    };
    JoinHandle<absl::Status> cancelled = Spawn(forever(), {.executor = &pool});
    JoinHandle<int> late;
    FunctionItem spawn_late([&] {
      Until([&] { return cancelled.done(); });
      late = Spawn(offload(), {.executor = &pool});
    });
    pool.blocking().Schedule(spawn_late);
    EXPECT_TRUE(pool.Close().ok());
    ASSERT_TRUE(late.done());
    EXPECT_EQ(late.result().value(), 7);
  }
}

TYPED_TEST_P(PoolSuite, TimersAndPostedWorkTakeTurns) {
  TypeParam pool({.threads = 1});
  BlockOn(pool, []() -> Task<void> {
    auto spin = [](const bool* stop) -> Task<void> {
      while (!*stop) co_await Yield();
    };
    auto sleep_often = []() -> Task<void> {
      for (int i = 0; i < 100; ++i) {
        const absl::Status slept = co_await Sleep(absl::ZeroDuration());
        EXPECT_TRUE(slept.ok()) << slept;
      }
    };
    bool stop = false;
    JoinHandle<void> spinner = Spawn(spin(&stop));
    co_await sleep_often();
    stop = true;
    co_await spinner;
  }());
}

TYPED_TEST_P(PoolSuite, AVirtualClockJumpsOnlyWhenAllThreadsAreIdle) {
  TestClock clock;
  TypeParam pool({.threads = 4, .clock = &clock});
  BlockOn(pool, [](TestClock* time) -> Task<void> {
    auto busy = [](TestClock* of) -> Task<void> {
      const Deadline before = of->Now();
      for (int i = 0; i < 2000; ++i) co_await Yield();
      EXPECT_EQ(of->Now(), before);  // another's deadline does not come meanwhile
    };
    auto pause = [](absl::Duration duration) -> Task<void> {
      const absl::Status slept = co_await Sleep(duration);
      EXPECT_TRUE(slept.ok()) << slept;
    };
    const Deadline before = time->Now();
    co_await Gather(pause(absl::Hours(2)), busy(time), pause(absl::Hours(1)), busy(time));
    EXPECT_EQ(time->Now().Since(before), absl::Hours(2));
  }(&clock));
}

TYPED_TEST_P(PoolSuite, AForkedChildMayEndAndMayNotUseThePool) {
  auto pool = TypeParam::Create({.threads = 2}).value();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused = absl::IsFailedPrecondition(pool->Close());
    pool = nullptr;  // neither hangs nor ends the process
    ::_exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(BlockOn(*pool, []() -> Task<int> { co_return 3; }()), 3);  // the parent's goes on
}

TYPED_TEST_P(PoolDeathTest, SchedulingInAForkedChildIsAProgrammingError) {
  TypeParam pool({.threads = 1});
  EXPECT_DEATH(
      Spawn([]() -> Task<void> { co_return; }(), {.executor = &pool}),
      absl::StrCat("in a forked child, on a ", kPoolName<TypeParam>, " of the parent process"));
}

REGISTER_TYPED_TEST_SUITE_P(
    PoolSuite, AsManyTasksRunAtOnceAsItHasThreads, AnObserverIsToldOfItsTasksOnAllOfItsThreads,
    AThreadThatIsIdleForAWhileKeepsNoFrames, ByDefaultItHasAThreadForEachThatTheMachineRunsAtOnce,
    ThreadCountsThatMakeNoSenseAreRefused, Line66CloseWakesWorkersThatAreParkedOrSpinOrSleep,
    Line67EveryTaskThatIsSpawnedWhileThePoolClosesEndsBeforeCloseReturns,
    CancelTasksEndsTheTasksAndLeavesThePoolOpen, CloseAndCancelTasksOnAThreadOfItsOwnAreRefused,
    OffloadHasAPoolOfItsOwnSoThatNoWorkerBlocks,
    WhatIsSpawnedLateMayStillOffloadWhatCannotSayThatItDidNotRun, TimersAndPostedWorkTakeTurns,
    AVirtualClockJumpsOnlyWhenAllThreadsAreIdle, AForkedChildMayEndAndMayNotUseThePool);
REGISTER_TYPED_TEST_SUITE_P(PoolDeathTest, Line67SchedulingAfterCloseIsAProgrammingError,
                            SchedulingInAForkedChildIsAProgrammingError);

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_POOL_SUITE_H_
