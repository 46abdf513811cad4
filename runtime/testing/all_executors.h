// AllExecutors: every executor whose threads wait for I/O, over every reactor that runs on this
// system: an EventLoop, and a WorkStealingPool with 1, 2 and 8 threads. IoTest: what the tests that
// must hold on each of them are made of.
//
//   class DatagramSocketTest : public IoTest {};
//
//   INSTANTIATE_TEST_SUITE_P(AllExecutors, DatagramSocketTest, testing::ValuesIn(AllExecutors()),
//                            IoExecutor::Name);
//
//   TEST_P(DatagramSocketTest, ADatagramArrives) {
//     const auto body = [&]() -> Task<void> { ... };
//     RunTask(body);
//   }
//
// Only an EventLoop runs what is spawned in that order, and only there has it begun after a Yield:
// a test that needs a task to have begun spawns it eagerly.
#ifndef PLAIT_RUNTIME_TESTING_ALL_EXECUTORS_H_
#define PLAIT_RUNTIME_TESTING_ALL_EXECUTORS_H_

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {

struct IoExecutor {
  // Letters and digits: it stands in the tests' names.
  std::string name;
  ReactorFactory reactor;
  int threads = 0;  // of a WorkStealingPool; 0: it is an EventLoop

  // A new one. What blocks runs on `blocking`, or, where that is null, on what it has itself. Null
  // for the machine's clock.
  std::unique_ptr<Executor> Make(Executor* blocking = nullptr, Clock* clock = nullptr) const;
  // The same, where the system may refuse what a reactor needs.
  absl::StatusOr<std::unique_ptr<Executor>> TryMake(Executor* blocking = nullptr,
                                                    Clock* clock = nullptr) const;
  // Until no task of `made`, which Make has made, is left.
  void Settle(Executor& made) const;

  static std::string Name(const testing::TestParamInfo<IoExecutor>& info) {
    return info.param.name;
  }
  friend void PrintTo(const IoExecutor& executor, std::ostream* out) { *out << executor.name; }
};

std::vector<IoExecutor> AllExecutors();

class IoTest : public testing::TestWithParam<IoExecutor> {
 protected:
  // With `blocking_threads` the executor and its reactors have these for what blocks; with
  // `virtual_time` it goes by clock().
  explicit IoTest(int blocking_threads = 0, bool virtual_time = false);
  ~IoTest() override;

  // The one under test, made when it is first asked for.
  Executor& executor();
  // Whether it is an EventLoop.
  bool is_loop() const { return GetParam().threads == 0; }
  // Where what blocks runs, if it was given threads of its own.
  ThreadExecutor& blocking() { return *blocking_; }
  // Time that passes when there is nothing else to do, if it has that.
  TestClock& clock() { return *clock_; }
  // How many descriptors it may have opened for itself since it was made: a pool whose threads are
  // blocked, if only by starting a process on a loaded machine, has up to four spare ones, each
  // with a reactor.
  int spare_descriptors() const { return is_loop() ? 0 : 4 * 5; }
  // Until no task is left of it.
  void Settle() { GetParam().Settle(executor()); }
  // Cancels and joins its tasks, and ends it, what is in flight there and no task's, and its
  // reactors. The next one that is asked for is new.
  void EndExecutor();

  // Runs the coroutine that `body` makes to its end and gives its result. `body` lives until then,
  // so it may be a lambda with captures.
  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(executor(), body());
  }

  // `calls` is in force while this lives. It ends the executor: before that, threads of its may be
  // inside a call.
  class CallsInForce {
   public:
    CallsInForce(IoTest& test, sys::SystemCalls& calls) : test_(test), scope_(calls) {}
    ~CallsInForce();

   private:
    IoTest& test_;
    const sys::ScopedSystemCalls scope_;
  };

 private:
  std::optional<ThreadExecutor> blocking_;
  std::optional<TestClock> clock_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_ALL_EXECUTORS_H_
