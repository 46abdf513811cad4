// Every system call that listening for signals makes, failing at every place and in every way that
// its manual page lists, on every executor: see io/system/fault_matrix.h.
#include <signal.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/signal/signal_listener.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/fault_matrix.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/executor_under_faults.h"

namespace plait {
namespace {

using sys::ArmFaults;
using sys::FaultInjection;
using sys::RunFaultMatrix;

using SignalFaultsTest = testing::TestWithParam<IoExecutor>;

INSTANTIATE_TEST_SUITE_P(AllExecutors, SignalFaultsTest, testing::ValuesIn(ExecutorsUnderFaults()),
                         IoExecutor::Name);

TEST_P(SignalFaultsTest, ASignalThatIsListenedFor) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = []() -> Task<absl::Status> {
      const int wanted[] = {SIGUSR1, SIGUSR2};
      SignalListener listener = co_await OrReturn(ListenForSignals(wanted));
      ::raise(SIGUSR1);
      const int first = co_await OrReturn(listener.Next());
      EXPECT_EQ(first, SIGUSR1);
      // This one is waited for.
      JoinHandle<absl::StatusOr<int>> next = Spawn(listener.Next(), {.eager = true});
      ::raise(SIGUSR2);
      const int second = co_await OrReturn(std::move(next));
      EXPECT_EQ(second, SIGUSR2);
      co_return absl::OkStatus();
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  // What tells of a signal, an eventfd, is never read in part.
  RunFaultMatrix({.short_transfers = false,
                  .reaches = {FaultInjection::kEventFd, FaultInjection::kSignalAction},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

}  // namespace
}  // namespace plait
