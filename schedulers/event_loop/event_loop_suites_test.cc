// The shared suites, over the event loop with every reactor, on the machine's clock and on a test
// clock.
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/executor_suite.h"
#include "plait/runtime/testing/sync_suite.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

std::vector<ExecutorFactory> Loops() {
  std::vector<ExecutorFactory> loops;
  for (const ReactorFactory& reactor : AllReactors()) {
    const auto make = [make_reactor = reactor.make](Clock* clock) -> std::unique_ptr<Executor> {
      return std::make_unique<EventLoop>(make_reactor(nullptr), EventLoopOptions{.clock = clock});
    };
    loops.push_back({.name = reactor.name, .make = make});
    loops.push_back(
        {.name = absl::StrCat(reactor.name, "TestClock"), .make = make, .virtual_time = true});
  }
  return loops;
}

INSTANTIATE_TEST_SUITE_P(EventLoop, ExecutorSuite, testing::ValuesIn(Loops()),
                         ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(EventLoop, TaskSuite, testing::ValuesIn(Loops()), ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(EventLoop, TimerSuite, testing::ValuesIn(Loops()), ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(EventLoop, SyncSuite, testing::ValuesIn(Loops()), ExecutorFactory::Name);
INSTANTIATE_TEST_SUITE_P(EventLoop, SyncTimerSuite, testing::ValuesIn(Loops()),
                         ExecutorFactory::Name);

}  // namespace
}  // namespace plait
