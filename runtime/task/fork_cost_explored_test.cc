// What a fork does to memory that others see, while nobody asks for work: nothing but plain loads
// and stores. Seen by the explorer, through which all atomics of a fork go, of coroutines and of
// plain functions.
#include <cstdint>
#include <utility>

#include "gtest/gtest.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/parallel/invoke.h"
#include "plait/runtime/task/fork.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::Explore;
using explorer::LockedInstructions;
using explorer::Report;
using explorer::Require;

// One that others may steal from, as a pool's thread has.
class Forks final : public ForkStack {
 public:
  WorkItem* published() const { return published_; }

 private:
  void Publish(ForkJob& job) noexcept override { published_ = &job; }

  WorkItem* published_ = nullptr;
};

class Later final : public Executor {
 public:
  void Schedule(WorkItem& item) noexcept override { queue_.Push(item); }
  void Run() {
    while (WorkItem* const item = queue_.Pop()) item->run(*item);
  }

 private:
  WorkQueue queue_;
};

Task<int> Fib(int n) {
  if (n < 2) co_return n;
  const auto [a, b] = co_await Fork(Fib(n - 1), Fib(n - 2));
  co_return a + b;
}

int CallFib(int n) {
  if (n < 2) return n;
  const auto [a, b] =
      ParallelInvoke([&] { return CallFib(n - 1); }, [&] { return CallFib(n - 2); });
  return a + b;
}

Task<void> Count(int64_t& count) {
  const int64_t before = LockedInstructions();
  const int fib = co_await Fib(7);
  Require(fib == 13, "Fib(7)");
  count = LockedInstructions() - before;
}

TEST(ForkCostExploredTest, AForkOfCoroutinesThatNobodyWantsIsPlainLoadsAndStores) {
  const Report report = Explore([] {
    Forks forks;
    ForkStack* const outer = std::exchange(thread_state.forks, &forks);
    Later executor;
    int64_t count = -1;
    JoinHandle<void> counting = Spawn(Count(count), {.executor = &executor});
    executor.Run();
    thread_state.forks = outer;
    Require(counting.done() && forks.published() == nullptr, "nobody has asked");
    Require(count == 0, "no locked instruction, and no barrier");
  });
  EXPECT_TRUE(report.ok()) << report.ToString();
}

TEST(ForkCostExploredTest, AForkOfCallsThatNobodyWantsIsPlainLoadsAndStores) {
  const Report report = Explore([] {
    Forks forks;
    ForkStack* const outer = std::exchange(thread_state.forks, &forks);
    const int64_t before = LockedInstructions();
    const int fib = CallFib(7);
    const int64_t count = LockedInstructions() - before;
    thread_state.forks = outer;
    Require(fib == 13 && forks.published() == nullptr, "nobody has asked");
    Require(count == 0, "no locked instruction, and no barrier");
  });
  EXPECT_TRUE(report.ok()) << report.ToString();
}

// That it would be seen.
TEST(ForkCostExploredTest, WhatIsGivenAwayIsPaidFor) {
  const Report report = Explore([] {
    Forks forks;
    ForkStack* const outer = std::exchange(thread_state.forks, &forks);
    ForkJob job([](WorkItem&) noexcept {});
    const int64_t before = LockedInstructions();
    forks.Ask();
    forks.Push(job);
    Require(forks.published() == &job, "it was asked for");
    Require(LockedInstructions() > before, "the answer is sequentially consistent");
    Require(!forks.Pop(job), "it is another's");
    thread_state.forks = outer;
  });
  EXPECT_TRUE(report.ok()) << report.ToString();
}

}  // namespace
}  // namespace plait::internal
