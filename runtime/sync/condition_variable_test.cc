#include "plait/runtime/sync/condition_variable.h"

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using testing_programs::Turns;

struct Shared {
  Mutex mutex;
  ConditionVariable changed;
  std::deque<int> items;
  std::vector<int> order;
};

// Waits for one notification; notes its number with the mutex held.
Task<absl::Status> WaitOnce(Shared* shared, int number) {
  MutexGuard guard = co_await shared->mutex.Lock();
  const absl::Status status = co_await shared->changed.Wait(guard);
  EXPECT_TRUE(guard.ok());  // whatever comes of it
  EXPECT_EQ(guard.mutex(), &shared->mutex);
  if (status.ok()) shared->order.push_back(number);
  co_return status;
}

Task<absl::StatusOr<int>> TakeItem(Shared* shared) {
  MutexGuard guard = co_await shared->mutex.Lock();
  co_await OrReturn(shared->changed.Wait(guard, [shared] { return !shared->items.empty(); }));
  const int item = shared->items.front();
  shared->items.pop_front();
  co_return item;
}

TEST(ConditionVariableTest, AWaitLetsGoOfTheMutexAndHasItAgainAfterwards) {
  plait::Run([]() -> Task<void> {
    Shared shared;
    JoinHandle<absl::Status> waiting = Spawn(WaitOnce(&shared, 1));
    co_await Turns(3);
    EXPECT_FALSE(shared.mutex.locked());
    MutexGuard guard = co_await shared.mutex.Lock();
    shared.changed.NotifyOne();
    co_await Turns(5);
    EXPECT_FALSE(waiting.done());  // notified, and waiting for the mutex
    guard.Unlock();
    const absl::Status status = co_await waiting;
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_FALSE(shared.mutex.locked());
  }());
}

TEST(ConditionVariableTest, NotifyOneWakesTheOneThatHasWaitedLongestAndNotifyAllEveryone) {
  plait::Run([]() -> Task<void> {
    Shared shared;
    shared.changed.NotifyOne();  // nobody waits: lost
    shared.changed.NotifyAll();
    std::vector<JoinHandle<absl::Status>> waiting;
    for (int i = 0; i < 5; ++i) waiting.push_back(Spawn(WaitOnce(&shared, i)));
    co_await Turns(3);
    EXPECT_TRUE(shared.order.empty());
    shared.changed.NotifyOne();
    shared.changed.NotifyOne();
    co_await Turns(5);
    EXPECT_EQ(shared.order, (std::vector<int>{0, 1}));
    shared.changed.NotifyAll();
    for (auto& task : waiting) {
      const absl::Status status = co_await task;
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(shared.order, (std::vector<int>{0, 1, 2, 3, 4}));
  }());
}

TEST(ConditionVariableTest, ThePredicateDecidesAndIsAskedFirst) {
  plait::Run([]() -> Task<void> {
    Shared shared;
    shared.items.push_back(1);
    const absl::StatusOr<int> at_once = co_await TakeItem(&shared);
    EXPECT_TRUE(at_once.ok() && *at_once == 1) << at_once.status();
    JoinHandle<absl::StatusOr<int>> taker = Spawn(TakeItem(&shared));
    co_await Turns(3);
    shared.changed.NotifyOne();  // of nothing
    co_await Turns(5);
    EXPECT_FALSE(taker.done());
    {
      MutexGuard guard = co_await shared.mutex.Lock();
      shared.items.push_back(2);
      shared.changed.NotifyOne();
    }
    const absl::StatusOr<int> two = co_await taker;
    EXPECT_TRUE(two.ok() && *two == 2) << two.status();
  }());
}

// Trap: a cancel that races the completion; here it comes first.
TEST(ConditionVariableTest, ACancelledWaitHasTheMutexAgainBeforeItGoesOn) {
  plait::Run([]() -> Task<void> {
    Shared shared;
    JoinHandle<absl::Status> waiting = Spawn(WaitOnce(&shared, 1));
    co_await Turns(3);
    MutexGuard guard = co_await shared.mutex.Lock();
    waiting.Cancel();
    co_await Turns(5);
    EXPECT_FALSE(waiting.done());  // we hold the mutex
    guard.Unlock();
    const absl::Status status = co_await waiting;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_FALSE(shared.mutex.locked());
  }());
}

TEST(ConditionVariableTest, ANotificationGoesPastACancelledWaitToTheNext) {
  plait::Run([]() -> Task<void> {
    Shared shared;
    JoinHandle<absl::Status> cancelled = Spawn(WaitOnce(&shared, 1));
    JoinHandle<absl::Status> next = Spawn(WaitOnce(&shared, 2));
    co_await Turns(3);
    cancelled.Cancel();
    shared.changed.NotifyOne();  // before the cancelled one has gone on
    const absl::Status none = co_await cancelled;
    EXPECT_TRUE(absl::IsCancelled(none)) << none;
    const absl::Status status = co_await next;
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(shared.order, (std::vector<int>{2}));
  }());
}

// Trap: a cancel that races the completion; here it comes second, and the notification is used.
TEST(ConditionVariableTest, AWaitThatWasNotifiedBeforeTheCancelSucceeds) {
  plait::Run([]() -> Task<void> {
    Shared shared;
    JoinHandle<absl::Status> waiting = Spawn(WaitOnce(&shared, 1));
    co_await Turns(3);
    MutexGuard guard = co_await shared.mutex.Lock();
    shared.changed.NotifyOne();
    waiting.Cancel();
    co_await Turns(3);
    EXPECT_FALSE(waiting.done());  // the wait for the mutex is not cut short
    guard.Unlock();
    const absl::Status status = co_await waiting;
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(shared.order, (std::vector<int>{1}));
  }());
}

TEST(ConditionVariableTest, ATimeoutBoundsTheWaitAndTheMutexIsHeldAfterIt) {
  TestClock clock;
  plait::Run(
      [](TestClock* time) -> Task<void> {
        Shared shared;
        MutexGuard guard = co_await shared.mutex.Lock();
        const absl::Status late = co_await Timeout(absl::Seconds(1), shared.changed.Wait(guard));
        EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
        EXPECT_TRUE(guard.ok());
        EXPECT_EQ(time->elapsed(), absl::Seconds(1));
      }(&clock),
      {.clock = &clock});
}

TEST(ConditionVariableTest, WaitingWithoutTheMutexIsAnError) {
  plait::Run([]() -> Task<void> {
    ConditionVariable variable;
    MutexGuard nothing;
    const absl::Status plain = co_await variable.Wait(nothing);
    EXPECT_TRUE(absl::IsFailedPrecondition(plain)) << plain;
    const absl::Status with_predicate = co_await variable.Wait(nothing, [] { return true; });
    EXPECT_TRUE(absl::IsFailedPrecondition(with_predicate)) << with_predicate;
  }());
}

TEST(ConditionVariableDeathTest, ItOutlivesItsWaiters) {
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 auto wait = [](Mutex* mutex, ConditionVariable* variable) -> Task<void> {
                   MutexGuard guard = co_await mutex->Lock();
                   const absl::Status status = co_await variable->Wait(guard);
                   EXPECT_TRUE(status.ok());
                 };
                 Mutex mutex;
                 auto variable = std::make_unique<ConditionVariable>();
                 JoinHandle<void> waiting = Spawn(wait(&mutex, variable.get()));
                 co_await Turns(3);
                 variable = nullptr;
               }()),
               "a ConditionVariable was destroyed while a task waits for it");
}

}  // namespace
}  // namespace plait
