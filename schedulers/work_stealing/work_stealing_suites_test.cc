// The shared suites over the work-stealing pool, with one thread and with several; on the machine's
// clock and on a test clock.
#include <memory>

#include "gtest/gtest.h"
#include "plait/runtime/testing/executor_suite.h"
#include "plait/runtime/testing/sync_suite.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

template <int kThreads>
std::unique_ptr<Executor> MakePool(Clock* clock) {
  return std::make_unique<WorkStealingPool>(
      WorkStealingPoolOptions{.threads = kThreads, .clock = clock});
}

bool IsQuiet(Executor& executor) {
  const auto& pool = static_cast<WorkStealingPool&>(executor);
  return pool.queued() == 0 && pool.idle_threads() == pool.threads() - 1;
}

// Also with one thread what was scheduled last may run first.
const ExecutorFactory kOne{.name = "OneThread", .make = MakePool<1>, .ordered = false};
const ExecutorFactory kTwo{
    .name = "TwoThreads", .make = MakePool<2>, .ordered = false, .quiet = IsQuiet};
const ExecutorFactory kEight{
    .name = "EightThreads", .make = MakePool<8>, .ordered = false, .quiet = IsQuiet};
const ExecutorFactory kOneVirtual{
    .name = "OneThreadTestClock", .make = MakePool<1>, .virtual_time = true, .ordered = false};
const ExecutorFactory kFourVirtual{.name = "FourThreadsTestClock",
                                   .make = MakePool<4>,
                                   .virtual_time = true,
                                   .ordered = false,
                                   .quiet = IsQuiet};

const auto kPools = testing::Values(kOne, kTwo, kEight, kOneVirtual, kFourVirtual);

INSTANTIATE_TEST_SUITE_P(WorkStealing, ExecutorSuite, kPools, ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealing, TaskSuite, kPools, ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealing, TimerSuite, kPools, ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealing, SyncSuite, kPools, ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(WorkStealing, SyncTimerSuite, kPools, ExecutorFactory::Name);

}  // namespace
}  // namespace plait
