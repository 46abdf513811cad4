#include "plait/runtime/core/task_registry.h"

#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"

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

TEST(TaskRegistryStressTest, ManyThreadsMayAddRemoveAndLook) {
  TaskRegistry registry;
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  std::vector<Thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.push_back(StartThread("task maker", [&] {
      TaskLink links[3];
      for (int i = 0; i < kRounds; ++i) {
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
