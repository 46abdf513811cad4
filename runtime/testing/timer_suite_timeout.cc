// Timeouts. The numbers in the tests' names are those of the list "What any event loop must get
// right".
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/sync/queue.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/runtime/time/sleep.h"
#include "plait/runtime/time/timeout.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

TEST_P(TimerSuite, Line54WhatEndsBeforeTheDeadlineKeepsItsResult) {
  int target = 0;
  Await([&]() -> Task<void> {
    static_cast<void>(target);
    const absl::StatusOr<int> plain = co_await Timeout(absl::Hours(1), Give(1));
    EXPECT_TRUE(plain.ok() && *plain == 1) << plain.status();
    const absl::StatusOr<int> status_or = co_await Timeout(absl::Hours(1), TurnsThenGive(3, 2));
    EXPECT_TRUE(status_or.ok() && *status_or == 2) << status_or.status();
    const absl::Status ok = co_await Timeout(absl::Hours(1), Ok());
    EXPECT_TRUE(ok.ok()) << ok;
    const absl::Status nothing = co_await Timeout(absl::Hours(1), Nothing());
    EXPECT_TRUE(nothing.ok()) << nothing;
    const absl::Status failed = co_await Timeout(absl::Hours(1), FailWith("own"));
    EXPECT_EQ(failed, absl::InternalError("own"));
    const absl::StatusOr<std::unique_ptr<int>> moved =
        co_await Timeout(absl::Hours(1), GiveMoveOnly(4));
    EXPECT_TRUE(moved.ok());
    EXPECT_EQ(**moved, 4);
  });
}

TEST_P(TimerSuite, Line54WhatMissesTheDeadlineIsCancelledAndJoined) {
  Await([&]() -> Task<void> {
    const Deadline before = clock().Now();
    bool cancelled = false;
    const absl::Status status = co_await Timeout(unit(), ForeverNoting(&cancelled));
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), absl::FormatDuration(unit()))) << status;
    EXPECT_TRUE(cancelled);
    EXPECT_GE(clock().Now().Since(before), unit());
    if (virtual_time()) {
      EXPECT_EQ(clock().Now().Since(before), unit());
    }
    // The task around it is not cancelled: the next wait works.
    const absl::Status after = co_await Sleep(unit());
    EXPECT_TRUE(after.ok()) << after;
  });
}

TEST_P(TimerSuite, TimeoutTakesAnyAwaitable) {
  Await([&]() -> Task<void> {
    const absl::Status slept = co_await Timeout(absl::Hours(1), Sleep(absl::ZeroDuration()));
    EXPECT_TRUE(slept.ok()) << slept;
    const absl::Status yielded = co_await Timeout(absl::Hours(1), Yield());
    EXPECT_TRUE(yielded.ok()) << yielded;
    const absl::StatusOr<int> joined = co_await Timeout(absl::Hours(1), Spawn(Give(3)));
    EXPECT_TRUE(joined.ok() && *joined == 3) << joined.status();
    Queue<int> queue(1);
    const absl::StatusOr<int> item = co_await Timeout(unit(), queue.Get());
    EXPECT_TRUE(absl::IsDeadlineExceeded(item.status())) << item.status();
    const absl::Status put = co_await Timeout(absl::Hours(1), queue.Put(1));
    EXPECT_TRUE(put.ok()) << put;
    const absl::Status full = co_await Timeout(unit(), queue.Put(2));
    EXPECT_TRUE(absl::IsDeadlineExceeded(full)) << full;
    EXPECT_EQ(queue.size(), 1u);
    Promise<int> promise;
    const absl::StatusOr<int> value = co_await Timeout(unit(), promise.future());
    EXPECT_TRUE(absl::IsDeadlineExceeded(value.status())) << value.status();
  });
}

TEST_P(TimerSuite, Line54AValueThatArrivesInSpiteOfTheCancelIsNotLost) {
  Await([&]() -> Task<void> {
    auto stubborn = []() -> Task<absl::StatusOr<int>> {
      static_cast<void>(co_await Forever());
      co_return 6;
    };
    const absl::StatusOr<int> value = co_await Timeout(unit(), stubborn());
    EXPECT_TRUE(value.ok() && *value == 6) << value.status();
    auto failing = []() -> Task<absl::Status> {
      static_cast<void>(co_await Forever());
      co_return absl::DataLossError("own");
    };
    const absl::Status failed = co_await Timeout(unit(), failing());
    EXPECT_EQ(failed, absl::DataLossError("own"));
  });
}

TEST_P(TimerSuite, Line54APlainResultHasToComeBeforeTheDeadline) {
  Await([&]() -> Task<void> {
    auto late = []() -> Task<int> {
      static_cast<void>(co_await Forever());
      co_return 6;
    };
    const absl::StatusOr<int> value = co_await Timeout(unit(), late());
    EXPECT_TRUE(absl::IsDeadlineExceeded(value.status())) << value.status();
    auto late_void = []() -> Task<void> { static_cast<void>(co_await Forever()); };
    const absl::Status nothing = co_await Timeout(unit(), late_void());
    EXPECT_TRUE(absl::IsDeadlineExceeded(nothing)) << nothing;
  });
}

// Trap: the cancel that races the completion. Sleep and timeout are due at the same nanosecond.
TEST_P(TimerSuite, Line54ATimeoutAndAnEndInTheSameTickHaveOneOutcome) {
  if (!virtual_time()) return;
  Await([&]() -> Task<void> {
    const Deadline before = clock().Now();
    // The timeout began first, so it fires first; the sleep has slept its time all the same.
    const absl::Status status = co_await Timeout(unit(), Sleep(unit()));
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(clock().Now().Since(before), unit());
  });
}

TEST_P(TimerSuite, Line54ATimeoutThatRacesAnotherThreadsPutLosesNoItem) {
  RunningExecutor producer(MakeExecutor());
  Await([&]() -> Task<void> {
    auto put = [](Queue<int>* queue, int n) -> Task<absl::Status> {
      co_return co_await queue->Put(n);
    };
    for (const int i : ShareOf(300)) {
      Queue<int> queue(1);
      JoinHandle<absl::Status> putter = Spawn(put(&queue, i), {.executor = &producer.executor()});
      const absl::StatusOr<int> got =
          co_await Timeout(absl::Nanoseconds((i % 20) * 1000), queue.Get());
      const absl::Status put_status = co_await putter;
      EXPECT_TRUE(put_status.ok()) << put_status;
      if (got.ok()) {
        EXPECT_EQ(*got, i);
        EXPECT_TRUE(queue.empty());
        continue;
      }
      EXPECT_TRUE(absl::IsDeadlineExceeded(got.status())) << got.status();
      const absl::StatusOr<int> left = queue.TryGet();
      EXPECT_TRUE(left.ok() && *left == i) << left.status();
    }
  });
}

TEST_P(TimerSuite, AZeroTimeoutLetsTheAwaitableRunUpToItsFirstWait) {
  Await([]() -> Task<void> {
    const absl::StatusOr<int> ready = co_await Timeout(absl::ZeroDuration(), Give(1));
    EXPECT_TRUE(ready.ok() && *ready == 1) << ready.status();
    const absl::Status waits = co_await Timeout(absl::ZeroDuration(), Forever());
    EXPECT_TRUE(absl::IsDeadlineExceeded(waits)) << waits;
  });
}

TEST_P(TimerSuite, AnInfiniteTimeoutNeverExpires) {
  Await([&]() -> Task<void> {
    const int64_t most = std::numeric_limits<int64_t>::max();
    for (const absl::Duration huge :
         {absl::InfiniteDuration(), absl::Seconds(most), absl::Nanoseconds(most)}) {
      const absl::Status status = co_await Timeout(huge, Sleep(unit()));
      EXPECT_TRUE(status.ok()) << status;
    }
  });
}

TEST_P(TimerSuite, ANegativeTimeoutIsAnInvalidArgumentAndNothingRuns) {
  bool ran = false;
  Await([&]() -> Task<void> {
    auto touch = [](bool* flag) -> Task<absl::Status> {
      *flag = true;
      co_return absl::OkStatus();
    };
    for (const absl::Duration negative :
         {absl::Nanoseconds(-1), -absl::InfiniteDuration(),
          absl::Seconds(std::copysign(std::numeric_limits<double>::quiet_NaN(), -1.0))}) {
      const absl::Status status = co_await Timeout(negative, touch(&ran));
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    }
  });
  EXPECT_FALSE(ran);
}

TEST_P(TimerSuite, Line55OfNestedTimeoutsTheInnerOneThatExpiresSaysSo) {
  Await([&]() -> Task<void> {
    auto inner = [](absl::Duration duration, absl::Status* seen) -> Task<absl::Status> {
      *seen = co_await Timeout(duration, Forever());
      co_return absl::OkStatus();
    };
    absl::Status seen;
    const absl::Status outer = co_await Timeout(absl::Hours(50), inner(unit(), &seen));
    EXPECT_TRUE(outer.ok()) << outer;
    EXPECT_TRUE(absl::IsDeadlineExceeded(seen)) << seen;
    EXPECT_TRUE(absl::StrContains(seen.message(), absl::FormatDuration(unit()))) << seen;
  });
}

TEST_P(TimerSuite, Line55OfNestedTimeoutsTheOuterOneThatExpiresCancelsTheInner) {
  Await([&]() -> Task<void> {
    auto inner = [](absl::Duration duration, absl::Status* seen) -> Task<absl::Status> {
      *seen = co_await Timeout(duration, Forever());
      co_return *seen;
    };
    absl::Status seen;
    const absl::Status outer = co_await Timeout(unit(), inner(absl::Hours(50), &seen));
    EXPECT_TRUE(absl::IsCancelled(seen)) << seen;
    EXPECT_TRUE(absl::IsDeadlineExceeded(outer)) << outer;
    EXPECT_TRUE(absl::StrContains(outer.message(), absl::FormatDuration(unit()))) << outer;
  });
}

TEST_P(TimerSuite, Line55NestedTimeoutsOfOneDeadlineGiveOneDeadlineExceeded) {
  Await([&]() -> Task<void> {
    auto inner = [](absl::Duration duration) -> Task<absl::Status> {
      co_return co_await Timeout(duration, Forever());
    };
    const absl::Status outer = co_await Timeout(unit(), inner(unit()));
    EXPECT_TRUE(absl::IsDeadlineExceeded(outer)) << outer;
  });
}

TEST_P(TimerSuite, Line53AnOuterCancelWinsOverATimeout) {
  Await([&]() -> Task<void> {
    auto bounded = [](absl::Duration duration) -> Task<absl::Status> {
      co_return co_await Timeout(duration, Forever());
    };
    JoinHandle<absl::Status> handle = Spawn(bounded(absl::Hours(50)));
    co_await Turns(5);
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;

    // Also when the deadline comes while the cancelled awaitable is still cleaning up.
    auto slow_cleanup = [](absl::Duration cleanup) -> Task<absl::Status> {
      absl::Status cut = co_await Forever();
      static_cast<void>(co_await Uncancellable(Sleep(cleanup)));
      co_return cut;
    };
    auto bounded_slow = [&](absl::Duration duration) -> Task<absl::Status> {
      co_return co_await Timeout(duration, slow_cleanup(duration * 2));
    };
    JoinHandle<absl::Status> slow = Spawn(bounded_slow(unit()));
    co_await Turns(5);
    slow.Cancel();
    const absl::Status slow_status = co_await slow;
    if (virtual_time()) {
      EXPECT_TRUE(absl::IsCancelled(slow_status)) << slow_status;
    } else {
      // The machine may have held this thread up until the deadline.
      EXPECT_TRUE(absl::IsCancelled(slow_status) || absl::IsDeadlineExceeded(slow_status))
          << slow_status;
    }
  });
}

TEST_P(TimerSuite, ATimeoutInACancelledTaskEndsAtOnce) {
  Await([]() -> Task<void> {
    auto late = []() -> Task<absl::Status> {
      CurrentTask().Cancel();
      co_return co_await Timeout(absl::Hours(50), Forever());
    };
    JoinHandle<absl::Status> handle = Spawn(late());
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

TEST_P(TimerSuite, ATimeoutLeavesNoTimerBehind) {
  const Deadline before = clock().Now();
  Await([]() -> Task<void> {
    for (int i = 0; i < 100; ++i) {
      static_cast<void>(co_await Timeout(absl::Hours(1000), Give(i)));
    }
  });
  // A virtual clock would jump to a timer that was left; so would the loop's end wait for it.
  ReplaceExecutor();
  EXPECT_LT(clock().Now().Since(before), absl::Hours(1000));
}

TEST_P(TimerSuite, ATimeoutOverAGroupJoinsTheGroup) {
  Await([&]() -> Task<void> {
    auto group_forever = [](int* joined) -> Task<absl::Status> {
      auto child = [](int* count) -> Task<absl::Status> {
        absl::Status cut = co_await Forever();
        ++*count;
        co_return cut;
      };
      auto body = [&](TaskGroup& group) -> Task<absl::Status> {
        for (int i = 0; i < 3; ++i) group.Spawn(child(joined));
        co_return absl::OkStatus();
      };
      co_return co_await WithTaskGroup(body);
    };
    if (!ordered()) co_return;
    int joined = 0;
    const absl::Status status = co_await Timeout(unit(), group_forever(&joined));
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_EQ(joined, 3);
  });
}

#if defined(__cpp_exceptions)
TEST_P(TimerSuite, AnExceptionPassesThroughATimeout) {
  Await([&]() -> Task<void> {
    auto late = [](absl::Duration) -> Task<absl::Status> {
      static_cast<void>(co_await Forever());
      throw std::runtime_error("late");
    };
    bool caught = false;
    try {
      static_cast<void>(co_await Timeout(absl::Hours(1), Throw("oh")));
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
    caught = false;
    try {
      static_cast<void>(co_await Timeout(unit(), late(unit())));
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
  });
}
#endif

}  // namespace
}  // namespace plait
