#include "plait/runtime/sync/event.h"

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using testing_programs::Turns;

Task<absl::Status> WaitFor(Event* event, int number, std::vector<int>* order) {
  const absl::Status status = co_await event->Wait();
  if (status.ok()) order->push_back(number);
  co_return status;
}

TEST(EventTest, WhoComesWhileItIsSetPassesAtOnce) {
  plait::Run([]() -> Task<void> {
    Event event;
    EXPECT_FALSE(event.IsSet());
    event.Set();
    event.Set();
    EXPECT_TRUE(event.IsSet());
    const absl::Status status = co_await event.Wait();
    EXPECT_TRUE(status.ok()) << status;
    event.Clear();
    event.Clear();
    EXPECT_FALSE(event.IsSet());
    EXPECT_TRUE(Event(true).IsSet());
  }());
}

TEST(EventTest, SetLetsEveryoneGoWhoWaitsInTheOrderOfTheirArrival) {
  plait::Run([]() -> Task<void> {
    constexpr int kWaiters = 100;  // more than are woken under one hold of the lock
    Event event;
    std::vector<int> order;
    std::vector<int> expected;
    std::vector<JoinHandle<absl::Status>> tasks;
    for (int i = 0; i < kWaiters; ++i) {
      tasks.push_back(Spawn(WaitFor(&event, i, &order)));
      expected.push_back(i);
    }
    co_await Turns(3);
    EXPECT_TRUE(order.empty());
    event.Set();
    for (auto& task : tasks) {
      const absl::Status status = co_await task;
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(order, expected);
  }());
}

TEST(EventTest, AClearBeforeAWaitersTurnDoesNotHoldItBackButHoldsTheNext) {
  plait::Run([]() -> Task<void> {
    Event event;
    std::vector<int> order;
    JoinHandle<absl::Status> before = Spawn(WaitFor(&event, 1, &order));
    co_await Turns(3);
    event.Set();
    event.Clear();
    JoinHandle<absl::Status> after = Spawn(WaitFor(&event, 2, &order));
    const absl::Status first = co_await before;
    EXPECT_TRUE(first.ok()) << first;
    co_await Turns(3);
    EXPECT_FALSE(after.done());
    event.Set();
    const absl::Status second = co_await after;
    EXPECT_TRUE(second.ok()) << second;
  }());
}

// Trap: a cancel that races the completion, both ways.
TEST(EventTest, ACancelledWaitEndsAloneAndOneThatWasLetGoBeforeSucceeds) {
  plait::Run([]() -> Task<void> {
    Event event;
    std::vector<int> order;
    JoinHandle<absl::Status> cancelled = Spawn(WaitFor(&event, 1, &order));
    JoinHandle<absl::Status> stays = Spawn(WaitFor(&event, 2, &order));
    co_await Turns(3);
    cancelled.Cancel();
    const absl::Status status = co_await cancelled;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    event.Set();
    stays.Cancel();
    const absl::Status let_go = co_await stays;
    EXPECT_TRUE(let_go.ok()) << let_go;
    EXPECT_EQ(order, (std::vector<int>{2}));
  }());
}

TEST(EventTest, ACancelledTaskPassesASetEventAndDoesNotWaitForAnother) {
  plait::Run([]() -> Task<void> {
    auto wait = [](Event* event) -> Task<absl::StatusCode> {
      CurrentTask().Cancel();
      const absl::Status status = co_await event->Wait();
      co_return status.code();
    };
    Event set(true);
    Event clear;
    EXPECT_EQ(co_await Spawn(wait(&set)), absl::StatusCode::kOk);
    EXPECT_EQ(co_await Spawn(wait(&clear)), absl::StatusCode::kCancelled);
  }());
}

TEST(EventTest, OrReturnAndTimeoutTakeAWait) {
  TestClock clock;
  plait::Run(
      [](TestClock* time) -> Task<void> {
        Event event;
        auto wait = [](Event* shared) -> Task<absl::StatusOr<int>> {
          co_await OrReturn(shared->Wait());
          co_return 1;
        };
        const absl::Status late = co_await Timeout(absl::Seconds(3), event.Wait());
        EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
        EXPECT_EQ(time->elapsed(), absl::Seconds(3));
        event.Set();
        const absl::StatusOr<int> one = co_await wait(&event);
        EXPECT_TRUE(one.ok()) << one.status();
      }(&clock),
      {.clock = &clock});
}

TEST(EventTest, NothingIsAllocatedWaitOrNot) {
  plait::Run([]() -> Task<void> {
    auto wait = [](Event* event) -> Task<void> {
      const absl::Status status = co_await event->Wait();
      EXPECT_TRUE(status.ok()) << status;
    };
    Event event;
    JoinHandle<void> waiter = Spawn(wait(&event));
    const int64_t before = AllocationCount();
    co_await Yield();
    event.Set();
    co_await waiter;
    EXPECT_EQ(AllocationCount(), before);
  }());
}

TEST(EventDeathTest, ItOutlivesItsWaiters) {
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 auto event = std::make_unique<Event>();
                 std::vector<int> order;
                 JoinHandle<absl::Status> waiter = Spawn(WaitFor(event.get(), 1, &order));
                 co_await Turns(3);
                 event = nullptr;
               }()),
               "an Event was destroyed while a task waits for it");
}

}  // namespace
}  // namespace plait
