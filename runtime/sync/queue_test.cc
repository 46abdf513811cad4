#include "plait/runtime/sync/queue.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

Task<absl::Status> PutTask(Queue<int>* queue, int value) { co_return co_await queue->Put(value); }

Task<absl::StatusOr<int>> GetTask(Queue<int>* queue) { co_return co_await queue->Get(); }

Task<void> Turns(int times) {
  for (int i = 0; i < times; ++i) co_await Yield();
}

TEST(QueueTest, ItGivesWhatWasPutInOrderWithoutWaitingWhereThereIsRoom) {
  Queue<int> queue(3);
  EXPECT_EQ(queue.capacity(), 3u);
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.full());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.TryPut(i).ok());
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_TRUE(absl::IsResourceExhausted(queue.TryPut(3)));
  for (int i = 0; i < 3; ++i) {
    const absl::StatusOr<int> value = queue.TryGet();
    ASSERT_TRUE(value.ok());
    EXPECT_EQ(*value, i);
  }
  EXPECT_TRUE(absl::IsUnavailable(queue.TryGet().status()));
}

TEST(QueueTest, ATryPutThatFailsLeavesTheValueWithTheCaller) {
  Queue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.TryPut(std::make_unique<int>(1)).ok());
  auto value = std::make_unique<int>(2);
  EXPECT_TRUE(absl::IsResourceExhausted(queue.TryPut(std::move(value))));
  ASSERT_NE(value, nullptr);  // NOLINT: a refused item stays where it was
  queue.Close();
  EXPECT_TRUE(absl::IsFailedPrecondition(queue.TryPut(std::move(value))));
  ASSERT_NE(value, nullptr);  // NOLINT: a refused item stays where it was
}

TEST(QueueTest, AnUnboundedQueueIsNeverFullAndKeepsOrderAsItGrows) {
  Queue<int> queue;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(queue.TryPut(i).ok());
    EXPECT_FALSE(queue.full());
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(*queue.TryGet(), i);
  }
}

TEST(QueueTest, AGetWaitsForAPutAndAPutForRoom) {
  plait::Run([]() -> Task<void> {
    Queue<int> queue(1);
    JoinHandle<absl::StatusOr<int>> getter = Spawn(GetTask(&queue));
    co_await Turns(3);
    EXPECT_FALSE(getter.done());
    const absl::Status put = co_await queue.Put(1);
    EXPECT_TRUE(put.ok());
    const absl::StatusOr<int> got = co_await getter;
    EXPECT_EQ(*got, 1);

    EXPECT_TRUE(queue.TryPut(2).ok());
    JoinHandle<absl::Status> putter = Spawn(PutTask(&queue, 3));
    co_await Turns(3);
    EXPECT_FALSE(putter.done());
    EXPECT_EQ(queue.size(), 1u);
    const absl::StatusOr<int> two = co_await queue.Get();
    EXPECT_EQ(*two, 2);
    const absl::Status waited = co_await putter;
    EXPECT_TRUE(waited.ok());
    EXPECT_EQ(*queue.TryGet(), 3);
  }());
}

TEST(QueueTest, WaitingGettersAreServedInTheOrderOfTheirArrival) {
  plait::Run([]() -> Task<void> {
    Queue<int> queue(2);
    std::vector<JoinHandle<absl::StatusOr<int>>> getters;
    for (int i = 0; i < 5; ++i) getters.push_back(Spawn(GetTask(&queue)));
    co_await Turns(3);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(queue.TryPut(i).ok());  // handed over: never full
    EXPECT_TRUE(queue.empty());
    for (int i = 0; i < 5; ++i) {
      const absl::StatusOr<int> value = co_await getters[static_cast<size_t>(i)];
      EXPECT_EQ(*value, i);
    }
  }());
}

TEST(QueueTest, WaitingPuttersAreServedInTheOrderOfTheirArrivalAndNobodyOvertakesThem) {
  plait::Run([]() -> Task<void> {
    Queue<int> queue(1);
    EXPECT_TRUE(queue.TryPut(0).ok());
    std::vector<JoinHandle<absl::Status>> putters;
    for (int i = 1; i <= 4; ++i) putters.push_back(Spawn(PutTask(&queue, i)));
    co_await Turns(3);
    EXPECT_TRUE(absl::IsResourceExhausted(queue.TryPut(99)));
    for (int i = 0; i <= 4; ++i) {
      EXPECT_EQ(*queue.TryGet(), i);
      if (i < 4) {
        EXPECT_TRUE(absl::IsResourceExhausted(queue.TryPut(99)));
      }
    }
    for (auto& putter : putters) {
      const absl::Status status = co_await putter;
      EXPECT_TRUE(status.ok());
    }
    EXPECT_TRUE(queue.empty());
  }());
}

TEST(QueueTest, CloseReleasesWaitingGetters) {
  plait::Run([]() -> Task<void> {
    Queue<int> queue(1);
    JoinHandle<absl::StatusOr<int>> a = Spawn(GetTask(&queue));
    JoinHandle<absl::StatusOr<int>> b = Spawn(GetTask(&queue));
    co_await Turns(3);
    queue.Close();
    const absl::StatusOr<int> from_a = co_await a;
    const absl::StatusOr<int> from_b = co_await b;
    EXPECT_TRUE(absl::IsFailedPrecondition(from_a.status())) << from_a.status();
    EXPECT_TRUE(absl::IsFailedPrecondition(from_b.status())) << from_b.status();
  }());
}

TEST(QueueTest, CloseReleasesWaitingPuttersAndKeepsWhatIsIn) {
  plait::Run([]() -> Task<void> {
    Queue<int> queue(1);
    EXPECT_TRUE(queue.TryPut(1).ok());
    JoinHandle<absl::Status> putter = Spawn(PutTask(&queue, 2));
    co_await Turns(3);
    queue.Close();
    queue.Close();  // again
    const absl::Status put = co_await putter;
    EXPECT_TRUE(absl::IsFailedPrecondition(put)) << put;
    const absl::Status late = co_await queue.Put(3);
    EXPECT_TRUE(absl::IsFailedPrecondition(late)) << late;
    const absl::StatusOr<int> left = co_await queue.Get();
    EXPECT_TRUE(left.ok() && *left == 1) << left.status();
    const absl::StatusOr<int> none = co_await queue.Get();
    EXPECT_TRUE(absl::IsFailedPrecondition(none.status())) << none.status();
    EXPECT_TRUE(absl::IsFailedPrecondition(queue.TryGet().status()));
    EXPECT_TRUE(absl::IsFailedPrecondition(queue.TryPut(4)));
  }());
}

// Trap: the cancel that races the completion, decided in one thread.
TEST(QueueTest, ACancelledGetHasTakenNothingAndACancelledPutHasPutNothing) {
  plait::Run([]() -> Task<void> {
    Queue<int> queue(1);
    JoinHandle<absl::StatusOr<int>> cancelled = Spawn(GetTask(&queue));
    JoinHandle<absl::StatusOr<int>> next = Spawn(GetTask(&queue));
    co_await Turns(3);
    cancelled.Cancel();
    EXPECT_TRUE(queue.TryPut(1).ok());
    const absl::StatusOr<int> none = co_await cancelled;
    EXPECT_TRUE(absl::IsCancelled(none.status())) << none.status();
    const absl::StatusOr<int> one = co_await next;
    EXPECT_TRUE(one.ok() && *one == 1) << one.status();

    EXPECT_TRUE(queue.TryPut(2).ok());
    JoinHandle<absl::Status> cancelled_put = Spawn(PutTask(&queue, 3));
    JoinHandle<absl::Status> next_put = Spawn(PutTask(&queue, 4));
    co_await Turns(3);
    cancelled_put.Cancel();
    EXPECT_EQ(*queue.TryGet(), 2);
    const absl::Status put = co_await cancelled_put;
    EXPECT_TRUE(absl::IsCancelled(put)) << put;
    const absl::Status put_next = co_await next_put;
    EXPECT_TRUE(put_next.ok()) << put_next;
    EXPECT_EQ(*queue.TryGet(), 4);
    EXPECT_TRUE(queue.empty());
  }());
}

TEST(QueueTest, AGetThatWasServedBeforeTheCancelKeepsItsItem) {
  plait::Run([]() -> Task<void> {
    Queue<int> queue(1);
    JoinHandle<absl::StatusOr<int>> getter = Spawn(GetTask(&queue));
    co_await Turns(3);
    EXPECT_TRUE(queue.TryPut(1).ok());
    getter.Cancel();
    const absl::StatusOr<int> value = co_await getter;
    EXPECT_TRUE(value.ok() && *value == 1) << value.status();
  }());
}

// As when a program ends right after it has put the last item.
TEST(QueueTest, AGetThatWasServedNeedsTheQueueNoMoreEvenIfItIsThenCancelled) {
  plait::Run([]() -> Task<void> {
    auto queue = std::make_unique<Queue<int>>(1);
    JoinHandle<absl::StatusOr<int>> getter = Spawn(GetTask(queue.get()));
    co_await Turns(3);
    EXPECT_TRUE(queue->TryPut(1).ok());
    queue = nullptr;
    getter.Cancel();
    const absl::StatusOr<int> value = co_await getter;
    EXPECT_TRUE(value.ok() && *value == 1) << value.status();
  }());
}

TEST(QueueTest, AWaitInACancelledTaskEndsAtOnce) {
  plait::Run([]() -> Task<void> {
    auto cancelled_get = [](Queue<int>* queue) -> Task<absl::StatusOr<int>> {
      CurrentTask().Cancel();
      co_return co_await queue->Get();
    };
    auto cancelled_put = [](Queue<int>* queue) -> Task<absl::Status> {
      CurrentTask().Cancel();
      co_return co_await queue->Put(9);
    };
    Queue<int> queue(1);
    const absl::StatusOr<int> got = co_await Spawn(cancelled_get(&queue));
    EXPECT_TRUE(absl::IsCancelled(got.status())) << got.status();
    EXPECT_TRUE(queue.TryPut(1).ok());
    const absl::Status put = co_await Spawn(cancelled_put(&queue));
    EXPECT_TRUE(absl::IsCancelled(put)) << put;
    EXPECT_EQ(queue.size(), 1u);
  }());
}

TEST(QueueTest, ItCarriesMoveOnlyItemsAndFreesThoseThatAreLeft) {
  auto counted = std::make_shared<int>(1);
  plait::Run([](std::shared_ptr<int> item) -> Task<void> {
    Queue<std::unique_ptr<std::shared_ptr<int>>> queue(2);
    const absl::Status put =
        co_await queue.Put(std::make_unique<std::shared_ptr<int>>(std::move(item)));
    EXPECT_TRUE(put.ok());
    auto got = co_await queue.Get();
    EXPECT_TRUE(got.ok());
    const absl::Status again = co_await queue.Put(*std::move(got));
    EXPECT_TRUE(again.ok());
  }(counted));
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(QueueTest, JoinWaitsUntilEveryItemIsDone) {
  plait::Run([]() -> Task<void> {
    auto join = [](Queue<int>* queue) -> Task<absl::Status> { co_return co_await queue->Join(); };
    Queue<int> queue;
    const absl::Status nothing = co_await queue.Join();
    EXPECT_TRUE(nothing.ok()) << nothing;
    EXPECT_TRUE(queue.TryPut(1).ok());
    EXPECT_TRUE(queue.TryPut(2).ok());
    JoinHandle<absl::Status> a = Spawn(join(&queue));
    JoinHandle<absl::Status> b = Spawn(join(&queue));
    EXPECT_TRUE(queue.TryGet().ok());
    EXPECT_TRUE(queue.TryGet().ok());
    co_await Turns(3);
    EXPECT_FALSE(a.done());  // taken is not done
    EXPECT_TRUE(queue.TaskDone().ok());
    co_await Turns(3);
    EXPECT_FALSE(a.done());
    EXPECT_TRUE(queue.TaskDone().ok());
    const absl::Status first = co_await a;
    const absl::Status second = co_await b;
    EXPECT_TRUE(first.ok() && second.ok()) << first << second;
  }());
}

TEST(QueueTest, ItemsOfPuttersAndGettersThatWaitedCountForJoinToo) {
  plait::Run([]() -> Task<void> {
    Queue<int> queue(1);
    JoinHandle<absl::StatusOr<int>> getter = Spawn(GetTask(&queue));
    co_await Turns(3);
    EXPECT_TRUE(queue.TryPut(1).ok());  // handed to the getter
    EXPECT_TRUE(queue.TryPut(2).ok());
    JoinHandle<absl::Status> putter = Spawn(PutTask(&queue, 3));
    co_await Turns(3);
    EXPECT_TRUE(queue.TryGet().ok());  // lets the putter in
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.TaskDone().ok());
    EXPECT_TRUE(absl::IsFailedPrecondition(queue.TaskDone()));
    const absl::StatusOr<int> got = co_await getter;
    const absl::Status put = co_await putter;
    EXPECT_TRUE(got.ok() && put.ok());
  }());
}

TEST(QueueTest, TaskDoneTooOftenIsAnError) {
  Queue<int> queue;
  EXPECT_EQ(queue.TaskDone(),
            absl::FailedPreconditionError("TaskDone was called more often than items were put"));
  EXPECT_TRUE(queue.TryPut(1).ok());
  EXPECT_TRUE(queue.TaskDone().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(queue.TaskDone()));
}

TEST(QueueTest, ACancelledJoinEndsAlone) {
  plait::Run([]() -> Task<void> {
    auto join = [](Queue<int>* queue) -> Task<absl::Status> { co_return co_await queue->Join(); };
    Queue<int> queue;
    EXPECT_TRUE(queue.TryPut(1).ok());
    JoinHandle<absl::Status> cancelled = Spawn(join(&queue));
    JoinHandle<absl::Status> stays = Spawn(join(&queue));
    co_await Turns(3);
    cancelled.Cancel();
    const absl::Status status = co_await cancelled;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_FALSE(stays.done());
    EXPECT_TRUE(queue.TaskDone().ok());
    const absl::Status joined = co_await stays;
    EXPECT_TRUE(joined.ok()) << joined;
  }());
}

TEST(QueueTest, ClosingAtOnceDropsWhatIsLeftAndJoinDoesNotWaitForIt) {
  auto counted = std::make_shared<int>(1);
  plait::Run([](std::shared_ptr<int> item) -> Task<void> {
    auto join = [](Queue<std::shared_ptr<int>>* queue) -> Task<absl::Status> {
      co_return co_await queue->Join();
    };
    auto put = [](Queue<std::shared_ptr<int>>* queue,
                  std::shared_ptr<int> value) -> Task<absl::Status> {
      co_return co_await queue->Put(std::move(value));
    };
    Queue<std::shared_ptr<int>> queue(3);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.TryPut(item).ok());
    EXPECT_TRUE(queue.TryGet().ok());  // taken, and not done
    EXPECT_TRUE(queue.TryPut(item).ok());
    JoinHandle<absl::Status> putter = Spawn(put(&queue, item));
    JoinHandle<absl::Status> joiner = Spawn(join(&queue));
    co_await Turns(3);
    queue.Close(/*immediate=*/true);
    EXPECT_TRUE(queue.empty());
    const absl::Status refused = co_await putter;
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_TRUE(absl::IsFailedPrecondition(queue.TryGet().status()));
    co_await Turns(3);
    EXPECT_FALSE(joiner.done());  // for the one that was taken
    EXPECT_TRUE(queue.TaskDone().ok());
    const absl::Status joined = co_await joiner;
    EXPECT_TRUE(joined.ok()) << joined;
  }(counted));
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(QueueTest, AClosedQueueCanStillBeClosedAtOnce) {
  plait::Run([]() -> Task<void> {
    Queue<int> queue;
    EXPECT_TRUE(queue.TryPut(1).ok());
    queue.Close();
    EXPECT_EQ(queue.size(), 1u);
    queue.Close(true);
    EXPECT_TRUE(queue.empty());
    const absl::Status joined = co_await queue.Join();
    EXPECT_TRUE(joined.ok()) << joined;
  }());
}

// What frees an item may use the queue.
TEST(QueueTest, DroppedItemsAreFreedOutsideOfTheQueuesLock) {
  Queue<std::shared_ptr<void>> queue;
  size_t seen = 99;
  EXPECT_TRUE(
      queue.TryPut(std::shared_ptr<void>(&queue, [&](void*) { seen = queue.size(); })).ok());
  queue.Close(true);
  EXPECT_EQ(seen, 0u);
}

TEST(QueueDeathTest, ItNeedsACapacityAndOutlivesItsWaiters) {
  EXPECT_DEATH(Queue<int>(0), "a Queue needs a capacity of at least 1");
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 auto queue = std::make_unique<Queue<int>>(1);
                 JoinHandle<absl::StatusOr<int>> getter = Spawn(GetTask(queue.get()));
                 co_await Turns(3);
                 queue = nullptr;
               }()),
               "a Queue was destroyed while a task waits on it");
}

// --- threads ---

Task<absl::Status> Produce(Queue<int64_t>* queue, int64_t first, int count) {
  for (int i = 0; i < count; ++i) co_await OrReturn(queue->Put(first + i));
  co_return absl::OkStatus();
}

Task<int64_t> ConsumeAll(Queue<int64_t>* queue, int* count) {
  int64_t sum = 0;
  for (;;) {
    const absl::StatusOr<int64_t> item = co_await queue->Get();
    if (!item.ok()) {
      EXPECT_TRUE(absl::IsFailedPrecondition(item.status())) << item.status();
      co_return sum;
    }
    sum += *item;
    ++*count;
  }
}

// Traps: the wake-up lost between check and park, as every side waits now and then on a queue this
// small.
TEST(QueueStressTest, NothingIsLostOrDoubledBetweenLoopsOnSeveralThreads) {
  constexpr int kProducers = 2;
  constexpr int kConsumers = 2;
  const int items = Repeats(4000);
  for (const size_t capacity : {size_t{1}, size_t{3}, Queue<int64_t>::kUnbounded}) {
    Queue<int64_t> queue(capacity);
    std::vector<Thread> producers;
    std::vector<Thread> consumers;
    std::vector<int64_t> sums(kConsumers);
    std::vector<int> counts(kConsumers);
    for (int c = 0; c < kConsumers; ++c) {
      consumers.push_back(StartThread("consumer", [&, c] {
        EventLoop loop(MakeReactor());
        const auto index = static_cast<size_t>(c);
        sums[index] = BlockOn(loop, ConsumeAll(&queue, &counts[index]));
      }));
    }
    for (int p = 0; p < kProducers; ++p) {
      producers.push_back(StartThread("producer", [&, p] {
        EventLoop loop(MakeReactor());
        const absl::Status status = BlockOn(loop, Produce(&queue, int64_t{p} * items, items));
        EXPECT_TRUE(status.ok()) << status;
      }));
    }
    for (Thread& thread : producers) thread.join();
    queue.Close();
    for (Thread& thread : consumers) thread.join();
    const int64_t total = int64_t{kProducers} * items;
    EXPECT_EQ(counts[0] + counts[1], total);
    EXPECT_EQ(sums[0] + sums[1], total * (total - 1) / 2);
  }
}

Task<int> GetWithCancels(Queue<int>* queue, int wanted) {
  int got = 0;
  for (int attempt = 0; got < wanted; ++attempt) {
    JoinHandle<absl::StatusOr<int>> getter = Spawn(GetTask(queue));
    // Cancelled before it began, while it begins or waits, and later.
    for (int i = 0; i < attempt % 4; ++i) co_await Yield();
    getter.Cancel();
    const absl::StatusOr<int> item = co_await getter;
    if (item.ok()) {
      EXPECT_EQ(*item, got);  // none lost, none doubled, in order
      ++got;
    } else {
      EXPECT_TRUE(absl::IsCancelled(item.status())) << item.status();
      co_await Yield();
    }
  }
  co_return got;
}

Task<absl::Status> PutInOrder(Queue<int>* queue, int count) {
  for (int i = 0; i < count; ++i) co_await OrReturn(queue->Put(i));
  co_return absl::OkStatus();
}

// Trap: the cancel that races the completion, here on another thread's put.
TEST(QueueStressTest, CancelledGetsLoseNothingWhileAnotherThreadPuts) {
  const int items = Repeats(3000);
  Queue<int> queue(1);
  Thread producer = StartThread("producer", [&] {
    EventLoop loop(MakeReactor());
    const absl::Status status = BlockOn(loop, PutInOrder(&queue, items));
    EXPECT_TRUE(status.ok()) << status;
  });
  EventLoop loop(MakeReactor());
  EXPECT_EQ(BlockOn(loop, GetWithCancels(&queue, items)), items);
  producer.join();
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace plait
