// CancelScope. The numbers in the tests' names are those of the list "What any event loop must get
// right".

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/runtime/time/cancel_scope.h"
#include "plait/runtime/time/sleep.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

TEST_P(TimerSuite, ACancelScopeExpiresAtItsDeadline) {
  Await([&]() -> Task<void> {
    CancelScope scope(unit());
    const absl::Status status = co_await scope.Run(Forever());
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_TRUE(scope.expired());
    EXPECT_FALSE(scope.cancelled());
    // What runs in it afterwards ends at once.
    const absl::Status again = co_await scope.Run(Sleep(absl::Hours(1)));
    EXPECT_TRUE(absl::IsDeadlineExceeded(again)) << again;
    EXPECT_TRUE(absl::IsFailedPrecondition(scope.Reschedule(absl::Hours(1))));
  });
}

TEST_P(TimerSuite, ACancelScopeThatEndsInTimeGivesTheResult) {
  Await([&]() -> Task<void> {
    CancelScope scope(absl::Hours(1000));
    const absl::StatusOr<int> value = co_await scope.Run(TurnsThenGive(2, 5));
    EXPECT_TRUE(value.ok() && *value == 5);
    const absl::StatusOr<int> plain = co_await scope.Run(Give(6));
    EXPECT_TRUE(plain.ok() && *plain == 6);
    const absl::Status nothing = co_await scope.Run(Nothing());
    EXPECT_TRUE(nothing.ok());
    EXPECT_FALSE(scope.expired());
  });
}

TEST_P(TimerSuite, SeveralRunAtOnceInACancelScope) {
  Await([&]() -> Task<void> {
    auto run = [](CancelScope* scope) -> Task<absl::Status> {
      for (int i = 0; i < Repeats(500); ++i) {
        const absl::StatusOr<int> value = co_await scope->Run(TurnsThenGive(1, i));
        if (!value.ok()) co_return value.status();
      }
      co_return absl::OkStatus();
    };
    CancelScope scope(absl::Hours(1000));
    const absl::Status all = co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 4; ++i) group.Spawn(run(&scope));
      co_return absl::OkStatus();
    });
    EXPECT_TRUE(all.ok()) << all;
    // It is destroyed here, and checks that none is left.
  });
}

TEST_P(TimerSuite, ACancelScopeCanBeCancelledByHand) {
  Await([&]() -> Task<void> {
    CancelScope scope;
    EXPECT_EQ(scope.deadline(), absl::InfiniteFuture());
    auto run = [](CancelScope* s) -> Task<absl::Status> { co_return co_await s->Run(Forever()); };
    JoinHandle<absl::Status> task = Spawn(run(&scope));
    co_await Turns(2);
    scope.Cancel();
    const absl::Status status = co_await task;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_TRUE(scope.cancelled());
    EXPECT_FALSE(scope.expired());
    EXPECT_FALSE(task.cancelled() && CurrentStopToken().stop_requested());
  });
}

TEST_P(TimerSuite, TheDeadlineOfACancelScopeCanBeMoved) {
  Await([&]() -> Task<void> {
    CancelScope later(unit());
    auto extend = [&](CancelScope* scope) -> Task<absl::Status> {
      EXPECT_TRUE(scope->Reschedule(absl::Hours(1000)).ok());
      co_return co_await Sleep(2 * unit());
    };
    const absl::Status slept = co_await later.Run(extend(&later));
    EXPECT_TRUE(slept.ok()) << slept;
    CancelScope sooner(absl::Hours(1000));
    EXPECT_TRUE(sooner.Reschedule(unit()).ok());
    const absl::Status cut = co_await sooner.Run(Forever());
    EXPECT_TRUE(absl::IsDeadlineExceeded(cut)) << cut;
    CancelScope never(unit());
    EXPECT_TRUE(never.Reschedule(absl::InfiniteDuration()).ok());
    const absl::Status unbounded = co_await never.Run(Sleep(2 * unit()));
    EXPECT_TRUE(unbounded.ok()) << unbounded;
    CancelScope at(clock().WallTime() + unit());
    const absl::Status passed = co_await at.Run(Forever());
    EXPECT_TRUE(absl::IsDeadlineExceeded(passed)) << passed;
    CancelScope before(clock().WallTime() - unit());
    const absl::Status past = co_await before.Run(Forever());
    EXPECT_TRUE(absl::IsDeadlineExceeded(past)) << past;
  });
}

TEST_P(TimerSuite, Line55OfNestedCancelScopesTheOneWhoseDeadlinePassedReportsIt) {
  Await([&]() -> Task<void> {
    CancelScope outer(unit());
    absl::Status seen_inside;
    auto inside = [](absl::Status* seen) -> Task<absl::Status> {
      CancelScope inner(absl::Hours(1000));
      *seen = co_await inner.Run(Forever());
      EXPECT_FALSE(inner.expired());
      co_return *seen;
    };
    const absl::Status status = co_await outer.Run(inside(&seen_inside));
    EXPECT_TRUE(absl::IsCancelled(seen_inside)) << seen_inside;
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    CancelScope patient(absl::Hours(1000));
    auto hasty = [&](absl::Duration after) -> Task<absl::Status> {
      CancelScope inner(after);
      const absl::Status cut = co_await inner.Run(Forever());
      EXPECT_TRUE(absl::IsDeadlineExceeded(cut)) << cut;
      co_return absl::OkStatus();  // the outer one is not concerned
    };
    const absl::Status fine = co_await patient.Run(hasty(unit()));
    EXPECT_TRUE(fine.ok()) << fine;
  });
}

TEST_P(TimerSuite, Line53ACancelOfTheTaskWinsOverACancelScopesDeadline) {
  Await([&]() -> Task<void> {
    auto run = [&]() -> Task<absl::Status> {
      CancelScope scope(absl::Hours(1000));
      const absl::Status status = co_await scope.Run(Forever());
      EXPECT_FALSE(scope.expired());
      co_return status;
    };
    JoinHandle<absl::Status> task = Spawn(run());
    co_await Turns(2);
    task.Cancel();
    const absl::Status status = co_await task;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

TEST_P(TimerSuite, NonsenseDeadlinesOfACancelScopeAreErrors) {
  Await([&]() -> Task<void> {
    CancelScope scope(-absl::Seconds(1));
    const absl::Status status = co_await scope.Run(Forever());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    CancelScope good(absl::Hours(1000));
    EXPECT_TRUE(absl::IsInvalidArgument(good.Reschedule(-absl::InfiniteDuration())));
    const absl::Status ok = co_await good.Run(Ok());
    EXPECT_TRUE(ok.ok()) << ok;
  });
}

// Trap: a cancel that races completion.
TEST_P(TimerSuite, Line54ADeadlineAndACompletionHaveOneOutcome) {
  Await([&]() -> Task<void> {
    for (int i = 0; i < 100; ++i) {
      CancelScope scope(virtual_time() ? unit() : absl::Microseconds(i));
      const absl::Status status =
          co_await scope.Run(Sleep(virtual_time() ? unit() : absl::Microseconds(i)));
      EXPECT_TRUE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
      // A full sleep is a value that is not lost, whatever the deadline says.
      if (!scope.expired()) {
        EXPECT_TRUE(status.ok()) << status;
      }
    }
  });
}

}  // namespace
}  // namespace plait
