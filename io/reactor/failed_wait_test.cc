// What every reactor does when the system call that it waits in, or is woken by, fails. Traps: a
// wake-up lost between check and park.
#include "plait/io/reactor/failed_wait.h"

#include <errno.h>

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
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
    waits_ = CallsOf([&] { Poll(In(absl::Milliseconds(1))); });
    wakes_ = CallsOf([&] { reactor_->Wake(); });
    Poll(In(absl::Seconds(10)));
  }

  std::vector<FaultInjection::Call> CallsOf(absl::FunctionRef<void()> what) const {
    std::vector<int64_t> before;
    for (int call = 0; call < FaultInjection::kCalls; ++call) before.push_back(Count(call));
    what();
    std::vector<FaultInjection::Call> made;
    for (int call = 0; call < FaultInjection::kCalls; ++call) {
      if (Count(call) > before[call]) made.push_back(static_cast<FaultInjection::Call>(call));
    }
    return made;
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

  void FailNextWaits() {
    for (const FaultInjection::Call call : waits_) faults_.Fail(call, ENOMEM, {.times = 5});
  }
  // A read that waits while waits fail, and that has all of it in the end.
  void ExpectThatAReadLosesNothing(const FdPair& pair) {
    GuardedBuffer buffer(5);
    ReadOperation read(pair.first.get(), buffer.span());
    reactor_->Submit(read);
    Poll(Deadline::Immediate());
    FailNextWaits();
    WriteAll(pair.second.get(), "hello");
    while (!read.delivered()) Poll(Deadline::Infinite());
    EXPECT_EQ(read.result, 5);
  }

  FaultInjection faults_;
  sys::ScopedSystemCalls scope_;
  std::unique_ptr<Reactor> reactor_;
  std::vector<FaultInjection::Call> waits_;  // what it waits in
  std::vector<FaultInjection::Call> wakes_;  // what it is woken by
};
using FailedWaitDeathTest = FailedWaitTest;

INSTANTIATE_TEST_SUITE_P(AllReactors, FailedWaitTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(AllReactors, FailedWaitDeathTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(FailedWaitTest, EveryReactorWaitsAndIsWokenInOneCallThatTestsCanMakeFail) {
  EXPECT_EQ(waits_.size(), 1u);
  ASSERT_EQ(wakes_.size(), 1u);
  if (GetParam().name != "Kqueue") {
    EXPECT_EQ(wakes_[0], FaultInjection::kSignalEventFd);
  }
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
  for (const FaultInjection::Call call : waits_) faults_.Clear(call);
  const FdPair pair = MakeSocketPair();
  ExpectThatAReadLosesNothing(pair);
}

// What lets some time pass before the next try may fail, too.
TEST_P(FailedWaitTest, ThatNotEvenTheTimeInBetweenPassesLosesNothing) {
  // One, as a reactor is to be told when a descriptor is closed.
  const FdPair pair = MakeSocketPair();
  for (const int error : {EFAULT, EINTR, EINVAL, ENOMEM}) {
    faults_.FailAll(FaultInjection::kWaitReadable, error);
    const int64_t hits = faults_.hits(FaultInjection::kWaitReadable);
    ExpectThatAReadLosesNothing(pair);
    // Where it waits.
    FailNextWaits();
    for (int i = 0; i < 10; ++i) Poll(In(absl::Milliseconds(1)));
    EXPECT_GT(faults_.hits(FaultInjection::kWaitReadable), hits);
  }
}

TEST_P(FailedWaitTest, AWakeThatIsInterruptedOrFindsNoMemoryIsNotLost) {
  for (const int error : {EINTR, ENOMEM}) {
    const int64_t hits = faults_.hits(wakes_[0]);
    faults_.Fail(wakes_[0], error, {.times = 3});
    const Deadline begin = Clock::Real().Now();
    reactor_->Wake();
    EXPECT_EQ(faults_.hits(wakes_[0]) - hits, 3);
    Poll(In(absl::Seconds(10)));
    EXPECT_LT(Clock::Real().Now(), begin + absl::Seconds(5));
  }
}

TEST_P(FailedWaitDeathTest, AWakeThatCanNeverArriveEndsTheProgramWithASentence) {
  EXPECT_DEATH(
      {
        faults_.FailNext(wakes_[0], EBADF);
        reactor_->Wake();
      },
      "waking a reactor: .*EBADF");
}

}  // namespace
}  // namespace plait
