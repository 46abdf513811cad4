// What does an item cost through the deque: for an owner that nobody steals from, with one item and
// with many; and for a thief that nobody disturbs? And through a locked queue, for comparison?
#include <cstdint>
#include <vector>

#include "benchmark/benchmark.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/schedulers/work_stealing/deque.h"

namespace plait::internal {
namespace {

void PushAndPop(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  WorkStealingDeque deque;
  std::vector<WorkItem> items(count);
  for (auto _ : state) {
    for (WorkItem& item : items) deque.Push(item);
    for (size_t i = 0; i < count; ++i) benchmark::DoNotOptimize(deque.Pop());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(PushAndPop)->Arg(1)->Arg(100);

void PushAndSteal(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  WorkStealingDeque deque;
  std::vector<WorkItem> items(count);
  for (auto _ : state) {
    for (WorkItem& item : items) deque.Push(item);
    for (size_t i = 0; i < count; ++i) benchmark::DoNotOptimize(deque.Steal());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(PushAndSteal)->Arg(1)->Arg(100);

void LockedQueue(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  SpinLock lock;
  WorkQueue queue;
  std::vector<WorkItem> items(count);
  for (auto _ : state) {
    for (WorkItem& item : items) {
      const SpinLockHolder hold(lock);
      queue.Push(item);
    }
    for (size_t i = 0; i < count; ++i) {
      const SpinLockHolder hold(lock);
      benchmark::DoNotOptimize(queue.Pop());
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(LockedQueue)->Arg(1)->Arg(100);

}  // namespace
}  // namespace plait::internal
