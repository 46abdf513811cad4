#include "plait/runtime/sync/semaphore.h"

#include <memory>
#include <utility>
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

// Acquires `permits`, notes its number, and keeps them taken.
Task<absl::Status> Take(Semaphore* semaphore, int64_t permits, int number,
                        std::vector<int>* order) {
  SemaphoreGuard guard = co_await semaphore->Acquire(permits);
  if (!guard.ok()) co_return guard.status();
  order->push_back(number);
  guard.Keep();
  co_return absl::OkStatus();
}

TEST(SemaphoreTest, PermitsAreTakenAndTheGuardsEndGivesThemBack) {
  plait::Run([]() -> Task<void> {
    Semaphore semaphore(3);
    EXPECT_EQ(semaphore.available(), 3);
    {
      auto one = co_await semaphore.Acquire();
      auto two = co_await semaphore.Acquire(2);
      EXPECT_TRUE(one);
      EXPECT_TRUE(two.status().ok());
      EXPECT_EQ(two.permits(), 2);
      EXPECT_EQ(semaphore.available(), 0);
      one.Release();
      EXPECT_FALSE(one);
      EXPECT_TRUE(absl::IsFailedPrecondition(one.status())) << one.status();
      EXPECT_EQ(semaphore.available(), 1);
      SemaphoreGuard moved = std::move(two);
      EXPECT_FALSE(two.ok());  // NOLINT: moved from, it holds nothing
      EXPECT_EQ(moved.permits(), 2);
    }
    EXPECT_EQ(semaphore.available(), 3);
  }());
}

TEST(SemaphoreTest, TryAcquireDoesNotWaitAndSaysWhyItHoldsNothing) {
  Semaphore semaphore(2);
  SemaphoreGuard both = semaphore.TryAcquire(2);
  EXPECT_TRUE(both.ok());
  const SemaphoreGuard none = semaphore.TryAcquire();
  EXPECT_FALSE(none);
  EXPECT_TRUE(absl::IsUnavailable(none.status())) << none.status();
  EXPECT_TRUE(semaphore.TryAcquire(0).ok());
  both.Release();
  EXPECT_TRUE(semaphore.TryAcquire().ok());
}

TEST(SemaphoreTest, KeptPermitsAreGivenBackBySomebodyElse) {
  Semaphore semaphore(1);
  {
    SemaphoreGuard guard = semaphore.TryAcquire();
    guard.Keep();
  }
  EXPECT_EQ(semaphore.available(), 0);
  semaphore.Release();
  semaphore.Release(5);  // more than it began with
  EXPECT_EQ(semaphore.available(), 6);
}

TEST(SemaphoreTest, WaitersAreServedInTheOrderOfTheirArrival) {
  plait::Run([]() -> Task<void> {
    Semaphore semaphore(0);
    std::vector<int> order;
    std::vector<JoinHandle<absl::Status>> tasks;
    for (int i = 0; i < 4; ++i) tasks.push_back(Spawn(Take(&semaphore, 1, i, &order)));
    co_await Turns(3);
    semaphore.Release(2);
    EXPECT_FALSE(semaphore.TryAcquire());  // nobody overtakes
    co_await Turns(3);
    EXPECT_EQ(order, (std::vector<int>{0, 1}));
    semaphore.Release();
    semaphore.Release();
    for (auto& task : tasks) {
      const absl::Status status = co_await task;
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
    EXPECT_EQ(semaphore.available(), 0);
  }());
}

TEST(SemaphoreTest, OneThatWantsManyIsNotStarvedByThoseThatWantFew) {
  plait::Run([]() -> Task<void> {
    Semaphore semaphore(2);
    std::vector<int> order;
    JoinHandle<absl::Status> many = Spawn(Take(&semaphore, 3, 1, &order));
    co_await Turns(3);
    JoinHandle<absl::Status> few = Spawn(Take(&semaphore, 1, 2, &order));
    co_await Turns(3);
    EXPECT_TRUE(order.empty());            // there are two, but the first in the queue wants three
    EXPECT_FALSE(semaphore.TryAcquire());  // and nobody passes it
    EXPECT_EQ(semaphore.available(), 2);
    semaphore.Release();
    const absl::Status first = co_await many;
    EXPECT_TRUE(first.ok()) << first;
    EXPECT_EQ(order, (std::vector<int>{1}));
    semaphore.Release();
    const absl::Status second = co_await few;
    EXPECT_TRUE(second.ok()) << second;
  }());
}

// Trap: a cancel that races the completion, both ways.
TEST(SemaphoreTest, ACancelledAcquireTakesNothingAndLetsThoseBehindItGoOn) {
  plait::Run([]() -> Task<void> {
    Semaphore semaphore(2);
    std::vector<int> order;
    JoinHandle<absl::Status> many = Spawn(Take(&semaphore, 3, 1, &order));
    JoinHandle<absl::Status> few = Spawn(Take(&semaphore, 1, 2, &order));
    JoinHandle<absl::Status> fewer = Spawn(Take(&semaphore, 1, 3, &order));
    co_await Turns(3);
    many.Cancel();
    const absl::Status cancelled = co_await many;
    EXPECT_TRUE(absl::IsCancelled(cancelled)) << cancelled;
    const absl::Status second = co_await few;
    const absl::Status third = co_await fewer;
    EXPECT_TRUE(second.ok() && third.ok()) << second << third;
    EXPECT_EQ(order, (std::vector<int>{2, 3}));
    EXPECT_EQ(semaphore.available(), 0);
  }());
}

TEST(SemaphoreTest, AnAcquireThatWasServedBeforeTheCancelKeepsItsPermits) {
  plait::Run([]() -> Task<void> {
    Semaphore semaphore(0);
    std::vector<int> order;
    JoinHandle<absl::Status> task = Spawn(Take(&semaphore, 1, 1, &order));
    co_await Turns(3);
    semaphore.Release();
    task.Cancel();
    const absl::Status status = co_await task;
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(semaphore.available(), 0);
  }());
}

TEST(SemaphoreTest, AfterTheLastWaiterWasCancelledPermitsAreTakenAtOnceAgain) {
  plait::Run([]() -> Task<void> {
    Semaphore semaphore(1);
    std::vector<int> order;
    JoinHandle<absl::Status> task = Spawn(Take(&semaphore, 2, 1, &order));
    co_await Turns(3);
    task.Cancel();
    const absl::Status status = co_await task;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_TRUE(semaphore.TryAcquire());
    const SemaphoreGuard guard = co_await semaphore.Acquire();
    EXPECT_TRUE(guard.ok());
  }());
}

TEST(SemaphoreTest, OrReturnAndTimeoutTakeAnAcquire) {
  TestClock clock;
  plait::Run(
      [](TestClock* time) -> Task<void> {
        Semaphore semaphore(1);
        auto take = [](Semaphore* shared) -> Task<absl::StatusOr<int64_t>> {
          const SemaphoreGuard guard = co_await OrReturn(shared->Acquire());
          co_return guard.permits();
        };
        const absl::StatusOr<int64_t> taken = co_await take(&semaphore);
        EXPECT_TRUE(taken.ok() && *taken == 1) << taken.status();
        const absl::StatusOr<SemaphoreGuard> late =
            co_await Timeout(absl::Seconds(2), semaphore.Acquire(2));
        EXPECT_TRUE(absl::IsDeadlineExceeded(late.status())) << late.status();
        EXPECT_EQ(time->elapsed(), absl::Seconds(2));
        EXPECT_EQ(semaphore.available(), 1);
      }(&clock),
      {.clock = &clock});
}

TEST(SemaphoreTest, ANegativeNumberIsAClearError) {
  plait::Run([]() -> Task<void> {
    Semaphore semaphore(1);
    const SemaphoreGuard guard = co_await semaphore.Acquire(-1);
    EXPECT_FALSE(guard);
    EXPECT_EQ(guard.status(),
              absl::InvalidArgumentError("Semaphore: the number of permits is negative: -1"));
    EXPECT_TRUE(absl::IsInvalidArgument(semaphore.TryAcquire(-7).status()));
    EXPECT_EQ(semaphore.available(), 1);
  }());
}

TEST(SemaphoreTest, NothingIsAllocatedWaitOrNot) {
  plait::Run([]() -> Task<void> {
    Semaphore semaphore(1);
    auto take_twice = [](Semaphore* shared) -> Task<void> {
      for (int i = 0; i < 2; ++i) {
        auto guard = co_await shared->Acquire();
        co_await Yield();
      }
    };
    co_await Gather(take_twice(&semaphore), take_twice(&semaphore));  // fills the pools
    JoinHandle<void> a = Spawn(take_twice(&semaphore));
    JoinHandle<void> b = Spawn(take_twice(&semaphore));
    const int64_t before = AllocationCount();
    co_await a;
    co_await b;
    EXPECT_EQ(AllocationCount(), before);
  }());
}

TEST(BoundedSemaphoreTest, ReleasingBeyondTheBoundIsAnErrorAndAddsNothing) {
  BoundedSemaphore semaphore(2);
  const absl::Status beyond = semaphore.Release();
  EXPECT_EQ(beyond, absl::FailedPreconditionError(
                        "BoundedSemaphore: releasing 1 permits would make more than the bound of "
                        "2: they were not acquired"));
  EXPECT_EQ(semaphore.available(), 2);
  SemaphoreGuard guard = semaphore.TryAcquire(2);
  EXPECT_TRUE(absl::IsFailedPrecondition(semaphore.Release(3)));
  EXPECT_TRUE(absl::IsInvalidArgument(semaphore.Release(-1)));
  EXPECT_EQ(semaphore.available(), 0);
  EXPECT_TRUE(semaphore.Release(2).ok());
  guard.Release();  // they are back already
  EXPECT_EQ(semaphore.available(), 2);
}

TEST(BoundedSemaphoreTest, ReleasingBeyondTheBoundIsAnErrorWhileSomebodyWaitsToo) {
  plait::Run([]() -> Task<void> {
    BoundedSemaphore semaphore(2);
    auto take_both = [](BoundedSemaphore* shared) -> Task<absl::Status> {
      auto guard = co_await shared->Acquire(2);
      co_return guard.status();
    };
    SemaphoreGuard one = semaphore.TryAcquire();
    JoinHandle<absl::Status> task = Spawn(take_both(&semaphore));
    co_await Turns(3);
    EXPECT_TRUE(absl::IsFailedPrecondition(semaphore.Release(2)));
    one.Release();
    const absl::Status status = co_await task;
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(semaphore.available(), 2);
  }());
}

TEST(BoundedSemaphoreTest, AskingForMoreThanTheBoundIsAnErrorAndNotAWaitForEver) {
  plait::Run([]() -> Task<void> {
    BoundedSemaphore semaphore(2);
    const SemaphoreGuard guard = co_await semaphore.Acquire(3);
    EXPECT_TRUE(absl::IsInvalidArgument(guard.status())) << guard.status();
    EXPECT_TRUE(absl::IsInvalidArgument(semaphore.TryAcquire(3).status()));
    EXPECT_EQ(semaphore.available(), 2);
  }());
}

TEST(SemaphoreDeathTest, NonsenseIsRefusedWithASentence) {
  EXPECT_DEATH(Semaphore(-1), "a Semaphore cannot have -1 permits: that is negative");
  EXPECT_DEATH(BoundedSemaphore(-3), "a BoundedSemaphore cannot have -3 permits");
  EXPECT_DEATH(Semaphore(1).Release(-1), "the number of permits is negative: -1");
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 auto semaphore = std::make_unique<Semaphore>(0);
                 std::vector<int> order;
                 JoinHandle<absl::Status> task = Spawn(Take(semaphore.get(), 1, 1, &order));
                 co_await Turns(3);
                 semaphore = nullptr;
               }()),
               "a Semaphore was destroyed while a task waits");
}

}  // namespace
}  // namespace plait
