// SyncSuite: what runtime/sync's primitives do on every Executor, and between two of them on
// threads of their own. SyncTimerSuite: those that wait for time, on executors that have timers.
// See executor_fixture.h for how to run them over one.
//
// The tests between threads hammer one primitive from two executors while a part of the waits is
// cancelled at random moments. What they assert is what must never break: permits are conserved,
// one task at a time is inside, items are neither lost nor doubled, and everything ends.
#ifndef PLAIT_RUNTIME_TESTING_SYNC_SUITE_H_
#define PLAIT_RUNTIME_TESTING_SYNC_SUITE_H_

#include "plait/runtime/testing/executor_fixture.h"

namespace plait {

class SyncSuite : public ExecutorFixture {};

class SyncTimerSuite : public ExecutorFixture {};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_SYNC_SUITE_H_
