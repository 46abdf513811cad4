// What every reactor does when the system call that it waits in, or is woken by, fails. Traps: a
// wake-up lost between check and park.
#include "plait/io/reactor/failed_wait.h"

#include <errno.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_operation.h"

namespace plait {
namespace {

using sys::FaultInjection;

class FailedWaitTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  FailedWaitTest() : scope_(faults_), reactor_(*GetParam().make(nullptr)) {
    Poll(Deadline::Immediate());
    std::vector<int64_t> before;
    for (int call = 0; call < FaultInjection::kCalls; ++call) before.push_back(Count(call));
    reactor_->Wake();
    Poll(In(absl::Seconds(10)));
    for (int call = 0; call < FaultInjection::kCalls; ++call) {
      const bool wakes = call == FaultInjection::kSignalEventFd;
      const bool reads = call == FaultInjection::kRead;
      if (Count(call) > before[call] && !wakes && !reads) {
        waits_.push_back(static_cast<FaultInjection::Call>(call));
      }
    }
  }

  static Deadline In(absl::Duration duration) { return Clock::Real().Now() + duration; }
  int64_t Count(int call) const { return faults_.count(static_cast<FaultInjection::Call>(call)); }
  // How often it has waited.
  int64_t Waits() const {
    int64_t count = 0;
    for (const FaultInjection::Call call : waits_) count += Count(call);
    return count;
  }
  void FailAllWaits(int error) {
    for (const FaultInjection::Call call : waits_) faults_.FailAll(call, error);
  }
  void Poll(Deadline deadline) {
    WorkQueue ready;
    reactor_->Poll(deadline, Clock::Real(), ready);
    while (WorkItem* item = ready.Pop()) item->run(*item);
  }

  FaultInjection faults_;
  sys::ScopedSystemCalls scope_;
  std::unique_ptr<Reactor> reactor_;
  std::vector<FaultInjection::Call> waits_;  // what it waits in
};
using FailedWaitDeathTest = FailedWaitTest;

INSTANTIATE_TEST_SUITE_P(AllReactors, FailedWaitTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(AllReactors, FailedWaitDeathTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(FailedWaitTest, EveryReactorWaitsInACallThatTestsCanMakeFail) {
  EXPECT_EQ(waits_.size(), 1u);
}

TEST_P(FailedWaitDeathTest, AWaitThatCanNeverWorkEndsTheProgramWithASentence) {
  for (const int error : {EBADF, EINVAL, EFAULT}) {
    EXPECT_DEATH(
        {
          FailAllWaits(error);
          for (;;) Poll(Deadline::Infinite());
        },
        "reactor: .*(EBADF|EINVAL|EFAULT).*no retry mends this");
  }
}

TEST_P(FailedWaitTest, AWaitThatTheSystemHasNoMemoryForIsTriedAgainWithoutSpinning) {
  for (const int error : {ENOMEM, EAGAIN}) {
    FailAllWaits(error);
    const int64_t before = Waits();
    const Deadline end = In(absl::Milliseconds(50));
    while (Clock::Real().Now() < end) Poll(end);
    EXPECT_LE(Waits() - before, 60) << "it spins";
  }
  // And nothing is lost by it.
  for (const FaultInjection::Call call : waits_) faults_.Fail(call, ENOMEM, {.times = 5});
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  reactor_->Submit(read);
  WriteAll(pair.second.get(), "hello");
  while (!read.delivered()) Poll(Deadline::Infinite());
  EXPECT_EQ(read.result, 5);
}

TEST_P(FailedWaitTest, AWakeThatIsInterruptedIsNotLost) {
  faults_.Fail(FaultInjection::kSignalEventFd, EINTR, {.times = 3});
  const Deadline begin = Clock::Real().Now();
  reactor_->Wake();
  Poll(In(absl::Seconds(10)));
  EXPECT_LT(Clock::Real().Now(), begin + absl::Seconds(5));
  EXPECT_EQ(faults_.hits(FaultInjection::kSignalEventFd), 3);
}

TEST_P(FailedWaitDeathTest, AWakeThatCanNeverArriveEndsTheProgramWithASentence) {
  EXPECT_DEATH(
      {
        faults_.FailNext(FaultInjection::kSignalEventFd, EBADF);
        reactor_->Wake();
      },
      "waking a reactor: .*EBADF");
}

}  // namespace
}  // namespace plait
