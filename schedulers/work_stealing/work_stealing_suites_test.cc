// The shared suites over the work-stealing pool, with one thread and with several, without reactors
// and with each; on the machine's clock and on a test clock.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/executor_suite.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sync_suite.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

bool IsQuiet(Executor& executor) {
  const auto& pool = static_cast<WorkStealingPool&>(executor);
  return pool.queued() == 0 && pool.idle_threads() == pool.threads() - 1;
}

// `name` goes before the number of threads; without `make_reactor` there are no reactors.
ExecutorFactory Pool(
    const std::string& name, int threads, bool virtual_time,
    const std::function<absl::StatusOr<std::unique_ptr<Reactor>>()>& make_reactor = nullptr) {
  ExecutorFactory pool{.name = absl::StrCat(name, threads, virtual_time ? "TestClock" : ""),
                       .make = [threads, make_reactor](Clock* clock) -> std::unique_ptr<Executor> {
                         WorkStealingPoolOptions options{.threads = threads, .clock = clock};
                         if (make_reactor != nullptr) options.reactor = make_reactor;
                         return std::make_unique<WorkStealingPool>(std::move(options));
                       },
                       .virtual_time = virtual_time,
                       // Also with one thread what was scheduled last may run first.
                       .ordered = false,
                       .one_thread = threads == 1};
  if (threads > 1) pool.quiet = IsQuiet;
  return pool;
}

std::vector<ExecutorFactory> Pools() {
  std::vector<ExecutorFactory> pools;
  for (const int threads : {1, 2, 8}) pools.push_back(Pool("Threads", threads, false));
  for (const int threads : {1, 4}) pools.push_back(Pool("Threads", threads, true));
  return pools;
}

// With a reactor threads sleep, wake each other and count down to a deadline in another way.
std::vector<ExecutorFactory> PoolsWithReactors() {
  std::vector<ExecutorFactory> pools;
  for (const ReactorFactory& reactor : AllReactors()) {
    const auto make = [make = reactor.make] { return make(nullptr); };
    for (const int threads : {1, 2, 8}) pools.push_back(Pool(reactor.name, threads, false, make));
    pools.push_back(Pool(reactor.name, 2, true, make));
  }
  return pools;
}

INSTANTIATE_TEST_SUITE_P(WorkStealing, ExecutorSuite, testing::ValuesIn(Pools()),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealing, TaskSuite, testing::ValuesIn(Pools()),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealing, TimerSuite, testing::ValuesIn(Pools()),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealing, SyncSuite, testing::ValuesIn(Pools()),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealing, SyncTimerSuite, testing::ValuesIn(Pools()),
                         ExecutorFactory::Name);

INSTANTIATE_TEST_SUITE_P(WorkStealingOnReactors, ExecutorSuite,
                         testing::ValuesIn(PoolsWithReactors()), ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealingOnReactors, TaskSuite, testing::ValuesIn(PoolsWithReactors()),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealingOnReactors, TimerSuite, testing::ValuesIn(PoolsWithReactors()),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealingOnReactors, SyncSuite, testing::ValuesIn(PoolsWithReactors()),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealingOnReactors, SyncTimerSuite,
                         testing::ValuesIn(PoolsWithReactors()), ExecutorFactory::Name);

}  // namespace
}  // namespace plait
