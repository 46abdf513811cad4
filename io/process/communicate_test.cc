// Traps: a buffer that is freed while the kernel owns it (of a Communicate that is cut short); a
// cancel that races completion; a reference parameter of a lazy task (the readers' strings).
#include <errno.h>
#include <signal.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/process/process.h"
#include "plait/io/process/process_fixture.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using sys::FaultInjection;

class CommunicateTest : public ProcessFixture {
 protected:
  // With pipes to and from everything.
  static Process StartPiped(std::vector<std::string> arguments) {
    ProcessOptions options;
    options.arguments = std::move(arguments);
    options.input = options.output = options.error = Stdio::Pipe();
    absl::StatusOr<Process> process = Process::Start(options);
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }
  static Process StartPipedScript(std::string script) {
    return StartPiped({"sh", "-c", std::move(script)});
  }
};

TEST_P(CommunicateTest, TenMebibytesGoThroughAndBackWithoutADeadlock) {
  const std::string data = Pattern(10 << 20);
  Process cat = StartPiped({"cat"});
  const absl::StatusOr<ProcessOutput> said = BlockOn(executor(), cat.Communicate(data));
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_TRUE(said->output == data);
  EXPECT_EQ(said->error, "");
  EXPECT_TRUE(said->status.ok());
}

TEST_P(CommunicateTest, OutputAndErrorAreReadSideBySide) {
  const std::string data = Pattern(1 << 20);
  Process both = StartPipedScript("tee /dev/stderr");
  const absl::StatusOr<ProcessOutput> said = BlockOn(executor(), both.Communicate(data));
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_TRUE(said->output == data);
  EXPECT_TRUE(said->error == data);
}

TEST_P(CommunicateTest, AProcessThatDoesNotReadItsInputIsNoError) {
  const std::string data = Pattern(1 << 20);
  for (const char* script : {"exit 3", "exec <&-; echo closed; exit 3", "head -c 5; exit 3"}) {
    SCOPED_TRACE(script);
    Process process = StartPipedScript(script);
    const absl::StatusOr<ProcessOutput> said = BlockOn(executor(), process.Communicate(data));
    ASSERT_TRUE(said.ok()) << said.status();
    EXPECT_EQ(said->status, ExitStatus::Exited(3));
  }
}

TEST_P(CommunicateTest, ASignalThatEndsTheProcessIsTold) {
  Process process = StartPipedScript("echo last words; kill -SEGV $$");
  const absl::StatusOr<ProcessOutput> said = BlockOn(executor(), process.Communicate());
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_EQ(said->output, "last words\n");
  EXPECT_EQ(said->status.signal(), SIGSEGV);
}

TEST_P(CommunicateTest, WithoutPipesItOnlyWaits) {
  ProcessOptions options;
  absl::StatusOr<Process> process = Shell("exit 4", options);
  absl::StatusOr<ProcessOutput> said = BlockOn(executor(), process->Communicate());
  EXPECT_EQ(said->status, ExitStatus::Exited(4));
  // Again, with the pipes taken, gives the end again.
  said = BlockOn(executor(), process->Communicate());
  EXPECT_EQ(said->status, ExitStatus::Exited(4));
  said = BlockOn(executor(), process->Communicate("text"));
  EXPECT_TRUE(absl::IsFailedPrecondition(said.status())) << said.status();
}

TEST_P(CommunicateTest, ACancelKillsAndReapsTheProcess) {
  const auto body = [&]() -> Task<void> {
    // One that reads all, one that reads nothing, one that never stops to speak. None ends by
    // itself, however long the turns take.
    for (const char* script : {"cat >&2; exec sleep 1000", "read line; exec sleep 1000", "yes"}) {
      Process process = StartPipedScript(script);
      JoinHandle<absl::StatusOr<ProcessOutput>> talking =
          Spawn(process.Communicate(Pattern(1 << 20)), {.eager = true});
      for (int i = 0; i < 5; ++i) co_await Yield();
      talking.Cancel();
      const absl::StatusOr<ProcessOutput> said = co_await talking;
      EXPECT_TRUE(absl::IsCancelled(said.status())) << said.status();
      EXPECT_EQ(process.exit_status(), ExitStatus::Signalled(SIGKILL)) << script;
    }
  };
  RunTask(body);
}

TEST_P(CommunicateTest, ACancelAtAnyMomentLeavesNeitherProcessNorDescriptor) {
  const auto body = [&]() -> Task<void> {
    for (const int moment : Rounds(100)) {
      Process process = StartPiped({"cat"});
      JoinHandle<absl::StatusOr<ProcessOutput>> talking = Spawn(process.Communicate("text"));
      for (int i = 0; i < moment; ++i) co_await Yield();
      talking.Cancel();
      const absl::StatusOr<ProcessOutput> said = co_await talking;
      if (said.ok()) {
        EXPECT_EQ(said->output, "text");
      } else {
        EXPECT_TRUE(absl::IsCancelled(said.status())) << said.status();
      }
    }
    co_await UntilNoChildren();
  };
  RunTask(body);
  Settle();
  const int before = OpenDescriptors();
  RunTask(body);
  Settle();
  // Fewer, where a thread that started had a file open for a moment.
  EXPECT_LE(OpenDescriptors(), before + spare_descriptors());
}

TEST_P(CommunicateTest, ATimeoutKillsWhatTakesTooLong) {
  Process process = StartPipedScript("echo begun; exec sleep 1000");
  const absl::StatusOr<ProcessOutput> said =
      BlockOn(executor(), Timeout(absl::Milliseconds(20), process.Communicate()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(said.status())) << said.status();
  EXPECT_EQ(process.exit_status(), ExitStatus::Signalled(SIGKILL));
}

TEST_P(CommunicateTest, MoreThanTheLimitIsResourceExhaustedAndKills) {
  ProcessOptions options;
  options.arguments = {"sh", "-c", "yes & exec yes >&2"};
  options.output = options.error = Stdio::Pipe();
  options.group = ProcessOptions::Group::kNew;
  absl::StatusOr<Process> process = Process::Start(options);
  absl::StatusOr<ProcessOutput> said = BlockOn(executor(), process->Communicate("", 1'000'000));
  EXPECT_TRUE(absl::IsResourceExhausted(said.status())) << said.status();
  EXPECT_EQ(process->exit_status(), ExitStatus::Signalled(SIGKILL));

  Process exact = StartPipedScript("printf 12345; printf 678 >&2");
  said = BlockOn(executor(), exact.Communicate("", 8));
  EXPECT_TRUE(said.ok()) << said.status();
  Process one_more = StartPipedScript("printf 12345; printf 6789 >&2");
  said = BlockOn(executor(), one_more.Communicate("", 8));
  EXPECT_TRUE(absl::IsResourceExhausted(said.status())) << said.status();
  EXPECT_TRUE(absl::StrContains(said.status().message(), "(sh)")) << said.status();
}

TEST_P(CommunicateTest, AnErrorOfAPipeKillsTheProcessAndIsTheResult) {
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  for (const bool write : {true, false}) {
    Process process = StartPiped({"cat"});
    const int fd = (write ? process.input() : process.output()).get();
    // Whatever call the reactor makes.
    faults.Fail(write ? FaultInjection::kWrite : FaultInjection::kRead, EIO, {.fd = fd});
    const absl::StatusOr<ProcessOutput> said = BlockOn(executor(), process.Communicate("x"));
    if (faults.hits(write ? FaultInjection::kWrite : FaultInjection::kRead) == 0) {
      EXPECT_TRUE(said.ok()) << "a reactor that does not read and write by these calls";
      continue;
    }
    EXPECT_EQ(said.status().code(), absl::StatusCode::kUnknown) << said.status();
    EXPECT_TRUE(absl::StrContains(said.status().message(), "EIO")) << said.status();
    EXPECT_TRUE(process.exit_status().has_value());
  }
}

TEST_P(CommunicateTest, ManyAtOnceKeepApart) {
  const auto talk = [](int i) -> Task<absl::StatusOr<std::string>> {
    Process cat = StartPiped({"cat"});
    absl::StatusOr<ProcessOutput> said = co_await cat.Communicate(absl::StrCat("number ", i));
    if (!said.ok()) co_return said.status();
    co_return said->output;
  };
  const auto body = [&]() -> Task<void> {
    std::vector<Task<absl::StatusOr<std::string>>> all;
    for (int i = 0; i < 50; ++i) all.push_back(talk(i));
    const absl::StatusOr<std::vector<std::string>> said = co_await Gather(std::move(all));
    EXPECT_TRUE(said.ok()) << said.status();
    for (int i = 0; i < 50; ++i) EXPECT_EQ((*said)[i], absl::StrCat("number ", i));
  };
  RunTask(body);
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, CommunicateTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
