// Everything that tests of programs, executors and reactors need.
#ifndef PLAIT_RUNTIME_TESTING_TESTING_H_
#define PLAIT_RUNTIME_TESTING_TESTING_H_

#include "plait/runtime/testing/executor_suite.h"      // IWYU pragma: export
#include "plait/runtime/testing/guarded_buffer.h"      // IWYU pragma: export
#include "plait/runtime/testing/reactor_suite.h"       // IWYU pragma: export
#include "plait/runtime/testing/reactor_task_suite.h"  // IWYU pragma: export
#include "plait/runtime/testing/sync_suite.h"          // IWYU pragma: export
#include "plait/runtime/testing/task_suite.h"          // IWYU pragma: export
#include "plait/runtime/testing/test_clock.h"          // IWYU pragma: export
#include "plait/runtime/testing/thread_executor.h"     // IWYU pragma: export

#endif  // PLAIT_RUNTIME_TESTING_TESTING_H_
