// Sleeps and yields. The numbers in the tests' names are those of the list "What any event loop
// must get right".
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/gather.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/runtime/time/sleep.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

Task<absl::Status> SleepTask(absl::Duration duration) { co_return co_await Sleep(duration); }

Task<void> SleepAndNote(absl::Duration duration, std::vector<int>* woke, int n) {
  const absl::Status status = co_await Sleep(duration);
  EXPECT_TRUE(status.ok()) << status;
  woke->push_back(n);
}

// --- Sleep ---

TEST_P(TimerSuite, Line16ASleepIsNeverEarly) {
  for (int i = 0; i < 20; ++i) {
    const absl::Duration asked = unit() / 7 + absl::Nanoseconds(i * 37'001);
    const Deadline before = clock().Now();
    const absl::Status status = BlockOn(executor(), SleepTask(asked));
    const Deadline after = clock().Now();
    EXPECT_TRUE(status.ok()) << status;
    const absl::Duration slept = after.Since(before);
    EXPECT_GE(slept, asked);
    if (virtual_time()) {
      EXPECT_EQ(slept, absl::Ceil(asked, absl::Nanoseconds(1)));
    }
  }
}

TEST_P(TimerSuite, Line16AFractionOfANanosecondIsRoundedUp) {
  const Deadline before = clock().Now();
  EXPECT_TRUE(BlockOn(executor(), SleepTask(absl::Nanoseconds(1) / 4)).ok());
  EXPECT_GE(clock().Now().Since(before), absl::Nanoseconds(1));
}

TEST_P(TimerSuite, SleepersWakeInTheOrderOfTheirDeadlines) {
  if (!one_thread()) return;
  std::vector<int> woke;
  Await([&]() -> Task<void> {
    std::vector<Task<void>> sleepers;
    for (const int n : {5, 1, 4, 0, 3, 2}) sleepers.push_back(SleepAndNote(unit() * n, &woke, n));
    co_await Gather(std::move(sleepers));
  });
  EXPECT_EQ(woke, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST_P(TimerSuite, Line17EqualDeadlinesWakeInTheOrderOfTheirSleeps) {
  if (!one_thread() || !virtual_time()) return;  // only there are they equal to the nanosecond
  std::vector<int> slept;
  std::vector<int> woke;
  Await([&]() -> Task<void> {
    const auto sleeper = [&](int n) -> Task<void> {
      slept.push_back(n);
      co_await SleepAndNote(unit(), &woke, n);
    };
    std::vector<Task<void>> sleepers;
    for (int n = 0; n < 500; ++n) sleepers.push_back(sleeper(n));
    co_await Gather(std::move(sleepers));
  });
  EXPECT_EQ(slept.size(), 500u);
  EXPECT_EQ(woke, slept);
}

TEST_P(TimerSuite, Line18AZeroSleepComesBackOnTheNextTurn) {
  if (!one_thread()) return;
  std::vector<std::string> log;
  Await([&]() -> Task<void> {
    const Deadline before = clock().Now();
    auto note = [](std::vector<std::string>* to) -> Task<void> {
      to->push_back("other");
      co_return;
    };
    JoinHandle<void> other = Spawn(note(&log));
    const absl::Status status = co_await Sleep(absl::ZeroDuration());
    log.push_back("sleeper");
    EXPECT_TRUE(status.ok()) << status;
    if (virtual_time()) {
      EXPECT_EQ(clock().Now(), before);
    }
    co_await other;
  });
  EXPECT_EQ(log, (std::vector<std::string>{"other", "sleeper"}));
}

TEST_P(TimerSuite, Line19AHugeSleepNeitherWrapsNorEnds) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  for (const absl::Duration huge :
       {absl::InfiniteDuration(), absl::Nanoseconds(most), absl::Nanoseconds(most - 1),
        absl::Seconds(most), absl::Hours(most), absl::Hours(24) * 365 * 250,
        // A NaN is one infinity or the other to Abseil, by its sign.
        absl::Seconds(std::copysign(std::numeric_limits<double>::quiet_NaN(), 1.0))}) {
    Await([&]() -> Task<void> {
      JoinHandle<absl::Status> handle = Spawn(SleepTask(huge));
      const absl::Status a_while = co_await Sleep(unit());
      EXPECT_TRUE(a_while.ok()) << a_while;
      EXPECT_FALSE(handle.done()) << huge;
      handle.Cancel();
      const absl::Status status = co_await handle;
      EXPECT_TRUE(absl::IsCancelled(status)) << status << " of " << huge;
    });
  }
}

TEST_P(TimerSuite, ANegativeSleepIsAnInvalidArgument) {
  const int64_t least = std::numeric_limits<int64_t>::min();
  for (const absl::Duration negative :
       {absl::Nanoseconds(-1), absl::Seconds(least), -absl::InfiniteDuration(),
        absl::Seconds(std::copysign(std::numeric_limits<double>::quiet_NaN(), -1.0))}) {
    const absl::Status status = BlockOn(executor(), SleepTask(negative));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status << " of " << negative;
    EXPECT_TRUE(absl::StrContains(status.message(), "negative")) << status;
  }
}

TEST_P(TimerSuite, Line21ACancelledSleepEndsAtOnce) {
  Await([&]() -> Task<void> {
    const Deadline before = clock().Now();
    JoinHandle<absl::Status> handle = Spawn(SleepTask(absl::Hours(1000)));
    co_await Turns(3);
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_LT(clock().Now().Since(before), absl::Hours(1000));
    auto already = []() -> Task<absl::Status> {
      CurrentTask().Cancel();
      co_return co_await Sleep(absl::Hours(1000));
    };
    JoinHandle<absl::Status> late = Spawn(already());
    const absl::Status late_status = co_await late;
    EXPECT_TRUE(absl::IsCancelled(late_status)) << late_status;
  });
}

TEST_P(TimerSuite, Line22ASleepMayBeCancelledByAnotherThatWakesAtTheSameTime) {
  if (!one_thread() || !virtual_time()) return;
  Await([&]() -> Task<void> {
    auto cancel_later = [](absl::Duration after, JoinHandle<absl::Status>* victim) -> Task<void> {
      const absl::Status slept = co_await Sleep(after);
      EXPECT_TRUE(slept.ok()) << slept;
      victim->Cancel();
    };
    JoinHandle<absl::Status> victim;
    JoinHandle<void> canceller = Spawn(cancel_later(unit(), &victim));
    victim = Spawn(SleepTask(unit()));
    const Deadline before = clock().Now();
    const absl::Status status = co_await victim;
    // Both had slept their time: that is what it says, and either way it says it once and then.
    EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
    EXPECT_EQ(clock().Now().Since(before), unit());
    co_await canceller;
  });
}

// Trap: the cancel that races the completion, from another thread than the timer's.
TEST_P(TimerSuite, ACancelFromAnotherThreadThatRacesTheTimerHasOneOutcome) {
  RunningExecutor other(MakeExecutor());
  Await([&]() -> Task<void> {
    auto cancel = [](TaskHandle handle) -> Task<void> {
      handle.Cancel();
      co_return;
    };
    for (const int i : ShareOf(500)) {
      JoinHandle<absl::Status> sleeper = Spawn(SleepTask(absl::Microseconds(i % 50)));
      co_await Yield();
      JoinHandle<void> canceller = Spawn(cancel(sleeper), {.executor = &other.executor()});
      const absl::Status status = co_await sleeper;
      EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
      co_await canceller;
    }
  });
}

TEST_P(TimerSuite, ASleepAllocatesNothing) {
  const int64_t allocated = Await([]() -> Task<int64_t> {
    for (int i = 0; i < 10; ++i) static_cast<void>(co_await Sleep(absl::Nanoseconds(100)));
    const int64_t before = AllocationCount();
    for (int i = 0; i < 100; ++i) static_cast<void>(co_await Sleep(absl::Nanoseconds(100)));
    co_return AllocationCount() - before;
  });
  EXPECT_EQ(allocated, 0);
}

// --- SleepUntil ---

TEST_P(TimerSuite, SleepUntilWaitsForThePointOnTheCalendar) {
  Await([&]() -> Task<void> {
    const absl::Time until = clock().WallTime() + unit();
    const absl::Status status = co_await SleepUntil(until);
    EXPECT_TRUE(status.ok()) << status;
    if (virtual_time()) {
      EXPECT_EQ(clock().WallTime(), until);
    }
  });
}

TEST_P(TimerSuite, SleepUntilThePastComesBackOnTheNextTurn) {
  Await([&]() -> Task<void> {
    const Deadline before = clock().Now();
    for (const absl::Time past :
         {clock().WallTime() - absl::Hours(5), absl::InfinitePast(), absl::UnixEpoch()}) {
      const absl::Status status = co_await SleepUntil(past);
      EXPECT_TRUE(status.ok()) << status;
    }
    if (virtual_time()) {
      EXPECT_EQ(clock().Now(), before);
    }
  });
}

TEST_P(TimerSuite, SleepUntilTheInfiniteFutureEndsByACancelOnly) {
  Await([&]() -> Task<void> {
    auto forever = []() -> Task<absl::Status> {
      co_return co_await SleepUntil(absl::InfiniteFuture());
    };
    JoinHandle<absl::Status> handle = Spawn(forever());
    static_cast<void>(co_await Sleep(unit()));
    EXPECT_FALSE(handle.done());
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

TEST_P(TimerSuite, AJumpOfTheCalendarChangesNoSleep) {
  if (!virtual_time()) return;  // nobody sets the machine's clock in a test
  for (const absl::Duration jump : {absl::Hours(500), -absl::Hours(500)}) {
    Await([&]() -> Task<void> {
      auto until = [](absl::Time time) -> Task<absl::Status> {
        co_return co_await SleepUntil(time);
      };
      const Deadline before = clock().Now();
      JoinHandle<absl::Status> sleeper = Spawn(SleepTask(unit()));
      JoinHandle<absl::Status> until_sleeper = Spawn(until(clock().WallTime() + unit()));
      co_await Turns(2);
      test_clock().JumpWallTime(jump);
      const absl::Status slept = co_await sleeper;
      EXPECT_TRUE(slept.ok()) << slept;
      EXPECT_EQ(clock().Now().Since(before), unit());
      const absl::Status until_slept = co_await until_sleeper;
      EXPECT_TRUE(until_slept.ok()) << until_slept;
      EXPECT_EQ(clock().Now().Since(before), unit());
    });
  }
}

// --- Yield ---

Task<void> YieldAndNote(std::vector<int>* log, int n, int times) {
  for (int i = 0; i < times; ++i) {
    log->push_back(n);
    co_await Yield();
  }
}

TEST_P(TimerSuite, TasksThatYieldTakeTurns) {
  if (!ordered()) return;
  std::vector<int> log;
  Await([&]() -> Task<void> {
    co_await Gather(YieldAndNote(&log, 0, 100), YieldAndNote(&log, 1, 100),
                    YieldAndNote(&log, 2, 100));
  });
  ASSERT_EQ(log.size(), 300u);
  for (size_t i = 0; i < log.size(); ++i) ASSERT_EQ(log[i], static_cast<int>(i % 3)) << i;
}

TEST_P(TimerSuite, Line10TasksThatYieldForEverDoNotStarveTimers) {
  Await([&]() -> Task<void> {
    auto spin = [](bool* stop) -> Task<void> {
      while (!*stop) co_await Yield();
    };
    if (virtual_time() || !ordered())
      co_return;  // a virtual clock stands still while there is work
    bool stop = false;
    JoinHandle<void> a = Spawn(spin(&stop));
    JoinHandle<void> b = Spawn(spin(&stop));
    const absl::Status status = co_await Sleep(unit());
    stop = true;
    EXPECT_TRUE(status.ok()) << status;
    co_await a;
    co_await b;
  });
}

TEST_P(TimerSuite, ACancelledTaskMayStillYield) {
  Await([]() -> Task<void> {
    auto yield_cancelled = []() -> Task<int> {
      CurrentTask().Cancel();
      for (int i = 0; i < 10; ++i) co_await Yield();
      co_return 10;
    };
    JoinHandle<int> handle = Spawn(yield_cancelled());
    const int yields = co_await handle;
    EXPECT_EQ(yields, 10);
  });
}

}  // namespace

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TimerSuite);

}  // namespace plait
