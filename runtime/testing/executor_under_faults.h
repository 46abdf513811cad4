// What fault matrices over executors share: see io/system/fault_matrix.h.
#ifndef PLAIT_RUNTIME_TESTING_EXECUTOR_UNDER_FAULTS_H_
#define PLAIT_RUNTIME_TESTING_EXECUTOR_UNDER_FAULTS_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/fault_matrix.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/sanitized.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/runtime/time/sleep.h"
#include "plait/runtime/time/timeout.h"

namespace plait {

// AllExecutors; under a sanitizer, where a matrix takes several times as long, of each reactor's
// pools only that of two threads.
inline std::vector<IoExecutor> ExecutorsUnderFaults() {
  std::vector<IoExecutor> executors = AllExecutors();
  if (kSanitized) {
    std::erase_if(executors,
                  [](const IoExecutor& kind) { return kind.threads != 0 && kind.threads != 2; });
  }
  return executors;
}

// Runs the coroutine of a Status that `body` makes on an executor of its own, where faults begin
// once that has run something. One that takes too long is cancelled, and is a test failure. The
// executor and its reactors then end, which CHECK that nothing is in flight.
template <class Body>
absl::Status RunUnderFaults(const IoExecutor& kind, const sys::ArmFaults& arm, Body body) {
  ThreadExecutor blocking;
  const std::unique_ptr<Executor> executor = kind.Make(&blocking);
  const auto warm = []() -> Task<absl::Status> { co_return co_await Sleep(absl::Nanoseconds(1)); };
  EXPECT_TRUE(BlockOn(*executor, warm()).ok());
  arm();
  constexpr absl::Duration kLimit = absl::Seconds(20);
  const auto bounded = [&]() -> Task<absl::Status> { co_return co_await Timeout(kLimit, body()); };
  const Deadline begin = Clock::Real().Now();
  absl::Status status = BlockOn(*executor, bounded());
  EXPECT_LT(Clock::Real().Now(), begin + kLimit) << "it hangs: " << status;
  return status;
}

// co_await: both at once; the error of one cancels the other. On a pool the one whose peer has
// failed may be the first to end, without a word of why: what they ended with is in the Status, of
// both.
inline Task<absl::Status> SideBySide(Task<absl::Status> one, Task<absl::Status> other) {
  TaskGroup group;
  group.Spawn(std::move(one));
  group.Spawn(std::move(other));
  co_return co_await group.Join();
}

// What such an executor does and no system refuses. Each of its threads enables its ring when it
// first uses it: the same call was made for another one before, and needs nothing. At the end it
// takes the ring out of the thread's table, which would be full some time.
inline std::vector<sys::LeftOut> LeftOutOf(const IoExecutor& kind) {
  if (kind.reactor.name != "IoUring") return {};
  return {{.call = sys::FaultInjection::kIoUringEnable},
          {.call = sys::FaultInjection::kIoUringUnregister}};
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_EXECUTOR_UNDER_FAULTS_H_
