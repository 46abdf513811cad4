// TaskSuite: what tasks, handles, groups, gathers, futures and cancellation do on every Executor.
// TimerSuite: the same for sleeps and timeouts, on executors that have timers. See
// executor_fixture.h for how to run them over one.
//
// The five traps of coroutine code that the tests' comments name: a lambda coroutine that outlives
// its captures; a reference parameter of a lazy task; a buffer freed while the kernel owns it; a
// wake-up lost between check and park; a cancel that races the completion.
#ifndef PLAIT_RUNTIME_TESTING_TASK_SUITE_H_
#define PLAIT_RUNTIME_TESTING_TASK_SUITE_H_

#include "plait/runtime/testing/executor_fixture.h"

namespace plait {

class TaskSuite : public ExecutorFixture {};

class TimerSuite : public ExecutorFixture {};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_TASK_SUITE_H_
