// What PriorityQueue and LifoQueue do otherwise than Queue, and that the rest holds for them too.
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/sync/lifo_queue.h"
#include "plait/runtime/sync/priority_queue.h"
#include "plait/runtime/sync/queue.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using testing_programs::Turns;

template <class Q>
std::vector<int> TakeAll(Q& queue) {
  std::vector<int> items;
  for (;;) {
    const absl::StatusOr<int> item = queue.TryGet();
    if (!item.ok()) return items;
    items.push_back(*item);
  }
}

template <class Q>
void PutAll(Q& queue, const std::vector<int>& items) {
  for (const int item : items) EXPECT_TRUE(queue.TryPut(item).ok());
}

TEST(PriorityQueueTest, TheSmallestComesFirst) {
  PriorityQueue<int> queue;
  PutAll(queue, {5, 1, 4, 1, 3, 9, 2});
  EXPECT_EQ(TakeAll(queue), (std::vector<int>{1, 1, 2, 3, 4, 5, 9}));
}

TEST(PriorityQueueTest, ItGoesByTheComparisonThatItIsGiven) {
  PriorityQueue<int, std::greater<>> largest_first;
  PutAll(largest_first, {5, 1, 4});
  EXPECT_EQ(TakeAll(largest_first), (std::vector<int>{5, 4, 1}));

  int centre = 10;
  auto nearer = [&centre](int a, int b) { return std::abs(a - centre) < std::abs(b - centre); };
  PriorityQueue<int, decltype(nearer)> nearest_first(100, nearer);
  PutAll(nearest_first, {1, 12, 9, 20});
  EXPECT_EQ(TakeAll(nearest_first), (std::vector<int>{9, 12, 1, 20}));
  nearest_first.Close(true);
}

TEST(PriorityQueueTest, OfEqualItemsTheFirstComesFirst) {
  using Job = std::pair<int, std::string>;
  struct ByRank {
    bool operator()(const Job& a, const Job& b) const { return a.first < b.first; }
  };
  PriorityQueue<Job, ByRank> queue;
  for (const char* name : {"a", "b", "c", "d"}) {
    EXPECT_TRUE(queue.TryPut(Job(2, name)).ok());
    EXPECT_TRUE(queue.TryPut(Job(1, name)).ok());
  }
  std::string order;
  for (int i = 0; i < 8; ++i) order += queue.TryGet()->second;
  EXPECT_EQ(order, "abcdabcd");
}

TEST(PriorityQueueTest, ItCarriesMoveOnlyItems) {
  struct ByValue {
    bool operator()(const std::unique_ptr<int>& a, const std::unique_ptr<int>& b) const {
      return *a < *b;
    }
  };
  PriorityQueue<std::unique_ptr<int>, ByValue> queue;
  for (const int n : {3, 1, 2}) EXPECT_TRUE(queue.TryPut(std::make_unique<int>(n)).ok());
  for (const int n : {1, 2, 3}) EXPECT_EQ(**queue.TryGet(), n);
}

TEST(LifoQueueTest, TheLastComesFirst) {
  LifoQueue<int> queue;
  PutAll(queue, {1, 2, 3});
  EXPECT_EQ(*queue.TryGet(), 3);
  PutAll(queue, {4});
  EXPECT_EQ(TakeAll(queue), (std::vector<int>{4, 2, 1}));
}

template <class Q>
class AnyQueueTest : public testing::Test {};

using QueueKinds = testing::Types<Queue<int>, PriorityQueue<int>, LifoQueue<int>>;
class KindName {
 public:
  template <class Q>
  static std::string GetName(int) {
    if (std::is_same_v<Q, Queue<int>>) return "Fifo";
    return std::is_same_v<Q, LifoQueue<int>> ? "Lifo" : "Priority";
  }
};
TYPED_TEST_SUITE(AnyQueueTest, QueueKinds, KindName);

template <class Q>
Task<absl::Status> PutTask(Q* queue, int value) {
  co_return co_await queue->Put(value);
}
template <class Q>
Task<absl::StatusOr<int>> GetTask(Q* queue) {
  co_return co_await queue->Get();
}

TYPED_TEST(AnyQueueTest, TheBoundHoldsAndAPutterThatWaitsIsLetInByAGet) {
  plait::Run([]() -> Task<void> {
    TypeParam queue(1);
    EXPECT_EQ(queue.capacity(), 1u);
    EXPECT_TRUE(queue.TryPut(1).ok());
    EXPECT_TRUE(queue.full());
    EXPECT_TRUE(absl::IsResourceExhausted(queue.TryPut(2)));
    JoinHandle<absl::Status> putter = Spawn(PutTask(&queue, 2));
    co_await Turns(3);
    EXPECT_FALSE(putter.done());
    EXPECT_EQ(*queue.TryGet(), 1);
    const absl::Status put = co_await putter;
    EXPECT_TRUE(put.ok()) << put;
    EXPECT_EQ(*queue.TryGet(), 2);
    EXPECT_TRUE(absl::IsUnavailable(queue.TryGet().status()));
  }());
}

TYPED_TEST(AnyQueueTest, GettersThatWaitAreServedInTheOrderOfTheirArrival) {
  plait::Run([]() -> Task<void> {
    TypeParam queue;
    JoinHandle<absl::StatusOr<int>> a = Spawn(GetTask(&queue));
    JoinHandle<absl::StatusOr<int>> b = Spawn(GetTask(&queue));
    co_await Turns(3);
    PutAll(queue, {7, 3});
    const absl::StatusOr<int> first = co_await a;
    const absl::StatusOr<int> second = co_await b;
    EXPECT_TRUE(first.ok() && *first == 7) << first.status();
    EXPECT_TRUE(second.ok() && *second == 3) << second.status();
  }());
}

// Trap: a cancel that races the completion, both ways.
TYPED_TEST(AnyQueueTest, ACancelledGetTakesNothingAndOneThatWasServedKeepsItsItem) {
  plait::Run([]() -> Task<void> {
    TypeParam queue;
    JoinHandle<absl::StatusOr<int>> cancelled = Spawn(GetTask(&queue));
    JoinHandle<absl::StatusOr<int>> served = Spawn(GetTask(&queue));
    co_await Turns(3);
    cancelled.Cancel();
    EXPECT_TRUE(queue.TryPut(1).ok());
    served.Cancel();
    const absl::StatusOr<int> none = co_await cancelled;
    const absl::StatusOr<int> one = co_await served;
    EXPECT_TRUE(absl::IsCancelled(none.status())) << none.status();
    EXPECT_TRUE(one.ok() && *one == 1) << one.status();
  }());
}

TYPED_TEST(AnyQueueTest, ItClosesGentlyAndAtOnceAndCountsWhatIsDone) {
  plait::Run([]() -> Task<void> {
    TypeParam queue;
    PutAll(queue, {1, 2, 3});
    queue.Close();
    EXPECT_TRUE(absl::IsFailedPrecondition(queue.TryPut(4)));
    EXPECT_TRUE(queue.TryGet().ok());
    EXPECT_TRUE(queue.TaskDone().ok());
    queue.Close(true);
    EXPECT_EQ(queue.size(), 0u);
    const absl::Status joined = co_await queue.Join();
    EXPECT_TRUE(joined.ok()) << joined;
    EXPECT_TRUE(absl::IsFailedPrecondition(queue.TaskDone()));
  }());
}

TYPED_TEST(AnyQueueTest, ACapacityOfZeroIsRefused) {
  EXPECT_DEATH(TypeParam(0), "a Queue needs a capacity of at least 1");
}

}  // namespace
}  // namespace plait
