#include "plait/runtime/core/inbox.h"

#include <memory>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::internal {
namespace {

TEST(InboxTest, ItDrainsInTheOrderOfPushingBehindWhatIsThere) {
  Inbox inbox;
  WorkItem items[4];
  WorkQueue ready;
  ready.Push(items[0]);
  EXPECT_TRUE(inbox.empty());
  for (int i = 1; i < 4; ++i) EXPECT_FALSE(inbox.Push(items[i]));
  EXPECT_FALSE(inbox.empty());
  inbox.Drain(ready);
  EXPECT_TRUE(inbox.empty());
  for (WorkItem& item : items) EXPECT_EQ(ready.Pop(), &item);
  EXPECT_EQ(ready.Pop(), nullptr);
}

TEST(InboxTest, OnlyThePushThatFindsTheConsumerAsleepWakesIt) {
  Inbox inbox;
  WorkItem items[3];
  WorkQueue ready;
  EXPECT_TRUE(inbox.PrepareToSleep());
  EXPECT_TRUE(inbox.Push(items[0]));
  EXPECT_FALSE(inbox.Push(items[1]));
  EXPECT_FALSE(inbox.PrepareToSleep());  // something has arrived
  inbox.Drain(ready);
  EXPECT_FALSE(inbox.Push(items[2]));  // awake
  inbox.Drain(ready);
  for (WorkItem& item : items) EXPECT_EQ(ready.Pop(), &item);
}

TEST(InboxTest, DrainEndsTheSleep) {
  Inbox inbox;
  WorkItem item;
  WorkQueue ready;
  EXPECT_TRUE(inbox.PrepareToSleep());
  inbox.Drain(ready);
  EXPECT_TRUE(ready.empty());
  EXPECT_FALSE(inbox.Push(item));
}

// Trap: the wake-up lost between check and park. The consumer really sleeps, on a condition that
// only a push that returned true sets: were one such push missing, this would never end.
TEST(InboxStressTest, EveryItemArrivesInItsThreadsOrderAndNoWakeUpIsLost) {
  constexpr int kThreads = 3;
  const int items_each = Repeats(20'000);
  struct Numbered : WorkItem {
    int thread = 0;
    int number = 0;
  };
  Inbox inbox;
  absl::Mutex mutex;
  bool awake = false;
  std::vector<std::unique_ptr<Numbered[]>> items;
  for (int t = 0; t < kThreads; ++t)
    items.push_back(std::make_unique<Numbered[]>(static_cast<size_t>(items_each)));
  std::vector<Thread> producers;
  for (int t = 0; t < kThreads; ++t) {
    producers.push_back(StartThread("producer", [&, t] {
      for (int i = 0; i < items_each; ++i) {
        Numbered& item = items[static_cast<size_t>(t)][static_cast<size_t>(i)];
        item.thread = t;
        item.number = i;
        if (inbox.Push(item)) {
          absl::MutexLock hold(&mutex);
          awake = true;
        }
      }
    }));
  }
  std::vector<int> next(kThreads);
  int received = 0;
  while (received < kThreads * items_each) {
    WorkQueue ready;
    inbox.Drain(ready);
    if (ready.empty() && inbox.PrepareToSleep()) {
      absl::MutexLock hold(&mutex);
      mutex.Await(absl::Condition(&awake));
      awake = false;
    }
    while (WorkItem* item = ready.Pop()) {
      const auto& numbered = static_cast<Numbered&>(*item);
      ASSERT_EQ(numbered.number, next[static_cast<size_t>(numbered.thread)]++);
      ++received;
    }
  }
  for (Thread& thread : producers) thread.join();
  EXPECT_TRUE(inbox.empty());
}

}  // namespace
}  // namespace plait::internal
