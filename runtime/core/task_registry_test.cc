#include "plait/runtime/core/task_registry.h"

#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::internal {
namespace {

std::vector<TaskLink*> LinksOf(TaskRegistry& registry) {
  std::vector<TaskLink*> links;
  registry.ForEach([&](TaskLink& link) { links.push_back(&link); });
  return links;
}

TEST(TaskRegistryTest, ItKeepsTheOrderOfAddingThroughRemovals) {
  TaskRegistry registry;
  TaskLink links[4];
  EXPECT_EQ(registry.size(), 0u);
  for (TaskLink& link : links) EXPECT_TRUE(registry.Add(link));
  EXPECT_EQ(LinksOf(registry),
            (std::vector<TaskLink*>{&links[0], &links[1], &links[2], &links[3]}));
  EXPECT_EQ(registry.Remove(links[1]), 3u);
  EXPECT_EQ(registry.Remove(links[3]), 2u);
  EXPECT_EQ(LinksOf(registry), (std::vector<TaskLink*>{&links[0], &links[2]}));
  EXPECT_TRUE(registry.Add(links[1]));
  EXPECT_EQ(LinksOf(registry), (std::vector<TaskLink*>{&links[0], &links[2], &links[1]}));
  EXPECT_EQ(registry.Remove(links[0]), 2u);
  EXPECT_EQ(registry.Remove(links[1]), 1u);
  EXPECT_EQ(registry.Remove(links[2]), 0u);
  EXPECT_TRUE(LinksOf(registry).empty());
}

TEST(TaskRegistryTest, AClosedRegistryStillTakesTasksButSaysThatTheyAreToBeCancelled) {
  TaskRegistry registry;
  TaskLink link;
  registry.Close();
  EXPECT_FALSE(registry.Add(link));
  EXPECT_EQ(registry.size(), 1u);
  EXPECT_EQ(registry.Remove(link), 0u);
}

TEST(ExecutorTasksTest, ThoseFromElsewhereComeFirstAndEachKindInItsOrder) {
  ExecutorTasks tasks;
  TaskLink own[2];
  TaskLink others[2];
  EXPECT_TRUE(tasks.Add(own[0], /*own=*/true));
  EXPECT_TRUE(tasks.Add(others[0], /*own=*/false));
  EXPECT_TRUE(tasks.Add(own[1], /*own=*/true));
  EXPECT_TRUE(tasks.Add(others[1], /*own=*/false));
  EXPECT_EQ(tasks.size(), 4u);
  std::vector<TaskLink*> links;
  tasks.ForEach([&](TaskLink& link) { links.push_back(&link); });
  EXPECT_EQ(links, (std::vector<TaskLink*>{&others[0], &others[1], &own[0], &own[1]}));
  tasks.Close();
  tasks.Remove(own[0], /*own=*/true);
  tasks.Remove(others[0], /*own=*/false);
  EXPECT_EQ(tasks.size(), 2u);
  EXPECT_FALSE(tasks.Add(own[0], /*own=*/true));
  EXPECT_FALSE(tasks.Add(others[0], /*own=*/false));
  for (TaskLink& link : own) tasks.Remove(link, /*own=*/true);
  for (TaskLink& link : others) tasks.Remove(link, /*own=*/false);
  EXPECT_EQ(tasks.size(), 0u);
}

TEST(ExecutorTasksTest, OneThatIsAddedQuicklyIsAsAnyOther) {
  ExecutorTasks tasks;
  TaskLink first;
  TaskLink quick;
  // Quickly is when the list is this thread's, which it is only after a while (BiasedLock), and
  // nowhere where no thread could take it away again.
  if (!HeavyBarrierWorks()) GTEST_SKIP() << "the system has no barrier for all threads";
  int slowly = 0;
  while (!tasks.AddQuickly(quick)) {
    EXPECT_EQ(tasks.size(), 0u);
    ASSERT_LT(++slowly, 10'000);
    EXPECT_TRUE(tasks.Add(first, /*own=*/true));
    tasks.Remove(first, /*own=*/true);
  }
  EXPECT_TRUE(tasks.Add(first, /*own=*/true));
  std::vector<TaskLink*> links;
  tasks.ForEach([&](TaskLink& link) { links.push_back(&link); });
  EXPECT_EQ(links, (std::vector<TaskLink*>{&quick, &first}));
  tasks.Remove(quick, /*own=*/true);
  EXPECT_EQ(tasks.size(), 1u);
  tasks.Close();
  EXPECT_FALSE(tasks.AddQuickly(quick));
  EXPECT_EQ(tasks.size(), 1u);
  EXPECT_FALSE(tasks.Add(quick, /*own=*/true));
  tasks.Remove(quick, /*own=*/true);
  tasks.Remove(first, /*own=*/true);
  EXPECT_EQ(tasks.size(), 0u);
}

// Enough that the own list's lock belongs to its thread, again and again.
TEST(ExecutorTasksStressTest, AnotherThreadMayLookWhileItsOwnAddsAndRemoves) {
  ExecutorTasks tasks;
  const int visits = Repeats(50);
  constexpr int kRounds = 1'500;
  Atomic<int> rounds{0};
  Thread visitor = StartThread("visitor", [&] {
    for (int i = 0; i < visits; ++i) {
      for (int round = 0; rounds.load(kAcquire) < i; ++round) SpinWait(round);
      size_t seen = 0;
      tasks.ForEach([&](TaskLink&) { ++seen; });
      EXPECT_LE(seen, 2u);
      EXPECT_LE(tasks.size(), 2u);
    }
  });
  TaskLink links[2];
  for (int i = 0; i < visits; ++i) {
    for (int j = 0; j < kRounds; ++j) {
      for (TaskLink& link : links) EXPECT_TRUE(tasks.Add(link, /*own=*/true));
      for (TaskLink& link : links) tasks.Remove(link, /*own=*/true);
    }
    rounds.store(i + 1, kRelease);
  }
  visitor.join();
  EXPECT_EQ(tasks.size(), 0u);
}

TEST(TaskRegistryStressTest, ManyThreadsMayAddRemoveAndLook) {
  TaskRegistry registry;
  constexpr int kThreads = 4;
  const int rounds = Repeats(2000);
  std::vector<Thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.push_back(StartThread("task maker", [&] {
      TaskLink links[3];
      for (int i = 0; i < rounds; ++i) {
        for (TaskLink& link : links) EXPECT_TRUE(registry.Add(link));
        size_t seen = 0;
        registry.ForEach([&](TaskLink&) { ++seen; });
        EXPECT_GE(seen, 3u);
        EXPECT_LE(seen, 3u * kThreads);
        for (TaskLink& link : links) registry.Remove(link);
      }
    }));
  }
  for (Thread& thread : threads) thread.join();
  EXPECT_EQ(registry.size(), 0u);
}

}  // namespace
}  // namespace plait::internal
