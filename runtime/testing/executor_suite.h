// ExecutorSuite: what every Executor must do. See executor_fixture.h for how to run it over one.
#ifndef PLAIT_RUNTIME_TESTING_EXECUTOR_SUITE_H_
#define PLAIT_RUNTIME_TESTING_EXECUTOR_SUITE_H_

#include "plait/runtime/testing/executor_fixture.h"

namespace plait {

class ExecutorSuite : public ExecutorFixture {};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_EXECUTOR_SUITE_H_
