// The numbers in the tests' names are those of the list "What any event loop must get right".
//
// Traps faced: (4) a wake-up lost between check and park, in the suites and below.
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

#include <sys/wait.h>
#include <unistd.h>

#include <limits>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/parallel/invoke.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/test_clock.h"

namespace plait {
namespace {

using internal::Atomic;

template <class Condition>
void Until(Condition condition) {
  for (int round = 0; !condition(); ++round) internal::SpinWait(round);
}

Task<void> MeetAt(absl::Barrier* barrier) {
  if (barrier->Block()) delete barrier;  // the last one out
  co_return;
}

TEST(WorkStealingPoolTest, AsManyTasksRunAtOnceAsItHasThreads) {
  for (const int threads : {1, 2, 8}) {
    WorkStealingPool pool({.threads = threads});
    EXPECT_EQ(pool.threads(), threads);
    auto* const barrier = new absl::Barrier(threads);
    std::vector<JoinHandle<void>> handles;
    for (int i = 0; i < threads; ++i) {
      handles.push_back(Spawn(MeetAt(barrier), {.executor = &pool}));  // or they wait for ever
    }
    for (auto& handle : handles) {
      BlockOn(pool, [](JoinHandle<void>* one) -> Task<void> { co_await *one; }(&handle));
    }
  }
}

TEST(WorkStealingPoolTest, AnObserverIsToldOfItsTasksOnAllOfItsThreads) {
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
    WorkStealingPool pool(
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

TEST(WorkStealingPoolTest, ByDefaultItHasAThreadForEachThatTheMachineRunsAtOnce) {
  WorkStealingPool pool;
  EXPECT_EQ(pool.threads(), HardwareThreads());
}

TEST(WorkStealingPoolTest, ThreadCountsThatMakeNoSenseAreRefused) {
  for (const int threads : {0, -1, std::numeric_limits<int>::min(),
                            WorkStealingPool::kMostThreads + 1, std::numeric_limits<int>::max()}) {
    const absl::Status status = WorkStealingPool::Create({.threads = threads}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "WorkStealingPoolOptions::threads is "))
        << status;
    EXPECT_DEATH(WorkStealingPool({.threads = threads}), "WorkStealingPoolOptions::threads is ");
  }
  const absl::StatusOr<std::unique_ptr<WorkStealingPool>> pool =
      WorkStealingPool::Create({.threads = 3});
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_EQ((*pool)->threads(), 3);
}

TEST(WorkStealingPoolTest, Line66CloseWakesWorkersThatAreParkedOrSpinOrSleep) {
  for (int i = 0; i < 200; ++i) {
    WorkStealingPool pool({.threads = 4});
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

Task<absl::Status> SpawnUntilCancelled(Atomic<int>* spawned, Atomic<int>* ended) {
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

TEST(WorkStealingPoolTest, Line67EveryTaskThatIsSpawnedWhileThePoolClosesEndsBeforeCloseReturns) {
  for (int i = 0; i < 200; ++i) {
    WorkStealingPool pool({.threads = 3});
    Atomic<int> spawned{0};
    Atomic<int> ended{0};
    for (int n = 0; n < 4; ++n) {
      Spawn(SpawnUntilCancelled(&spawned, &ended), {.executor = &pool});
    }
    if (i % 2 == 0) Until([&] { return spawned.load(internal::kAcquire) > 10; });
    EXPECT_TRUE(pool.Close().ok());
    EXPECT_EQ(spawned.load(internal::kAcquire), ended.load(internal::kAcquire));
    EXPECT_EQ(pool.tasks().size(), 0u);
  }
}

TEST(WorkStealingPoolDeathTest, Line67SchedulingAfterCloseIsAProgrammingError) {
  EXPECT_DEATH(
      {
        WorkStealingPool pool({.threads = 1});
        static_cast<void>(pool.Close());
        Spawn([]() -> Task<void> { co_return; }(), {.executor = &pool});
      },
      "work was scheduled on a WorkStealingPool that was closed");
}

TEST(WorkStealingPoolTest, CancelTasksEndsTheTasksAndLeavesThePoolOpen) {
  WorkStealingPool pool({.threads = 2});
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

TEST(WorkStealingPoolTest, CloseAndCancelTasksOnAThreadOfItsOwnAreRefused) {
  WorkStealingPool pool({.threads = 2});
  BlockOn(pool, [](WorkStealingPool* own) -> Task<void> {
    for (const absl::Status& status : {own->Close(), own->CancelTasks()}) {
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), "own threads")) << status;
    }
    co_return;
  }(&pool));
}

TEST(WorkStealingPoolTest, OffloadHasAPoolOfItsOwnSoThatNoWorkerBlocks) {
  WorkStealingPool pool({.threads = 1});
  absl::Notification release;
  BlockOn(pool, [](absl::Notification* notification) -> Task<void> {
    auto let_go = [](absl::Notification* of) -> Task<void> {
      of->Notify();
      co_return;
    };
    Spawn(let_go(notification));
    co_await Offload([notification] { notification->WaitForNotification(); });  // or never
  }(&release));
  WorkStealingPool other({.threads = 1, .blocking = &pool});
  EXPECT_EQ(&other.blocking(), static_cast<Executor*>(&pool));
}

Task<void> Set(absl::Notification* notification) {
  notification->Notify();
  co_return;
}

// Nobody is woken for what a task spawns and may be about to wait for: it is taken from it when it
// does something else meanwhile.
TEST(WorkStealingPoolTest, WhatATaskSpawnsRunsElsewhereWhereTheTaskGoesOnForLong) {
  WorkStealingPool pool({.threads = 2});
  for (int i = 0; i < 5; ++i) {
    Until([&] { return pool.idle_threads() == 2; });
    absl::Notification ran;
    const auto body = [&]() -> Task<void> {
      JoinHandle<void> child = Spawn(Set(&ran));
      while (!ran.HasBeenNotified()) {  // or never
      }
      co_await child;
    };
    BlockOn(pool, body());
  }
}

class Reports {
 public:
  ReportHandler handler() {
    return [this](const Report& report) {
      const absl::MutexLock hold(&mutex_);
      reports_.push_back(report);
    };
  }
  std::vector<Report> all() const {
    const absl::MutexLock hold(&mutex_);
    return reports_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<Report> reports_;
};

// The task that would let them go on waits behind them.
TEST(WorkStealingPoolTest, ABlockedThreadIsReportedAndItsWorkTakenOver) {
  for (const int threads : {1, 2, 4}) {
    Reports reports;
    WorkStealingPool pool(
        {.threads = threads,
         .hooks = {.on_report = reports.handler(), .slow_callback = absl::Milliseconds(10)}});
    absl::Notification release;
    const auto blocks = [&]() -> Task<void> {
      release.WaitForNotification();  // not how to do it
      co_return;
    };
    const auto body = [&]() -> Task<void> {
      std::vector<JoinHandle<void>> blocked;
      for (int i = 0; i < threads; ++i) blocked.push_back(Spawn(blocks(), {.name = "careless"}));
      // All threads are blocked when this is over: it goes on on a spare one.
      while (reports.all().size() < static_cast<size_t>(threads)) co_await Yield();
      co_await Spawn(Set(&release));
      for (auto& task : blocked) co_await task;
    };
    BlockOn(pool, body());
    for (const Report& report : reports.all()) {
      EXPECT_EQ(report.kind, ReportKind::kSlowCallback);
      EXPECT_EQ(report.task_name, "careless");
      EXPECT_TRUE(absl::StrContains(report.message, "\"careless\" has blocked a thread"))
          << report.message;
    }
    // The threads that are back do the work now.
    EXPECT_EQ(BlockOn(pool, []() -> Task<int> { co_return 3; }()), 3);
  }
}

TEST(WorkStealingPoolTest, ATaskThatATimerHasResumedIsReportedWithItsNameToo) {
  Reports reports;
  WorkStealingPool pool(
      {.threads = 1,
       .hooks = {.on_report = reports.handler(), .slow_callback = absl::Milliseconds(10)}});
  absl::Notification release;
  const auto sleeps_and_blocks = [&]() -> Task<void> {
    const absl::Status slept = co_await Sleep(absl::Milliseconds(1));
    EXPECT_TRUE(slept.ok()) << slept;
    release.WaitForNotification();
  };
  const auto body = [&]() -> Task<void> {
    JoinHandle<void> blocked = Spawn(sleeps_and_blocks(), {.name = "sleeper"});
    while (reports.all().empty()) co_await Yield();
    co_await Spawn(Set(&release));
    co_await blocked;
  };
  BlockOn(pool, body());
  ASSERT_EQ(reports.all().size(), 1u);
  EXPECT_EQ(reports.all()[0].task_name, "sleeper");
}

// Its thread sleeps in the join; but a fork is not what belongs into an Offload.
TEST(WorkStealingPoolTest, AFunctionThatWaitsForWhatItHasForkedIsNotReportedAsBlocked) {
  Reports reports;
  WorkStealingPool pool(
      {.threads = 2,
       .hooks = {.on_report = reports.handler(), .slow_callback = absl::Milliseconds(10)}});
  Atomic<bool> elsewhere{false};
  const auto computes_for = [&](absl::Duration time, bool or_elsewhere) {
    const Deadline end = Clock::Real().Now() + time;
    while (Clock::Real().Now() < end && !(or_elsewhere && elsewhere.load(internal::kAcquire))) {
    }
  };
  const auto body = [&]() -> Task<void> {
    const uint64_t own = internal::ThreadSerial();
    while (!elsewhere.load(internal::kAcquire)) {  // until the other thread takes what is forked
      ParallelInvoke([&] { computes_for(absl::Milliseconds(1), /*or_elsewhere=*/true); },
                     [&] {
                       if (internal::ThreadSerial() == own) return;
                       elsewhere.store(true, internal::kRelease);
                       computes_for(absl::Milliseconds(80), /*or_elsewhere=*/false);
                     });
    }
    co_return;
  };
  BlockOn(pool, body());
  EXPECT_EQ(reports.all().size(), 0u) << reports.all()[0].message;
}

// On a busy machine any step of a task may hold its thread as long: others may be reported too.
TEST(WorkStealingPoolTest, ATaskThatComputesForLongIsReportedInDebugModeOnly) {
  for (const bool debug : {false, true}) {
    Reports reports;
    WorkStealingPool pool({.threads = 1,
                           .hooks = {.on_report = reports.handler(),
                                     .debug = debug,
                                     .slow_callback = absl::Milliseconds(10)}});
    const auto told = [&] {
      for (const Report& report : reports.all()) {
        EXPECT_EQ(report.kind, ReportKind::kSlowCallback);
        if (report.task_name == "thinker") return true;
      }
      return false;
    };
    const auto computes = [&]() -> Task<void> {
      const Deadline end = Clock::Real().Now() + absl::Milliseconds(debug ? 10'000 : 60);
      while (Clock::Real().Now() < end && !told()) {
      }
      co_return;
    };
    const auto body = [&]() -> Task<void> { co_await Spawn(computes(), {.name = "thinker"}); };
    BlockOn(pool, body());
    EXPECT_EQ(told(), debug);
    if (!debug) {
      EXPECT_EQ(reports.all().size(), 0u);
    }
  }
}

// Two that wake each other for ever go from slot to slot, which others may not wait for.
TEST(WorkStealingPoolTest, TwoTasksThatWakeEachOtherForEverStarveNobody) {
  WorkStealingPool pool({.threads = 1});
  Channel<int> there(1);
  Channel<int> back(1);
  const auto echo = [&]() -> Task<void> {
    for (;;) {
      const absl::StatusOr<int> got = co_await there.Receive();
      if (!got.ok()) co_return;
      static_cast<void>(co_await back.Send(*got));
    }
  };
  Atomic<bool> ended{false};
  const auto say = [&]() -> Task<void> {
    while (!ended.load()) {
      static_cast<void>(co_await there.Send(1));
      static_cast<void>(co_await back.Receive());
    }
    there.Close();
  };
  JoinHandle<void> echoing = Spawn(echo(), {.executor = &pool});
  JoinHandle<void> saying = Spawn(say(), {.executor = &pool});
  const auto body = [&]() -> Task<void> {
    for (int i = 0; i < 100; ++i) co_await Yield();  // or never
    const absl::Status slept = co_await Sleep(absl::Microseconds(10));
    EXPECT_TRUE(slept.ok()) << slept;
    ended.store(true);
    co_await saying;
    co_await echoing;
  };
  BlockOn(pool, body());
}

TEST(WorkStealingPoolTest, AReactorThatCannotBeMadeIsTheResultOfCreate) {
  int made = 0;
  const absl::StatusOr<std::unique_ptr<WorkStealingPool>> pool = WorkStealingPool::Create(
      {.threads = 3, .reactor = [&made]() -> absl::StatusOr<std::unique_ptr<Reactor>> {
         if (++made == 2) return absl::ResourceExhaustedError("no more of them");
         return nullptr;
       }});
  EXPECT_EQ(pool.status(), absl::ResourceExhaustedError("no more of them"));
}

TEST(WorkStealingPoolTest, EveryIdlePolicyAndPinningRunsAll) {
  for (const IdlePolicy idle : {IdlePolicy::kLatency, IdlePolicy::kBalanced, IdlePolicy::kFrugal}) {
    for (const bool pin : {false, true}) {
      WorkStealingPool pool({.threads = 3, .pin = pin, .idle = idle});
      const auto child = []() -> Task<int> {
        co_await Yield();
        co_return 1;
      };
      const auto body = [&]() -> Task<int> {
        int sum = 0;
        for (int round = 0; round < 20; ++round) {
          std::vector<JoinHandle<int>> children;
          for (int i = 0; i < 50; ++i) children.push_back(Spawn(child()));
          for (auto& one : children) sum += co_await one;
        }
        co_return sum;
      };
      EXPECT_EQ(BlockOn(pool, body()), 1000);
    }
  }
}

// With one thread the two kinds of work take turns, so neither waits for the other to end.
TEST(WorkStealingPoolTest, TimersAndPostedWorkTakeTurns) {
  WorkStealingPool pool({.threads = 1});
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

TEST(WorkStealingPoolTest, AVirtualClockJumpsOnlyWhenAllThreadsAreIdle) {
  TestClock clock;
  WorkStealingPool pool({.threads = 4, .clock = &clock});
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

TEST(WorkStealingPoolTest, AForkedChildMayEndAndMayNotUseThePool) {
  auto pool = std::make_unique<WorkStealingPool>(WorkStealingPoolOptions{.threads = 2});
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

TEST(WorkStealingPoolDeathTest, SchedulingInAForkedChildIsAProgrammingError) {
  WorkStealingPool pool({.threads = 1});
  EXPECT_DEATH(Spawn([]() -> Task<void> { co_return; }(), {.executor = &pool}),
               "in a forked child, on a WorkStealingPool of the parent process");
}

}  // namespace
}  // namespace plait
