// Traps: a wake-up lost between check and park (exits that come while they are not waited for yet,
// and many at once); a cancel that races completion (of a wait, of the loop, of the drop); a
// reference parameter of a lazy task (a wait outlives its Process).
#include "plait/io/process/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/process/process_fixture.h"
#include "plait/io/process/process_state.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

using sys::FaultInjection;

class ProcessTest : public ProcessFixture {};

// --- waiting ---

TEST_P(ProcessTest, AProcessEndsWithItsCodeOrWithTheSignalThatEndedIt) {
  const auto body = [&]() -> Task<void> {
    Process one = StartScript("exit 3");
    absl::StatusOr<ExitStatus> ended = co_await one.Wait();
    EXPECT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(*ended, ExitStatus::Exited(3));
    Process other = StartScript("kill -KILL $$");
    ended = co_await other.Wait();
    EXPECT_EQ(*ended, ExitStatus::Signalled(SIGKILL));
  };
  RunTask(body);
}

TEST_P(ProcessTest, EveryWaiterGetsTheSameAnswerAndSoDoesWhoeverComesLater) {
  const auto body = [&]() -> Task<void> {
    Process process = StartScript("read line; exit 5");
    EXPECT_EQ(process.exit_status(), std::nullopt);
    std::vector<JoinHandle<absl::StatusOr<ExitStatus>>> waiters;
    for (int i = 0; i < 5; ++i) waiters.push_back(Spawn(process.Wait()));
    co_await Yield();
    process.input().Reset();
    for (auto& waiter : waiters) {
      const absl::StatusOr<ExitStatus> ended = co_await waiter;
      EXPECT_EQ(*ended, ExitStatus::Exited(5));
    }
    const absl::StatusOr<ExitStatus> late = co_await process.Wait();
    EXPECT_EQ(*late, ExitStatus::Exited(5));
    EXPECT_EQ(process.exit_status(), ExitStatus::Exited(5));
  };
  RunTask(body);
}

TEST_P(ProcessTest, SeveralExecutorsMayWaitForOneProcess) {
  Process process = StartScript("read line; exit 6");
  std::deque<absl::StatusOr<ExitStatus>> answers(4);
  std::vector<Thread> threads;
  for (absl::StatusOr<ExitStatus>& answer : answers) {
    threads.push_back(StartThread("waiter", [&answer, wait = process.Wait()]() mutable {
      const std::unique_ptr<Executor> own = GetParam().Make();
      answer = BlockOn(*own, std::move(wait));
    }));
  }
  process.input().Reset();
  for (Thread& thread : threads) thread.join();
  for (const absl::StatusOr<ExitStatus>& answer : answers) {
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(*answer, ExitStatus::Exited(6));
  }
}

TEST_P(ProcessTest, ACancelledWaitLeavesTheProcessAlone) {
  const auto body = [&]() -> Task<void> {
    Process process = StartScript("read line; exit 4");
    JoinHandle<absl::StatusOr<ExitStatus>> waiting = Spawn(process.Wait(), {.eager = true});
    co_await Yield();
    co_await Yield();
    waiting.Cancel();
    absl::StatusOr<ExitStatus> ended = co_await waiting;
    EXPECT_TRUE(absl::IsCancelled(ended.status())) << ended.status();
    EXPECT_TRUE(absl::StrContains(ended.status().message(), "(/bin/sh)")) << ended.status();
    EXPECT_EQ(process.exit_status(), std::nullopt);
    process.input().Reset();
    ended = co_await process.Wait();
    EXPECT_EQ(*ended, ExitStatus::Exited(4));
  };
  RunTask(body);
}

TEST_P(ProcessTest, AWaitOutlivesItsProcessObject) {
  const auto body = [&]() -> Task<void> {
    std::optional<Process> process = StartScript("read line");
    Task<absl::StatusOr<ExitStatus>> wait = process->Wait();
    process.reset();
    const absl::StatusOr<ExitStatus> ended = co_await std::move(wait);
    EXPECT_EQ(*ended, ExitStatus::Signalled(SIGKILL)) << "the drop killed it";
  };
  RunTask(body);
}

// The children wait for the end of one pipe, and so end at the same moment.
TEST_P(ProcessTest, Line70TwoHundredChildrenThatExitAtOnceAreAllReaped) {
  FdPair gate = MakePipe();
  const auto body = [&]() -> Task<void> {
    std::vector<Process> children;
    std::vector<Task<absl::StatusOr<ExitStatus>>> waits;
    ProcessOptions options;
    options.arguments = {"cat"};
    options.input = Stdio::Descriptor(gate.first.get());
    for (int i = 0; i < 200; ++i) {
      absl::StatusOr<Process> child = Process::Start(options);
      EXPECT_TRUE(child.ok()) << child.status();
      waits.push_back(child->Wait());
      children.push_back(*std::move(child));
    }
    gate.second.Reset();
    const auto all = co_await GatherAll(std::move(waits));
    EXPECT_EQ(all.size(), 200u);
    for (const absl::StatusOr<ExitStatus>& ended : all) EXPECT_TRUE(ended.ok() && ended->ok());
    EXPECT_FALSE(HasChildren());
  };
  RunTask(body);
}

// --- signals ---

TEST_P(ProcessTest, AProcessThatIgnoresTheRequestToEndIsKilled) {
  const auto body = [&]() -> Task<void> {
    Process process = StartScript("trap '' TERM; echo ready; read line; echo still; read line");
    absl::StatusOr<std::string> line = co_await ReadLine(process.output());
    EXPECT_EQ(*line, "ready");
    absl::Status sent = process.Terminate();
    EXPECT_TRUE(sent.ok()) << sent;
    const absl::Status written = co_await WriteSome(process.input(), "go on\n");
    EXPECT_TRUE(written.ok()) << written;
    line = co_await ReadLine(process.output());
    EXPECT_EQ(*line, "still") << "it ignored SIGTERM";
    sent = process.Kill();
    EXPECT_TRUE(sent.ok()) << sent;
    const absl::StatusOr<ExitStatus> ended = co_await process.Wait();
    EXPECT_EQ(*ended, ExitStatus::Signalled(SIGKILL));
  };
  RunTask(body);
}

TEST_P(ProcessTest, AProcessIsAskedToEndAndHandlesOtherSignals) {
  const auto body = [&]() -> Task<void> {
    Process process =
        StartScript("trap 'echo caught' USR1; echo ready; while :; do read line || :; done");
    absl::StatusOr<std::string> line = co_await ReadLine(process.output());
    absl::Status sent = process.Signal(SIGUSR1);
    EXPECT_TRUE(sent.ok()) << sent;
    // Some shells run the trap once their read is over, others end the read.
    const absl::Status written = co_await WriteSome(process.input(), "x\n");
    EXPECT_TRUE(written.ok()) << written;
    line = co_await ReadLine(process.output());
    EXPECT_EQ(*line, "caught");
    sent = process.Terminate();
    EXPECT_TRUE(sent.ok()) << sent;
    const absl::StatusOr<ExitStatus> ended = co_await process.Wait();
    EXPECT_EQ(*ended, ExitStatus::Signalled(SIGTERM));
  };
  RunTask(body);
}

TEST_P(ProcessTest, OneThatHasEndedIsNotSignalledWhetherItWasWaitedForOrNot) {
  const auto body = [&]() -> Task<void> {
    Process process = StartScript("exit 2");
    const absl::StatusOr<std::string> end = co_await ReadSome(process.output());
    EXPECT_EQ(*end, "");
    // Its output has ended, so it is about to; only the wait is sure of it.
    while (!process.exit_status().has_value()) co_await Yield();
    const absl::Status sent = process.Signal(SIGTERM);
    EXPECT_EQ(sent, absl::FailedPreconditionError(
                        absl::StrCat("send SIGTERM to process ", process.pid(),
                                     " (/bin/sh): it has ended: exit status 2")));
    const absl::Status killed = process.Kill();
    EXPECT_TRUE(absl::IsFailedPrecondition(killed)) << killed;
  };
  RunTask(body);
}

TEST_P(ProcessTest, ASignalThatDoesNotExistIsRefusedAndZeroOnlyAsks) {
  Process process = StartScript("read line");
  for (const int signal : {-1, 65, 1000}) {
    const absl::Status sent = process.Signal(signal);
    EXPECT_TRUE(absl::IsInvalidArgument(sent)) << sent;
  }
  const absl::Status asked = process.Signal(0);
  EXPECT_TRUE(asked.ok()) << asked;
  EXPECT_EQ(process.exit_status(), std::nullopt);
}

// The grandchild keeps the pipe open: its end is that of the whole group.
TEST_P(ProcessTest, AGroupOfItsOwnIsSignalledAndKilledTogether) {
  const auto body = [&]() -> Task<void> {
    for (const bool by_kill : {true, false}) {
      Process process = StartScript("sleep 1000 & echo ready; wait", /*own_group=*/true);
      const absl::StatusOr<std::string> line = co_await ReadLine(process.output());
      EXPECT_EQ(*line, "ready");
      const absl::Status sent = by_kill ? process.Kill() : process.SignalGroup(SIGHUP);
      EXPECT_TRUE(sent.ok()) << sent;
      const absl::StatusOr<std::string> end = co_await ReadSome(process.output());
      EXPECT_EQ(*end, "");
      const absl::StatusOr<ExitStatus> ended = co_await process.Wait();
      EXPECT_EQ(*ended, ExitStatus::Signalled(by_kill ? SIGKILL : SIGHUP));
    }
    Process alone = StartScript("read line");
    const absl::Status sent = alone.SignalGroup(SIGHUP);
    EXPECT_TRUE(absl::IsFailedPrecondition(sent)) << sent;
  };
  RunTask(body);
}

// Until it has ended; its exit is left. Its number is no other process's, so nothing else ends it.
void AwaitEndAndLeaveTheExit(const Process& process) {
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(process.pid()), &info, WEXITED | WNOWAIT), 0);
}

// The grandchild, which is alone in the group then, keeps the pipe open.
TEST_P(ProcessTest, AGroupIsReachedAlsoWhenItsLeaderHasEnded) {
  const auto body = [&]() -> Task<void> {
    for (const absl::string_view by : {"Kill", "SignalGroup", "the drop", "Communicate"}) {
      std::optional<Process> process = StartScript("sleep 1000 & echo ready", /*own_group=*/true);
      const absl::StatusOr<std::string> line = co_await ReadLine(process->output());
      EXPECT_EQ(*line, "ready");
      AwaitEndAndLeaveTheExit(*process);
      // Stays where the process's own goes.
      io::OwnedDescriptor output(::dup(process->output().get()));
      absl::Status sent;
      if (by == "Kill") {
        sent = process->Kill();
      } else if (by == "SignalGroup") {
        sent = process->SignalGroup(SIGHUP);
      } else if (by == "the drop") {
        process.reset();
      } else {
        JoinHandle<absl::StatusOr<ProcessOutput>> talk =
            Spawn(process->Communicate(), {.eager = true});
        talk.Cancel();
        const absl::StatusOr<ProcessOutput> cut = co_await talk;
        EXPECT_TRUE(absl::IsCancelled(cut.status())) << cut.status();
      }
      EXPECT_TRUE(sent.ok()) << by << ": " << sent;
      if (!sent.ok()) co_return;
      const absl::StatusOr<std::string> end = co_await ReadSome(output);
      EXPECT_EQ(*end, "") << by;
      if (!process.has_value()) continue;
      const absl::StatusOr<ExitStatus> ended = co_await process->Wait();
      EXPECT_EQ(*ended, ExitStatus::Exited(0)) << by;
      // From now on the number may be another group's.
      EXPECT_TRUE(absl::IsFailedPrecondition(process->SignalGroup(SIGHUP)));
      EXPECT_TRUE(absl::IsFailedPrecondition(process->Kill()));
    }
  };
  RunTask(body);
}

// --- dropping ---

TEST_P(ProcessTest, DroppingAProcessKillsItAndReapsItInTheBackground) {
  const auto body = [&]() -> Task<void> {
    FdPair pipe = MakePipe();
    {
      ProcessOptions options;
      options.output = Stdio::Descriptor(pipe.second.get());
      options.input = Stdio::Pipe();
      absl::StatusOr<Process> process = Shell("read line; echo lived", options);
      EXPECT_TRUE(process.ok()) << process.status();
      EXPECT_TRUE(HasChildren());
    }
    co_await UntilNoChildren();
    pipe.second.Reset();
    EXPECT_EQ(ReadExactly(pipe.first.get(), 10), "");
  };
  RunTask(body);
}

TEST_P(ProcessTest, ADropInATaskOfAStrandIsReapedWhereTheStrandIs) {
  const auto drop = []() -> Task<void> {
    const Process dropped = StartScript("read line");
    co_return;
  };
  const auto body = [&]() -> Task<void> {
    {
      Strand strand(*TaskContext::Current()->executor);
      co_await Spawn(drop(), {.executor = &strand});
    }
    co_await UntilNoChildren();
  };
  RunTask(body);
}

TEST_P(ProcessTest, DroppingAProcessWithAGroupKillsTheGroup) {
  const auto body = [&]() -> Task<void> {
    io::OwnedDescriptor output;
    {
      Process process = StartScript("sleep 1000 & echo ready; wait", /*own_group=*/true);
      const absl::StatusOr<std::string> line = co_await ReadLine(process.output());
      EXPECT_EQ(*line, "ready");
      output = std::move(process.output());
    }
    const absl::StatusOr<std::string> end = co_await ReadSome(output);
    EXPECT_EQ(*end, "");
    co_await UntilNoChildren();
  };
  RunTask(body);
}

// Leaves a child that runs until `input` is closed; dropped, and not killed.
absl::Status StartAndLeave(const FdPair& input, const FdPair& output) {
  ProcessOptions options;
  options.input = Stdio::Descriptor(input.first.get());
  options.output = Stdio::Descriptor(output.second.get());
  options.kill_on_drop = false;
  return Shell("read line; echo lived", options).status();
}

TEST_P(ProcessTest, OneThatIsLeftToRunIsReapedOnceItHasEnded) {
  FdPair input = MakePipe();
  FdPair output = MakePipe();
  const auto body = [&]() -> Task<void> {
    const absl::Status started = StartAndLeave(input, output);
    EXPECT_TRUE(started.ok()) << started;
    co_await Yield();
    co_await Yield();
    EXPECT_TRUE(HasChildren());
    input.second.Reset();
    EXPECT_EQ(ReadExactly(output.first.get(), 6), "lived\n");
    co_await UntilNoChildren();
  };
  RunTask(body);
}

TEST_P(ProcessTest, ALoopThatEndsDoesNotWaitForOneThatIsLeftToRunAndALaterStartReapsIt) {
  FdPair input = MakePipe();
  FdPair output = MakePipe();
  const auto body = [&]() -> Task<void> {
    const absl::Status started = StartAndLeave(input, output);
    EXPECT_TRUE(started.ok()) << started;
    co_await Yield();
  };
  RunTask(body);
  EndExecutor();
  EXPECT_EQ(internal::ReapOrphans(), 1u) << "it runs";
  input.second.Reset();
  output.second.Reset();
  EXPECT_EQ(ReadExactly(output.first.get(), 100), "lived\n");
  // Its output has ended, so it is about to.
  while (HasChildren()) {
    ProcessOptions nothing;
    nothing.arguments = {"/no/such/program"};
    EXPECT_FALSE(Process::Start(nothing).ok());
  }
  EXPECT_EQ(internal::ReapOrphans(), 0u);
}

TEST_P(ProcessTest, ALoopThatEndsKillsAndReapsWhatItsTasksHold) {
  const auto hold = [&]() -> Task<void> {
    Process process = StartScript("read line");
    const absl::StatusOr<ExitStatus> ended = co_await process.Wait();
    EXPECT_TRUE(absl::IsCancelled(ended.status())) << ended.status();
  };
  const auto body = [&]() -> Task<void> {
    Spawn(hold(), {.eager = true});
    co_await Yield();
  };
  RunTask(body);
  EXPECT_TRUE(HasChildren());
  EndExecutor();
  EXPECT_FALSE(HasChildren());
}

TEST(ProcessOnThreadPoolTest, OneThatIsLeftToRunIsReapedInTheBackground) {
  ThreadPool pool({.threads = 2});
  const auto body = []() -> Task<void> {
    FdPair input = MakePipe();
    const FdPair output = MakePipe();
    const absl::Status started = StartAndLeave(input, output);
    EXPECT_TRUE(started.ok()) << started;
    input.second.Reset();
    co_await UntilNoChildren();
  };
  BlockOn(pool, body());
}

TEST_P(ProcessTest, OutsideOfALoopTheDropReapsWhatItKilled) {
  {
    const Process process = StartScript("read line");
  }
  EXPECT_FALSE(HasChildren());
  {
    Process first = StartScript("read line");
    Process second = StartScript("read line; exit 1");
    std::swap(first, second);
    second.input().Reset();
    first = std::move(second);
  }
  EXPECT_FALSE(HasChildren());
}

TEST_P(ProcessTest, AThousandStartsLeaveNoDescriptorAndNoZombie) {
  const Share rounds = Rounds(1000);
  ProcessOptions options;
  options.arguments = {"/bin/true"};
  options.input = options.output = Stdio::Pipe();
  const auto start = [&](bool wait) -> Task<void> {
    absl::StatusOr<Process> process = Process::Start(options);
    EXPECT_TRUE(process.ok()) << process.status();
    if (wait) {
      const absl::StatusOr<ExitStatus> ended = co_await process->Wait();
      EXPECT_TRUE(ended.ok() && ended->ok()) << ended.status();
    }
  };
  const auto some = [&]() -> Task<void> {
    for (const int i : rounds) co_await start(/*wait=*/i % 2 == 0);
    co_await UntilNoChildren();
  };
  RunTask([&] { return start(/*wait=*/true); });
  Settle();
  const int before = OpenDescriptors();
  RunTask(some);
  Settle();
  // Fewer, where a thread that started had a file open for a moment.
  EXPECT_LE(OpenDescriptors(), before + spare_descriptors());
}

// --- systems that refuse something ---

TEST_P(ProcessTest, WithoutDescriptorsOfProcessesWaitsLookAndSignalsGoByNumber) {
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  const auto body = [&]() -> Task<void> {
    for (const int error : {ENOSYS, EPERM, EMFILE}) {
      faults.FailAll(FaultInjection::kOpenProcess, error);
      Process process = StartScript("read line; exit 9");
      JoinHandle<absl::StatusOr<ExitStatus>> waiting = Spawn(process.Wait(), {.eager = true});
      co_await Yield();
      waiting.Cancel();
      absl::StatusOr<ExitStatus> ended = co_await waiting;
      EXPECT_TRUE(absl::IsCancelled(ended.status())) << ended.status();
      process.input().Reset();
      ended = co_await process.Wait();
      EXPECT_EQ(*ended, ExitStatus::Exited(9));

      Process killed = StartScript("read line");
      faults.FailNext(FaultInjection::kSignalPid, EPERM);
      const absl::Status refused = killed.Kill();
      EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
      const absl::Status sent = killed.Kill();
      EXPECT_TRUE(sent.ok()) << sent;
      ended = co_await killed.Wait();
      EXPECT_EQ(*ended, ExitStatus::Signalled(SIGKILL));
      {
        const Process dropped = StartScript("read line");
      }
      co_await UntilNoChildren();
    }
    EXPECT_GT(faults.count(FaultInjection::kSignalPid), 0);
    EXPECT_EQ(faults.count(FaultInjection::kSignalProcess), 0);
  };
  RunTask(body);
}

TEST_P(ProcessTest, AWaitGoesOnWhereThereAreTooManyOpenFiles) {
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  const auto body = [&]() -> Task<void> {
    Process process = StartScript("read line; exit 8");
    faults.FailAll(FaultInjection::kDuplicate, EMFILE);
    JoinHandle<absl::StatusOr<ExitStatus>> waiting = Spawn(process.Wait(), {.eager = true});
    co_await Yield();
    process.input().Reset();
    const absl::StatusOr<ExitStatus> ended = co_await waiting;
    EXPECT_EQ(*ended, ExitStatus::Exited(8));
    EXPECT_GT(faults.hits(FaultInjection::kDuplicate), 0);
  };
  RunTask(body);
}

TEST_P(ProcessTest, OneThatMayNotBeKilledDoesNotHoldTheLoop) {
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  faults.FailAll(FaultInjection::kSignalProcess, EPERM);
  io::OwnedDescriptor input;
  const auto body = [&]() -> Task<void> {
    Process process = StartScript("read line");
    input = std::move(process.input());
    const absl::Status sent = process.Kill();
    EXPECT_TRUE(absl::IsPermissionDenied(sent)) << sent;
    co_return;
  };
  RunTask(body);
  EndExecutor();
  EXPECT_TRUE(HasChildren());
  input.Reset();
  while (internal::ReapOrphans() > 0) {
  }
}

TEST_P(ProcessTest, AnExitThatWentToSomebodyElseIsAFailedPrecondition) {
  const auto body = [&]() -> Task<void> {
    Process process = StartScript("read line");
    ::signal(SIGCHLD, SIG_IGN);
    process.input().Reset();
    const absl::StatusOr<ExitStatus> ended = co_await process.Wait();
    ::signal(SIGCHLD, SIG_DFL);
    EXPECT_TRUE(absl::IsFailedPrecondition(ended.status())) << ended.status();
    EXPECT_TRUE(absl::StrContains(ended.status().message(), "SIGCHLD")) << ended.status();
    EXPECT_EQ(process.exit_status(), std::nullopt);
    const absl::Status sent = process.Signal(SIGTERM);
    EXPECT_TRUE(absl::IsFailedPrecondition(sent)) << sent;
  };
  RunTask(body);
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, ProcessTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

TEST(ProcessWithoutReactorTest, AnExecutorWithNeitherReactorNorTimersCannotWait) {
  ThreadExecutor executor;
  Process process = StartScript("read line");
  const absl::StatusOr<ExitStatus> ended = BlockOn(executor, process.Wait());
  EXPECT_TRUE(absl::IsFailedPrecondition(ended.status())) << ended.status();
}

TEST(ProcessDeathTest, UsingAProcessThatWasMovedFromIsAProgrammingError) {
  Process process = StartScript("read line");
  const Process other = std::move(process);
  EXPECT_DEATH(static_cast<void>(process.pid()), "moved from");   // NOLINT: the misuse is the test
  EXPECT_DEATH(static_cast<void>(process.Wait()), "moved from");  // NOLINT
  EXPECT_DEATH(static_cast<void>(process.Kill()), "moved from");  // NOLINT
}

}  // namespace
}  // namespace plait
