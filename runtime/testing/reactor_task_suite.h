// ReactorTaskSuite: what operations do when tasks await them, on every executor whose threads have
// reactors. The comments on the groups of tests name the traps of reactor_suite.h.
//
//   INSTANTIATE_TEST_SUITE_P(Epoll, ReactorTaskSuite, testing::ValuesIn(EventLoopsOver({factory})),
//                            ReactorTaskExecutor::Name);
#ifndef PLAIT_RUNTIME_TESTING_REACTOR_TASK_SUITE_H_
#define PLAIT_RUNTIME_TESTING_REACTOR_TASK_SUITE_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {

// An executor under test.
struct ReactorTaskExecutor {
  // Letters and digits: it stands in the tests' names.
  std::string name;
  // A new one, whose reactors may use `blocking` for what they cannot do better.
  std::function<std::unique_ptr<Executor>(Executor* blocking)> make;
  // One thread runs everything, in the order of posting.
  bool ordered = true;
  // For executors with several threads. Called on one of them: is there nothing to do for the
  // others?
  std::function<bool(Executor& executor)> quiet = nullptr;

  static std::string Name(const testing::TestParamInfo<ReactorTaskExecutor>& info) {
    return info.param.name;
  }
  friend void PrintTo(const ReactorTaskExecutor& executor, std::ostream* out) {
    *out << executor.name;
  }
};

std::vector<ReactorTaskExecutor> EventLoopsOver(const std::vector<ReactorFactory>& reactors);

class ReactorTaskSuite : public testing::TestWithParam<ReactorTaskExecutor> {
 protected:
  ReactorTaskSuite();
  ~ReactorTaskSuite() override;

  Executor& executor() { return *executor_; }
  bool ordered() const { return GetParam().ordered; }
  // Ends it, and its reactors, which CHECK that nothing is in flight.
  void EndExecutor() { executor_ = nullptr; }

  // Runs the coroutine that `body` makes to its end and gives its result. `body` lives until then,
  // so it may be a lambda with captures.
  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(executor(), body());
  }

 private:
  ThreadExecutor blocking_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_REACTOR_TASK_SUITE_H_
