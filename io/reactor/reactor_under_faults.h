// ReactorUnderFaults: a reactor whose system calls a test has fail, and what drives it by hand. For
// the tests of single reactors; what holds on all of them is in runtime/testing's suites.
#ifndef PLAIT_IO_REACTOR_REACTOR_UNDER_FAULTS_H_
#define PLAIT_IO_REACTOR_REACTOR_UNDER_FAULTS_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/test_operation.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {

class ReactorUnderFaults : public testing::Test {
 protected:
  using Make = absl::StatusOr<std::unique_ptr<Reactor>> (*)(Executor* blocking);

  explicit ReactorUnderFaults(Make make) : scope_(faults_), reactor_(*make(&blocking_)) {}

  int32_t Do(TestOperation& operation) {
    Submit(operation);
    return Await(operation);
  }
  void Submit(TestOperation& operation) {
    operation.next_turn = &turn_;
    reactor_->Submit(operation);
  }
  int32_t Await(TestOperation& operation) {
    while (!operation.delivered()) PollOnce(Deadline::Infinite());
    EXPECT_EQ(operation.deliveries, 1);
    return operation.result;
  }
  void PollOnce(Deadline deadline) {
    WorkQueue ready;
    reactor_->Poll(deadline, Clock::Real(), ready);
    while (WorkItem* item = ready.Pop()) item->run(*item);
  }
  void PollTillQuiet() {
    for (int i = 0; i < 32; ++i) PollOnce(Deadline::Immediate());
  }

  sys::FaultInjection faults_;
  sys::ScopedSystemCalls scope_;
  ThreadExecutor blocking_;
  std::unique_ptr<Reactor> reactor_;
  int64_t turn_ = 0;
};

}  // namespace plait

#endif  // PLAIT_IO_REACTOR_REACTOR_UNDER_FAULTS_H_
