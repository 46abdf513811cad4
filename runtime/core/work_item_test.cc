#include "plait/runtime/core/work_item.h"

#include "gtest/gtest.h"

namespace plait {
namespace {

TEST(WorkQueueTest, ItIsFifo) {
  WorkItem items[3];
  WorkQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.Pop(), nullptr);
  for (WorkItem& item : items) queue.Push(item);
  EXPECT_FALSE(queue.empty());
  for (WorkItem& item : items) EXPECT_EQ(queue.Pop(), &item);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.Pop(), nullptr);
}

TEST(WorkQueueTest, AppendMovesEverythingBehindWhatIsThere) {
  WorkItem items[4];
  WorkQueue queue;
  WorkQueue other;
  queue.Append(other);  // nothing to nothing
  EXPECT_TRUE(queue.empty());
  other.Push(items[0]);
  other.Push(items[1]);
  queue.Append(other);  // to nothing
  EXPECT_TRUE(other.empty());
  queue.Append(other);  // nothing to something
  other.Push(items[2]);
  queue.Append(other);
  queue.Push(items[3]);
  for (WorkItem& item : items) EXPECT_EQ(queue.Pop(), &item);
  EXPECT_TRUE(queue.empty());
}

TEST(WorkQueueTest, RemoveTakesAnItemOutFromAnywhereAndKeepsTheOrder) {
  for (int removed = 0; removed < 3; ++removed) {
    WorkItem items[3];
    WorkItem late;
    WorkQueue queue;
    for (WorkItem& item : items) queue.Push(item);
    EXPECT_TRUE(queue.Remove(items[removed]));
    EXPECT_FALSE(queue.Remove(items[removed]));
    queue.Push(late);  // behind the new last
    for (int i = 0; i < 3; ++i) {
      if (i != removed) {
        EXPECT_EQ(queue.Pop(), &items[i]);
      }
    }
    EXPECT_EQ(queue.Pop(), &late);
    EXPECT_TRUE(queue.empty());
  }
  WorkItem only;
  WorkQueue queue;
  EXPECT_FALSE(queue.Remove(only));
  queue.Push(only);
  EXPECT_TRUE(queue.Remove(only));
  EXPECT_TRUE(queue.empty());
}

TEST(WorkQueueTest, AnItemMayBeQueuedAgainOnceItWasPopped) {
  WorkItem item;
  WorkQueue queue;
  WorkQueue other;
  for (int i = 0; i < 3; ++i) {
    queue.Push(item);
    EXPECT_EQ(queue.Pop(), &item);
    other.Push(item);
    EXPECT_EQ(other.Pop(), &item);
  }
}

TEST(WorkItemTest, RunCallsTheFunctionWithTheItem) {
  struct Counting : WorkItem {
    Counting() : WorkItem([](WorkItem& item) noexcept { ++static_cast<Counting&>(item).runs; }) {}
    int runs = 0;
  } item;
  item.run(item);
  item.run(item);
  EXPECT_EQ(item.runs, 2);
}

}  // namespace
}  // namespace plait
