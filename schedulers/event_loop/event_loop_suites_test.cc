// The shared suites, over the event loop on the machine's clock and on a test clock.
#include <memory>

#include "gtest/gtest.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/runtime/testing/executor_suite.h"
#include "plait/runtime/testing/sync_suite.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

std::unique_ptr<Executor> MakeLoop(Clock* clock) {
  return std::make_unique<EventLoop>(MakeEpollReactor(), EventLoopOptions{.clock = clock});
}

const ExecutorFactory kOnRealTime{.name = "Epoll", .make = MakeLoop};
const ExecutorFactory kOnTestTime{.name = "EpollTestClock", .make = MakeLoop, .virtual_time = true};

INSTANTIATE_TEST_SUITE_P(EventLoop, ExecutorSuite, testing::Values(kOnRealTime, kOnTestTime),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(EventLoop, TaskSuite, testing::Values(kOnRealTime, kOnTestTime),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(EventLoop, TimerSuite, testing::Values(kOnRealTime, kOnTestTime),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(EventLoop, SyncSuite, testing::Values(kOnRealTime, kOnTestTime),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(EventLoop, SyncTimerSuite, testing::Values(kOnRealTime, kOnTestTime),
                         ExecutorFactory::Name);

}  // namespace
}  // namespace plait
