// What fault matrices over loops share: see io/system/fault_matrix.h.
#ifndef PLAIT_RUNTIME_TESTING_LOOP_UNDER_FAULTS_H_
#define PLAIT_RUNTIME_TESTING_LOOP_UNDER_FAULTS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/fault_matrix.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/runtime/time/sleep.h"
#include "plait/runtime/time/timeout.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {

// Runs the coroutine of a Status that `body` makes on a loop of its own, where faults begin once
// the loop has run. One that takes too long is cancelled, and is a test failure.
template <class Body>
absl::Status RunUnderFaults(const ReactorFactory& factory, const sys::ArmFaults& arm, Body body) {
  ThreadExecutor blocking;
  EventLoop loop(factory.make(&blocking), {.blocking = &blocking});
  const auto warm = []() -> Task<absl::Status> { co_return co_await Sleep(absl::Nanoseconds(1)); };
  EXPECT_TRUE(BlockOn(loop, warm()).ok());
  arm();
  constexpr absl::Duration kLimit = absl::Seconds(20);
  const auto bounded = [&]() -> Task<absl::Status> { co_return co_await Timeout(kLimit, body()); };
  const Deadline begin = Clock::Real().Now();
  absl::Status status = BlockOn(loop, bounded());
  EXPECT_LT(Clock::Real().Now(), begin + kLimit) << "it hangs: " << status;
  const absl::Status closed = loop.Close();
  EXPECT_TRUE(closed.ok()) << closed;
  EXPECT_EQ(loop.io().in_flight(), 0u);
  return status;
}

// What the end of such a loop does and no system refuses: io_uring takes its ring out of the
// thread's table. If it were not done, the table would be full some time.
inline std::vector<sys::LeftOut> LeftOutOf(const ReactorFactory& factory) {
  if (factory.name != "IoUring") return {};
  return {{.call = sys::FaultInjection::kIoUringRegister, .place = 0}};
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_LOOP_UNDER_FAULTS_H_
