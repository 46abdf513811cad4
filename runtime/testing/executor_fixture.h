// What the suites for executors have in common: how an executor under test is made, and driven.
//
// A suite is run over an executor by one line in that executor's test:
//
//   INSTANTIATE_TEST_SUITE_P(EventLoop, ExecutorSuite, testing::Values(ExecutorFactory{...}),
//                            ExecutorFactory::Name);
//
// Nothing here knows how an executor runs: BlockOn and Executor::RunUntil drive those that have no
// thread of their own and wait for those that have.
#ifndef PLAIT_RUNTIME_TESTING_EXECUTOR_FIXTURE_H_
#define PLAIT_RUNTIME_TESTING_EXECUTOR_FIXTURE_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"

namespace plait {

struct ExecutorFactory {
  // Letters and digits: it stands in the tests' names.
  std::string name;
  // A new executor, whose timers, if it has any, go by `clock`; null is the machine's.
  std::function<std::unique_ptr<Executor>(Clock* clock)> make;
  // Run with a TestClock: hours pass in no time, and times are compared exactly.
  bool virtual_time = false;
  // One thread runs everything, in the order of posting. Otherwise only what holds for any pool is
  // asserted.
  bool ordered = true;
  // One thread runs everything, also where it is in another order.
  bool one_thread = ordered;
  // Work runs on whichever thread schedules it.
  bool inlined = false;
  // For executors with several threads. Called on one of them: is there nothing to do for the
  // others?
  std::function<bool(Executor& executor)> quiet = nullptr;

  static std::string Name(const testing::TestParamInfo<ExecutorFactory>& info) {
    return info.param.name;
  }
  friend void PrintTo(const ExecutorFactory& factory, std::ostream* out) { *out << factory.name; }
};

// Runs `executor`, or waits for it, until an item that it runs has called Set. Set is the last
// thing that item does.
class Finish {
 public:
  void Set() {
    done_.store(true, internal::kRelease);
    notification_.Notify();
  }
  void Await(Executor& executor) {
    if (!executor.RunUntil(done_)) notification_.WaitForNotification();
  }

 private:
  internal::Atomic<bool> done_{false};
  absl::Notification notification_;
};

// A WorkItem that calls a function.
class FunctionItem : public WorkItem {
 public:
  explicit FunctionItem(std::function<void()> function)
      : WorkItem([](WorkItem& item) noexcept { static_cast<FunctionItem&>(item).function_(); }),
        function_(std::move(function)) {}

 private:
  std::function<void()> function_;
};

class ExecutorFixture : public testing::TestWithParam<ExecutorFactory> {
 protected:
  ExecutorFixture() : executor_(MakeExecutor()) { testing_programs::quiet = &GetParam().quiet; }
  ~ExecutorFixture() override { testing_programs::quiet = nullptr; }

  Executor& executor() { return *executor_; }
  Clock& clock() { return virtual_time() ? clock_ : Clock::Real(); }
  TestClock& test_clock() { return clock_; }
  bool virtual_time() const { return GetParam().virtual_time; }
  bool ordered() const { return GetParam().ordered; }
  bool one_thread() const { return GetParam().one_thread; }
  // A time that is short to wait for: an hour of the TestClock, two milliseconds of the machine's.
  absl::Duration unit() const { return virtual_time() ? absl::Hours(1) : absl::Milliseconds(2); }

  // Another executor of the kind under test.
  std::unique_ptr<Executor> MakeExecutor() {
    return GetParam().make(virtual_time() ? &clock_ : nullptr);
  }
  // For tests that destroy it or count what it did.
  void ReplaceExecutor() {
    executor_ = nullptr;
    executor_ = MakeExecutor();
  }

  // Runs the coroutine that `body` makes to its end and gives its result. `body` lives until then,
  // so it may be a lambda with captures.
  template <class Body>
  auto Await(Body body) {
    return BlockOn(executor(), body());
  }

 private:
  TestClock clock_;
  std::unique_ptr<Executor> executor_;
};

// An executor of its own that runs on a thread of its own, until this dies.
class RunningExecutor {
 public:
  explicit RunningExecutor(std::unique_ptr<Executor> executor);
  ~RunningExecutor();

  Executor& executor() { return *executor_; }

 private:
  struct Shared;

  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Shared> shared_;
  Thread thread_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_EXECUTOR_FIXTURE_H_
