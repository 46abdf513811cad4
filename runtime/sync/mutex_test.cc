#include "plait/runtime/sync/mutex.h"

#include <memory>
#include <optional>
#include <type_traits>
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

// Locks, notes its number, and lets others run while it holds the mutex.
Task<absl::Status> HoldForATurn(Mutex* mutex, int number, std::vector<int>* order) {
  MutexGuard guard = co_await mutex->Lock();
  if (!guard.ok()) co_return guard.status();
  order->push_back(number);
  co_await Yield();
  order->push_back(number);
  co_return absl::OkStatus();
}

TEST(MutexTest, AFreeMutexIsLockedAtOnceAndTheGuardsEndUnlocksIt) {
  plait::Run([]() -> Task<void> {
    Mutex mutex;
    EXPECT_FALSE(mutex.locked());
    {
      auto guard = co_await mutex.Lock();
      EXPECT_TRUE(guard);
      EXPECT_TRUE(guard.ok());
      EXPECT_TRUE(guard.status().ok());
      EXPECT_EQ(guard.mutex(), &mutex);
      EXPECT_TRUE(mutex.locked());
    }
    EXPECT_FALSE(mutex.locked());
  }());
}

TEST(MutexTest, TryLockDoesNotWaitAndSaysWhyItHoldsNothing) {
  Mutex mutex;
  MutexGuard first = mutex.TryLock();
  EXPECT_TRUE(first.ok());
  const MutexGuard second = mutex.TryLock();
  EXPECT_FALSE(second);
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
  first.Unlock();
  EXPECT_FALSE(first);
  EXPECT_TRUE(absl::IsFailedPrecondition(first.status())) << first.status();
  first.Unlock();  // nothing to do
  EXPECT_TRUE(mutex.TryLock().ok());
  EXPECT_FALSE(mutex.locked());
}

TEST(MutexTest, AGuardMovesAndOnlyTheLastOneUnlocks) {
  static_assert(!std::is_copy_constructible_v<MutexGuard>);
  Mutex mutex;
  Mutex other;
  MutexGuard guard = mutex.TryLock();
  MutexGuard moved = std::move(guard);
  EXPECT_FALSE(guard.ok());  // NOLINT: moved from, it holds nothing
  EXPECT_TRUE(absl::IsFailedPrecondition(guard.status())) << guard.status();
  EXPECT_TRUE(moved.ok());
  moved = other.TryLock();  // what it held before is unlocked
  EXPECT_FALSE(mutex.locked());
  EXPECT_EQ(moved.mutex(), &other);
  moved = MutexGuard();
  EXPECT_FALSE(other.locked());
}

TEST(MutexTest, WaitersGetItInTheOrderOfTheirArrivalAndNobodyIsInsideWithAnother) {
  plait::Run([]() -> Task<void> {
    Mutex mutex;
    std::vector<int> order;
    std::vector<JoinHandle<absl::Status>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(Spawn(HoldForATurn(&mutex, i, &order)));
    for (auto& task : tasks) {
      const absl::Status status = co_await task;
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(order, (std::vector<int>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4}));
    EXPECT_FALSE(mutex.locked());
  }());
}

TEST(MutexTest, NobodyOvertakesAWaiterWhileTheMutexIsOnItsWayToIt) {
  plait::Run([]() -> Task<void> {
    Mutex mutex;
    std::vector<int> order;
    MutexGuard guard = co_await mutex.Lock();
    JoinHandle<absl::Status> waiter = Spawn(HoldForATurn(&mutex, 1, &order));
    co_await Turns(3);
    guard.Unlock();
    // The waiter has not run yet, but the mutex is its own.
    EXPECT_TRUE(mutex.locked());
    EXPECT_FALSE(mutex.TryLock());
    guard = co_await mutex.Lock();
    EXPECT_EQ(order, (std::vector<int>{1, 1}));
    guard.Unlock();
    const absl::Status status = co_await waiter;
    EXPECT_TRUE(status.ok()) << status;
  }());
}

// Trap: a cancel that races the completion; here it comes first.
TEST(MutexTest, ACancelledLockHoldsNothingAndLeavesTheQueue) {
  plait::Run([]() -> Task<void> {
    Mutex mutex;
    std::vector<int> order;
    MutexGuard guard = co_await mutex.Lock();
    JoinHandle<absl::Status> cancelled = Spawn(HoldForATurn(&mutex, 1, &order));
    JoinHandle<absl::Status> next = Spawn(HoldForATurn(&mutex, 2, &order));
    co_await Turns(3);
    cancelled.Cancel();
    const absl::Status status = co_await cancelled;  // while the mutex is held
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    guard.Unlock();
    const absl::Status got = co_await next;
    EXPECT_TRUE(got.ok()) << got;
    EXPECT_EQ(order, (std::vector<int>{2, 2}));
    EXPECT_FALSE(mutex.locked());
  }());
}

TEST(MutexTest, AMutexWhoseWaitersWereAllCancelledIsFreeAfterTheUnlock) {
  plait::Run([]() -> Task<void> {
    Mutex mutex;
    std::vector<int> order;
    MutexGuard guard = co_await mutex.Lock();
    JoinHandle<absl::Status> cancelled = Spawn(HoldForATurn(&mutex, 1, &order));
    co_await Turns(3);
    cancelled.Cancel();
    const absl::Status status = co_await cancelled;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    guard.Unlock();
    EXPECT_FALSE(mutex.locked());
    EXPECT_TRUE(mutex.TryLock());
  }());
}

// Trap: a cancel that races the completion; here it comes second, and nothing is lost.
TEST(MutexTest, ALockThatWasHandedOverBeforeTheCancelHoldsTheMutex) {
  plait::Run([]() -> Task<void> {
    Mutex mutex;
    std::vector<int> order;
    MutexGuard guard = co_await mutex.Lock();
    JoinHandle<absl::Status> waiter = Spawn(HoldForATurn(&mutex, 1, &order));
    co_await Turns(3);
    guard.Unlock();
    waiter.Cancel();
    const absl::Status status = co_await waiter;
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(order, (std::vector<int>{1, 1}));
    EXPECT_FALSE(mutex.locked());
  }());
}

TEST(MutexTest, InACancelledTaskAFreeMutexIsLockedAndATakenOneIsNotWaitedFor) {
  plait::Run([]() -> Task<void> {
    auto lock = [](Mutex* mutex) -> Task<absl::StatusCode> {
      CurrentTask().Cancel();
      auto guard = co_await mutex->Lock();
      co_return guard.status().code();
    };
    Mutex mutex;
    EXPECT_EQ(co_await Spawn(lock(&mutex)), absl::StatusCode::kOk);
    MutexGuard guard = mutex.TryLock();
    EXPECT_EQ(co_await Spawn(lock(&mutex)), absl::StatusCode::kCancelled);
  }());
}

Task<absl::StatusOr<int>> LockOrEnd(Mutex* mutex) {
  const MutexGuard guard = co_await OrReturn(mutex->Lock());
  EXPECT_TRUE(guard.ok());
  co_return 7;
}

TEST(MutexTest, OrReturnGivesAGuardThatHoldsOrEndsTheCoroutine) {
  plait::Run([]() -> Task<void> {
    Mutex mutex;
    const absl::StatusOr<int> at_once = co_await LockOrEnd(&mutex);
    EXPECT_TRUE(at_once.ok() && *at_once == 7) << at_once.status();

    MutexGuard guard = mutex.TryLock();
    JoinHandle<absl::StatusOr<int>> waiting = Spawn(LockOrEnd(&mutex));
    JoinHandle<absl::StatusOr<int>> cancelled = Spawn(LockOrEnd(&mutex));
    co_await Turns(3);
    cancelled.Cancel();
    const absl::StatusOr<int> ended = co_await cancelled;
    EXPECT_TRUE(absl::IsCancelled(ended.status())) << ended.status();
    guard.Unlock();
    const absl::StatusOr<int> waited = co_await waiting;
    EXPECT_TRUE(waited.ok() && *waited == 7) << waited.status();
    EXPECT_FALSE(mutex.locked());
  }());
}

TEST(MutexTest, ATimeoutBoundsTheWaitForIt) {
  TestClock clock;
  plait::Run(
      [](TestClock* time) -> Task<void> {
        Mutex mutex;
        {
          const absl::StatusOr<MutexGuard> free = co_await Timeout(absl::Seconds(1), mutex.Lock());
          EXPECT_TRUE(free.ok()) << free.status();
          EXPECT_TRUE(mutex.locked());
        }
        const MutexGuard guard = mutex.TryLock();
        const absl::StatusOr<MutexGuard> taken = co_await Timeout(absl::Seconds(1), mutex.Lock());
        EXPECT_TRUE(absl::IsDeadlineExceeded(taken.status())) << taken.status();
        EXPECT_EQ(time->elapsed(), absl::Seconds(1));
      }(&clock),
      {.clock = &clock});
}

TEST(MutexTest, UncancellableWaitsForItInACancelledTaskToo) {
  plait::Run([]() -> Task<void> {
    auto clean_up = [](Mutex* mutex) -> Task<bool> {
      CurrentTask().Cancel();
      auto guard = co_await Uncancellable(mutex->Lock());
      co_return guard.ok();
    };
    Mutex mutex;
    MutexGuard guard = mutex.TryLock();
    JoinHandle<bool> task = Spawn(clean_up(&mutex));
    co_await Turns(5);
    EXPECT_FALSE(task.done());
    guard.Unlock();
    EXPECT_TRUE(co_await task);
  }());
}

TEST(MutexTest, LockingAllocatesNothingWaitOrNot) {
  plait::Run([]() -> Task<void> {
    Mutex mutex;
    std::vector<int> order;
    order.reserve(100);
    auto lock_twice = [](Mutex* shared) -> Task<void> {
      for (int i = 0; i < 2; ++i) {
        auto guard = co_await shared->Lock();
        co_await Yield();
      }
    };
    co_await Gather(lock_twice(&mutex), lock_twice(&mutex));  // fills the pools
    JoinHandle<void> a = Spawn(lock_twice(&mutex));
    JoinHandle<void> b = Spawn(lock_twice(&mutex));
    const int64_t before = AllocationCount();
    co_await a;
    co_await b;
    EXPECT_EQ(AllocationCount(), before);
  }());
}

TEST(MutexDeathTest, ItOutlivesItsHoldersAndItsWaiters) {
  EXPECT_DEATH(
      {
        auto mutex = std::make_unique<Mutex>();
        auto guard = mutex->TryLock();
        mutex = nullptr;
      },
      "a Mutex was destroyed while somebody holds it");
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 auto mutex = std::make_unique<Mutex>();
                 std::vector<int> order;
                 MutexGuard guard = mutex->TryLock();
                 JoinHandle<absl::Status> waiter = Spawn(HoldForATurn(mutex.get(), 1, &order));
                 co_await Turns(3);
                 mutex = nullptr;
               }()),
               "a Mutex was destroyed while a task waits for it");
}

}  // namespace
}  // namespace plait
