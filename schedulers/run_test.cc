#include "plait/schedulers/run.h"

#include <stdlib.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

Task<int> Give(int n) {
  co_await Yield();
  co_return n;
}

Task<absl::Status> SleepTask(absl::Duration duration) { co_return co_await Sleep(duration); }

// The variable is the whole process's: each test leaves it as it found it.
class RunTest : public testing::Test {
 protected:
  RunTest() { ::unsetenv("PLAIT_REACTOR"); }
  ~RunTest() override { ::unsetenv("PLAIT_REACTOR"); }
};

TEST_F(RunTest, ItGivesTheTasksResultWhateverItsType) {
  EXPECT_EQ(plait::Run(Give(3)), 3);
  EXPECT_TRUE(plait::Run([]() -> Task<absl::Status> { co_return absl::OkStatus(); }()).ok());
  bool ran = false;
  plait::Run([](bool* flag) -> Task<void> {
    *flag = true;
    co_return;
  }(&ran));
  EXPECT_TRUE(ran);
  EXPECT_EQ(
      *plait::Run([]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); }()), 4);
  const absl::StatusOr<int> failed =
      plait::Run([]() -> Task<absl::StatusOr<int>> { co_return absl::NotFoundError("no"); }());
  EXPECT_EQ(failed.status(), absl::NotFoundError("no"));
}

TEST_F(RunTest, ItMayBeCalledAgain) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(plait::Run(Give(i)), i);
}

Task<std::string> WhatRunsThis() {
  Executor* const executor = TaskContext::Current()->executor;
  if (dynamic_cast<EventLoop*>(executor) != nullptr) co_return "event_loop";
  if (dynamic_cast<WorkStealingPool*>(executor) != nullptr) co_return "work_stealing";
  co_return "something else";
}

TEST_F(RunTest, WhatRunsIsWhatIsNamedOrElseTheBuildsDefault) {
  for (const std::string scheduler : {"event_loop", "work_stealing"}) {
    EXPECT_EQ(plait::Run(WhatRunsThis(), {.scheduler = scheduler}), scheduler);
  }
  EXPECT_EQ(plait::Run(WhatRunsThis()), DefaultScheduler());
}

TEST_F(RunTest, EveryNamedSchedulerAndReactorRuns) {
  for (const std::string scheduler : {"", "event_loop", "work_stealing"}) {
    for (const std::string reactor : {"", "auto", "epoll"}) {
      RunOptions options;
      options.scheduler = scheduler;
      options.reactor = reactor;
      EXPECT_EQ(plait::Run(Give(3), options), 3) << scheduler << "/" << reactor;
    }
  }
}

TEST_F(RunTest, AnUnknownSchedulerIsAnErrorThatNamesWhatThereIs) {
  const absl::Status status = plait::Run(SleepTask(absl::ZeroDuration()), {.scheduler = "quantum"});
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "unknown scheduler \"quantum\"")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "event_loop")) << status;
}

TEST_F(RunTest, AnUnknownReactorIsAnErrorThatNamesWhatThereIs) {
  const absl::StatusOr<int> result =
      plait::Run([]() -> Task<absl::StatusOr<int>> { co_return 1; }(), {.reactor = "select"});
  EXPECT_TRUE(absl::IsInvalidArgument(result.status())) << result.status();
  for (const char* part : {"unknown reactor \"select\"", "auto", "epoll"}) {
    EXPECT_TRUE(absl::StrContains(result.status().message(), part)) << result.status();
  }
}

TEST_F(RunTest, TheEnvironmentNamesTheReactorUnlessTheProgramDoes) {
  ::setenv("PLAIT_REACTOR", "epoll", 1);
  EXPECT_EQ(plait::Run(Give(3)), 3);
  ::setenv("PLAIT_REACTOR", "", 1);  // as if it were not set
  EXPECT_EQ(plait::Run(Give(3)), 3);
  ::setenv("PLAIT_REACTOR", "abacus", 1);
  const absl::Status status = plait::Run(SleepTask(absl::ZeroDuration()));
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "abacus")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "PLAIT_REACTOR")) << status;
  EXPECT_EQ(plait::Run(Give(3), {.reactor = "epoll"}), 3);
}

TEST(RunDeathTest, WhereTheResultCannotSaySoAnUnknownNameIsAProgrammingError) {
  EXPECT_DEATH(plait::Run(Give(1), {.scheduler = "quantum"}), "unknown scheduler \"quantum\"");
  EXPECT_DEATH(plait::Run(Give(1), {.reactor = "select"}), "unknown reactor \"select\"");
}

TEST(RunDeathTest, RunInsideATaskIsAProgrammingError) {
  EXPECT_DEATH(plait::Run([]() -> Task<int> { co_return plait::Run(Give(1)); }()),
               "BlockOn and Run cannot be called inside a task");
}

TEST(RunDeathTest, RunningAMovedFromTaskIsAProgrammingError) {
  EXPECT_DEATH(
      {
        Task<int> task = Give(1);
        Task<int> other = std::move(task);
        plait::Run(std::move(task));  // NOLINT: the misuse is the test
      },
      "moved from");
}

Task<absl::Status> CleanUpWhenCancelled(std::vector<std::string>* log) {
  const absl::Status status = co_await Sleep(absl::InfiniteDuration());
  log->push_back(absl::IsCancelled(status) ? "cancelled" : status.ToString());
  const absl::Status cleanup = co_await Uncancellable(Sleep(absl::Microseconds(10)));
  log->push_back(cleanup.ok() ? "cleaned up" : cleanup.ToString());
  co_return status;
}

TEST_F(RunTest, LeftoverTasksAreCancelledAndJoinedBeforeItReturns) {
  std::vector<std::string> log;
  const int value = plait::Run([](std::vector<std::string>* to) -> Task<int> {
    Spawn(CleanUpWhenCancelled(to));
    co_await Yield();
    co_await Yield();
    co_return 5;
  }(&log));
  EXPECT_EQ(value, 5);
  EXPECT_EQ(log, (std::vector<std::string>{"cancelled", "cleaned up"}));
}

Task<void> CountWhenCancelled(int* ended) {
  static_cast<void>(co_await Sleep(absl::InfiniteDuration()));
  ++*ended;
}

Task<void> SpawnWhenCancelled(int* ended) {
  static_cast<void>(co_await Sleep(absl::InfiniteDuration()));
  Spawn(CountWhenCancelled(ended));
  ++*ended;
}

TEST_F(RunTest, TasksThatLeftoversSpawnWhileTheyAreCancelledAreJoinedToo) {
  int ended = 0;
  plait::Run([](int* count) -> Task<void> {
    Spawn(SpawnWhenCancelled(count));
    co_await Yield();
  }(&ended));
  EXPECT_EQ(ended, 2);
}

TEST_F(RunTest, TheOptionsClockIsTheOneThatSleepsGoBy) {
  TestClock clock;
  const absl::Status status = plait::Run(SleepTask(absl::Hours(24 * 365)), {.clock = &clock});
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(clock.elapsed(), absl::Hours(24 * 365));
}

#if defined(__cpp_exceptions)
Task<int> Throw() {
  co_await Yield();
  throw std::runtime_error("out");
  co_return 0;
}

TEST_F(RunTest, AnExceptionComesOutAfterLeftoversAreJoined) {
  std::vector<std::string> log;
  bool caught = false;
  try {
    plait::Run([](std::vector<std::string>* to) -> Task<int> {
      Spawn(CleanUpWhenCancelled(to));
      co_await Yield();
      co_return co_await Throw();
    }(&log));
  } catch (const std::runtime_error& error) {
    caught = error.what() == std::string("out");
  }
  EXPECT_TRUE(caught);
  EXPECT_EQ(log, (std::vector<std::string>{"cancelled", "cleaned up"}));
}
#endif

}  // namespace
}  // namespace plait
