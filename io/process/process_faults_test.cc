// Every system call that processes make, failing at every place and in every way that its manual
// page lists, on every executor: see io/system/fault_matrix.h. Whatever fails, no child is left.
#include <errno.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/process/process.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/fault_matrix.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/executor_under_faults.h"
#include "plait/runtime/testing/leftovers.h"

namespace plait {
namespace {

using sys::ArmFaults;
using sys::FaultInjection;
using sys::RunFaultMatrix;

class ProcessFaultsTest : public testing::TestWithParam<IoExecutor> {
 protected:
  std::vector<sys::LeftOut> LeftOut() const {
    std::vector<sys::LeftOut> left_out = LeftOutOf(GetParam());
    // That there is no such child, of one that there is; the child would never be reaped. And that
    // there is nobody to be signalled.
    left_out.push_back({.call = FaultInjection::kTakeExit, .error = ECHILD});
    left_out.push_back({.call = FaultInjection::kTakeExit, .error = EINVAL});
    return left_out;
  }
};

// A process whose end could not be waited for was killed, and is reaped by the next start.
void ReapTheRest() {
  for (int i = 0; HasChildren() && i < 1000; ++i) {
    ProcessOptions options;
    options.arguments = {"true"};
    const absl::StatusOr<Process> next = Process::Start(options);
    EXPECT_TRUE(next.ok()) << next.status();
  }
  EXPECT_FALSE(HasChildren()) << "a child was left behind";
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, ProcessFaultsTest, testing::ValuesIn(ExecutorsUnderFaults()),
                         IoExecutor::Name);

TEST_P(ProcessFaultsTest, AProcessThatIsTalkedTo) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = [&]() -> Task<absl::Status> {
      ProcessOptions options;
      options.arguments = {"cat"};
      options.input = options.output = Stdio::Pipe();
      Process cat = co_await OrReturn(Process::Start(options));
      const ProcessOutput output = co_await OrReturn(cat.Communicate("hello"));
      // A process that does not want its input is no error, and neither is one that seems to.
      EXPECT_TRUE(output.output == "hello" || output.output.empty()) << output.output;
      EXPECT_TRUE(output.status.ok());
      co_return absl::OkStatus();
    };
    absl::Status status = RunUnderFaults(GetParam(), arm, body);
    ReapTheRest();
    return status;
  };
  RunFaultMatrix(
      {.reaches = {FaultInjection::kPipe, FaultInjection::kSpawn, FaultInjection::kOpenProcess,
                   FaultInjection::kTakeExit, FaultInjection::kRead, FaultInjection::kWrite},
       .left_out = LeftOut()},
      scenario);
}

TEST_P(ProcessFaultsTest, AProcessThatIsEndedAndWaitedFor) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = [&]() -> Task<absl::Status> {
      ProcessOptions options;
      options.arguments = {"sleep", "1000"};
      Process sleep = co_await OrReturn(Process::Start(options));
      co_await OrReturn(sleep.Kill());
      const ExitStatus status = co_await OrReturn(sleep.Wait());
      EXPECT_FALSE(status.ok());
      co_return absl::OkStatus();
    };
    absl::Status status = RunUnderFaults(GetParam(), arm, body);
    ReapTheRest();
    return status;
  };
  RunFaultMatrix({.reaches = {FaultInjection::kSpawn, FaultInjection::kOpenProcess,
                              FaultInjection::kSignalProcess, FaultInjection::kTakeExit},
                  .left_out = LeftOut()},
                 scenario);
}

}  // namespace
}  // namespace plait
