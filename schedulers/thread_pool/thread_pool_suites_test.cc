// The shared suites over the thread pool: with one thread, where the order is that of posting, and
// with several; on the machine's clock and on a test clock.
#include <memory>

#include "gtest/gtest.h"
#include "plait/runtime/testing/executor_suite.h"
#include "plait/runtime/testing/sync_suite.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

template <int kThreads>
std::unique_ptr<Executor> MakePool(Clock* clock) {
  return std::make_unique<ThreadPool>(ThreadPoolOptions{.threads = kThreads, .clock = clock});
}

bool IsQuiet(Executor& executor) {
  const auto& pool = static_cast<ThreadPool&>(executor);
  return pool.queued() == 0 && pool.idle_threads() == pool.threads() - 1;
}

const ExecutorFactory kOne{.name = "OneThread", .make = MakePool<1>};
const ExecutorFactory kTwo{
    .name = "TwoThreads", .make = MakePool<2>, .ordered = false, .quiet = IsQuiet};
const ExecutorFactory kEight{
    .name = "EightThreads", .make = MakePool<8>, .ordered = false, .quiet = IsQuiet};
const ExecutorFactory kOneVirtual{
    .name = "OneThreadTestClock", .make = MakePool<1>, .virtual_time = true};
const ExecutorFactory kFourVirtual{.name = "FourThreadsTestClock",
                                   .make = MakePool<4>,
                                   .virtual_time = true,
                                   .ordered = false,
                                   .quiet = IsQuiet};

const auto kPools = testing::Values(kOne, kTwo, kEight, kOneVirtual, kFourVirtual);

INSTANTIATE_TEST_SUITE_P(ThreadPool, ExecutorSuite, kPools, ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(ThreadPool, TaskSuite, kPools, ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(ThreadPool, TimerSuite, kPools, ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(ThreadPool, SyncSuite, kPools, ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(ThreadPool, SyncTimerSuite, kPools, ExecutorFactory::Name);

}  // namespace
}  // namespace plait
