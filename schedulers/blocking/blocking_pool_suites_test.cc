// The shared suites over the blocking pool, with one thread and with several.
#include <memory>

#include "absl/synchronization/barrier.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/executor_suite.h"
#include "plait/runtime/testing/sync_suite.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/schedulers/blocking/blocking_pool.h"

namespace plait {
namespace {

// With all its threads there: to start one allocates, and the suites count allocations.
template <int kThreads>
std::unique_ptr<Executor> MakePool(Clock*) {
  auto pool = std::make_unique<BlockingPool>(BlockingPoolOptions{.max_threads = kThreads});
  absl::Barrier* const all = new absl::Barrier(kThreads + 1);
  const auto meet = [all] {
    if (all->Block()) delete all;
  };
  for (int i = 0; i < kThreads; ++i) pool->Post(meet);
  meet();
  return pool;
}

const ExecutorFactory kOneThread{.name = "OneThread", .make = MakePool<1>};
const ExecutorFactory kFourThreads{
    .name = "FourThreads", .make = MakePool<4>, .ordered = false, .quiet = [](Executor& executor) {
      const auto& pool = static_cast<BlockingPool&>(executor);
      return pool.queued() == 0 && pool.idle_threads() == 3;
    }};

INSTANTIATE_TEST_SUITE_P(BlockingPool, ExecutorSuite, testing::Values(kOneThread, kFourThreads),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(BlockingPool, TaskSuite, testing::Values(kOneThread, kFourThreads),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(BlockingPool, SyncSuite, testing::Values(kOneThread, kFourThreads),
                         ExecutorFactory::Name);

}  // namespace
}  // namespace plait
