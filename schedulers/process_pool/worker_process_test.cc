// Workers of a zygote that was forked. zygote_exec_test.cc has the other way.
//
// Of the traps that coroutines set none is here, as nothing suspends; of those of processes these:
// whoever dies at any moment takes along what depends on it and nothing else, and leaves nothing.
#include "plait/schedulers/process_pool/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sanitized.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/process_system.h"
#include "plait/schedulers/process_pool/stop_process.h"
#include "plait/schedulers/process_pool/worker_exit.h"
#include "plait/schedulers/process_pool/worker_fixture.h"
#include "plait/schedulers/process_pool/worker_options.h"
#include "plait/schedulers/process_pool/zygote.h"

namespace plait::internal {
namespace {

constexpr WorkerOptions Keeping() {
  WorkerOptions options;
  options.error = WorkerError::kKeep;
  return options;
}

std::unique_ptr<Zygote> StartZygote() {
  absl::StatusOr<std::unique_ptr<Zygote>> zygote = Zygote::Start(&DoAsTold, 0);
  EXPECT_TRUE(zygote.ok()) << zygote.status();
  EXPECT_EQ((*zygote)->method(), Zygote::Method::kFork);
  return *std::move(zygote);
}

// One whose `output`, standard output or standard error, is `descriptor`.
std::unique_ptr<Zygote> StartZygoteWith(int output, int descriptor) {
  const int before = ::dup(output);
  ::dup2(descriptor, output);
  std::unique_ptr<Zygote> zygote = StartZygote();
  ::dup2(before, output);
  ::close(before);
  return zygote;
}

bool HasEnded(int process, int timeout_ms) {
  pollfd poll_fd = {.fd = process, .events = POLLIN, .revents = 0};
  return ::poll(&poll_fd, 1, timeout_ms) == 1;
}

TEST(WorkerProcessTest, HowItEndsIsTold) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  EXPECT_EQ(RunWorker(*zygote, "").ToString(), "exited with status 0");
  EXPECT_EQ(RunWorker(*zygote, "exit 3").ToString(), "exited with status 3");
  EXPECT_EQ(RunWorker(*zygote, "_exit 255").ToString(), "exited with status 255");
  EXPECT_TRUE(absl::StartsWith(RunWorker(*zygote, "abort").ToString(), "was killed by SIGABRT"));
  EXPECT_TRUE(absl::StartsWith(RunWorker(*zygote, "raise 15").ToString(), "was killed by SIGTERM"));
  EXPECT_EQ(RunWorker(*zygote, "raise 9").ToString(),
            "was killed by SIGKILL, by somebody else or as the system had no memory left");
}

TEST(WorkerProcessTest, EverySignalThatEndsAProcessEndsOnlyThatOne) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  const std::unique_ptr<WorkerProcess> other = StartWorker(*zygote, "sleep");
  for (const int signal :
       {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1,
        SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGVTALRM, SIGSYS}) {
    const WorkerExit exit = RunWorker(*zygote, absl::StrCat("raise ", signal));
    EXPECT_EQ(exit.kind, WorkerExit::Kind::kSignalled);
    EXPECT_EQ(exit.signal, signal);
    EXPECT_FALSE(exit.asked_for);
  }
  EXPECT_EQ(RunWorker(*zygote, "segv").signal, SIGSEGV);
  EXPECT_FALSE(other->TakeExit().has_value());
}

TEST(WorkerProcessTest, ASignalThatItIsSentEndsItAlsoWhereItIsStoppedOrBusy) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  for (const char* const what : {"tell\nsleep", "tell\nspin", "tell\nraise 19\nsleep"}) {
    for (const int signal : {SIGTERM, SIGKILL}) {
      AnswerPipe answers;
      const std::unique_ptr<WorkerProcess> worker = StartWorker(*zygote, what, answers.writer);
      EXPECT_EQ(answers.ReadLine(), "here");
      worker->Signal(signal);
      // What is stopped takes no other.
      if (signal == SIGTERM) worker->Signal(SIGCONT);
      const WorkerExit exit = WaitForExit(*worker);
      EXPECT_EQ(exit.signal, signal);
      EXPECT_TRUE(exit.asked_for);
      EXPECT_EQ(worker->TakeExit()->signal, signal);
    }
  }
}

TEST(WorkerProcessTest, TheLastThatItWroteToItsStandardErrorIsKept) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  const WorkerExit exit = RunWorker(*zygote, "error that is why\nabort", Keeping());
  EXPECT_EQ(exit.error_tail, "that is why\n");
  const WorkerExit much = RunWorker(*zygote, "errors 10000\nerror end\nexit 1", Keeping());
  EXPECT_EQ(much.error_tail.size(), 4096u);
  EXPECT_TRUE(absl::EndsWith(much.error_tail, "end\n"));
  WorkerOptions output = Keeping();
  output.output = WorkerOutput::kToError;
  EXPECT_EQ(RunWorker(*zygote, "print out\nerror err\nexit 0", output).error_tail, "out\nerr\n");
  WorkerOptions null;
  null.error = WorkerError::kNull;
  EXPECT_EQ(RunWorker(*zygote, "error nobody reads this", null).error_tail, "");
}

TEST(WorkerProcessTest, AStandardErrorThatNobodyReadsKeepsNobodyFromTheirWork) {
  AnswerPipe shown;
  const std::unique_ptr<Zygote> zygote = StartZygoteWith(STDERR_FILENO, shown.writer);
  const int other = pool_system::OpenWithoutWaiting(shown.writer);
  const auto fill = [other] {
    while (pool_system::WriteWithoutWaiting(other, std::string(4096, '.')) > 0) continue;
  };
  fill();
  EXPECT_EQ(RunWorker(*zygote, "error at last\nexit 3").code, 3);
  // Where it sees that there is room, another takes that before it has written.
  std::string text;
  std::string some(4096, '\0');
  const auto read = [&] {
    const ssize_t size = ::read(shown.reader, some.data(), some.size());
    text.append(some, 0, static_cast<size_t>(std::max<ssize_t>(size, 0)));
  };
  for (int i = 0; i < 300; ++i) {
    read();
    fill();
  }
  EXPECT_EQ(RunWorker(*zygote, "exit 7").code, 7);
  while (!absl::StrContains(text, "at last\n")) read();
  ::close(other);
}

TEST(WorkerProcessTest, ItsStandardOutputGoesWhereTheProgramsDoesOrNowhere) {
  AnswerPipe shown;
  const std::unique_ptr<Zygote> zygote = StartZygoteWith(STDOUT_FILENO, shown.writer);
  shown.CloseWriter();
  WorkerOptions null = Keeping();
  null.output = WorkerOutput::kNull;
  EXPECT_EQ(RunWorker(*zygote, "print nobody reads this\nexit 0", null).error_tail, "");
  EXPECT_EQ(RunWorker(*zygote, "print shown\nexit 0", Keeping()).error_tail, "");
  EXPECT_EQ(shown.ReadLine(), "shown");
}

TEST(WorkerProcessTest, ItsStandardErrorIsShownWhereTheProgramsIs) {
  AnswerPipe shown;
  const std::unique_ptr<Zygote> zygote = StartZygoteWith(STDERR_FILENO, shown.writer);
  shown.CloseWriter();
  EXPECT_EQ(RunWorker(*zygote, "error kept and shown").error_tail, "kept and shown\n");
  EXPECT_EQ(shown.ReadLine(), "kept and shown");
  WorkerOptions inherit;
  inherit.error = WorkerError::kInherit;
  EXPECT_EQ(RunWorker(*zygote, "error shown", inherit).error_tail, "");
  EXPECT_EQ(shown.ReadLine(), "shown");
}

TEST(WorkerProcessTest, AnErrorThatNobodyReadsKeepsTheZygoteFromNothing) {
  AnswerPipe shown;
  const std::unique_ptr<Zygote> zygote = StartZygoteWith(STDERR_FILENO, shown.writer);
  // More than the pipe and the zygote take: it waits, as on any pipe, until it is killed.
  const std::unique_ptr<WorkerProcess> talker =
      StartWorker(*zygote, "tell\nerrors 10000000", shown.writer);
  EXPECT_EQ(shown.ReadLine(), "here");
  WorkerOptions quiet;
  quiet.error = WorkerError::kNull;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(RunWorker(*zygote, "exit 7", quiet).code, 7);
  talker->Signal(SIGKILL);
  EXPECT_EQ(WaitForExit(*talker).signal, SIGKILL);
}

TEST(WorkerProcessTest, AWorkerHasWhatItWasGivenAndNothingElseOfTheProgram) {
  // Some descriptors, handlers and a mask that it should not have.
  struct sigaction ignore = {};
  struct sigaction before = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  const std::unique_ptr<Zygote> zygote = StartZygote();
  ::sigprocmask(SIG_UNBLOCK, &mask, nullptr);
  ::sigaction(SIGPIPE, &before, nullptr);
  AnswerPipe answers;
  WorkerOptions options;
  options.nice = 3;
  options.name = "a-name-longer-than-it-may-be";
  const std::unique_ptr<WorkerProcess> worker =
      StartWorker(*zygote, "describe\nsleep", answers.writer, options);
  EXPECT_EQ(answers.ReadLine(),
            absl::StrCat("descriptors=5 handled=0 leader=1 nice=",
                         std::min(::getpriority(PRIO_PROCESS, 0) + 3, 19), " input=0"));
  std::string name;
  std::ifstream comm(absl::StrCat("/proc/", WaitForPid(*worker), "/comm"));
  std::getline(comm, name);
  EXPECT_EQ(name, "a-name-longer-t");
}

TEST(WorkerProcessTest, AZygoteMapsNothingThatTheProgramShares) {
  const absl::StatusOr<std::shared_ptr<LinkMemory>> link = LinkMemory::Create(4096);
  ASSERT_TRUE(link.ok()) << link.status();
  const auto maps = [](int pid) {
    std::ifstream file(absl::StrCat("/proc/", pid, "/maps"));
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::unique_ptr<Zygote> zygote = StartZygote();
  EXPECT_EQ(RunWorker(*zygote, "exit 0").code, 0);
  EXPECT_TRUE(absl::StrContains(maps(::getpid()), "plait-link"));
  EXPECT_FALSE(absl::StrContains(maps(zygote->pid()), "plait-link"));
}

TEST(WorkerProcessTest, AProgramWithoutStandardDescriptorsHasWorkersAllTheSame) {
  AnswerPipe answers;
  const int output = ::dup(1);
  const int error = ::dup(2);
  ::close(1);
  ::close(2);
  std::string told;
  int code = -1;
  {
    const std::unique_ptr<Zygote> zygote = StartZygote();
    const std::unique_ptr<WorkerProcess> worker =
        StartWorker(*zygote, "print nowhere\nerror nowhere\ndescribe\nexit 5", answers.writer);
    told = answers.ReadLine();
    code = WaitForExit(*worker).code;
  }
  ::dup2(output, 1);
  ::dup2(error, 2);
  ::close(output);
  ::close(error);
  EXPECT_TRUE(absl::StartsWith(told, "descriptors=5 ")) << told;
  EXPECT_EQ(code, 5);
}

TEST(WorkerProcessTest, AWorkerThatTakesMoreMemoryThanItMayDiesOfItAlone) {
  // Theirs is terabytes, mapped before, and they end the process by themselves when it runs out.
  if (kSanitized) GTEST_SKIP() << "a sanitizer's memory is not counted";
  const std::unique_ptr<Zygote> zygote = StartZygote();
  WorkerOptions options = Keeping();
  options.memory_limit = 64 << 20;
  // The exception stops at the worker, where this test's stack lies below.
  const WorkerExit exit = RunWorker(*zygote, "hog", options);
  EXPECT_EQ(exit.signal, SIGABRT) << exit.ToString();
  EXPECT_TRUE(absl::StrContains(exit.error_tail, "bad_alloc")) << exit.error_tail;
  options.memory_limit = 0;
  EXPECT_EQ(RunWorker(*zygote, "exit 0", options).code, 0);
}

TEST(WorkerProcessTest, ALimitThatIsNoneLimitsNothing) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  WorkerOptions options;
  options.memory_limit = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(RunWorker(*zygote, "exit 3", options).code, 3);
}

TEST(WorkerProcessTest, AWorkerThatCannotBeAsItShouldSaysSoAndEnds) {
  // Somebody who may not make a process more urgent. (Who cannot become that is nobody already, or
  // the root of a sandbox.)
  const pid_t program = ::fork();
  if (program == 0) {
    static_cast<void>(::setuid(65534) == 0);
    WorkerOptions options = Keeping();
    options.nice = -5;
    const WorkerExit exit = RunWorker(*StartZygote(), "exit 0", options);
    const bool said = absl::StartsWith(exit.error_tail, "plait worker: its niceness: ");
    ::_exit(exit.code == 125 && said ? 0 : 1);
  }
  int status = -1;
  ::waitpid(program, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(WorkerProcessTest, WhatAWorkerHasStartedEndsWithIt) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  for (const char* const end : {"exit 0", "abort"}) {
    AnswerPipe answers;
    const std::unique_ptr<WorkerProcess> worker =
        StartWorker(*zygote, absl::StrCat("child\ntell\n", end), answers.writer);
    answers.CloseWriter();
    EXPECT_EQ(answers.ReadLine(), "here");
    EXPECT_TRUE(answers.WaitForEnd(20'000));
  }
}

TEST(WorkerProcessTest, OneThatIsDroppedIsKilled) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  AnswerPipe answers;
  std::unique_ptr<WorkerProcess> worker = StartWorker(*zygote, "tell\nspin", answers.writer);
  answers.CloseWriter();
  EXPECT_EQ(answers.ReadLine(), "here");
  worker.reset();
  EXPECT_TRUE(answers.WaitForEnd(20'000));
}

TEST(WorkerProcessTest, AZygoteThatIsDroppedLeavesNothing) {
  const int before = OpenDescriptors();
  {
    std::unique_ptr<Zygote> zygote = StartZygote();
    AnswerPipe answers;
    const std::unique_ptr<WorkerProcess> spinning =
        StartWorker(*zygote, "tell\nspin", answers.writer);
    const std::unique_ptr<WorkerProcess> stopped =
        StartWorker(*zygote, "tell\nraise 19\nsleep", answers.writer);
    answers.CloseWriter();
    EXPECT_EQ(answers.ReadLine() + answers.ReadLine(), "herehere");
    zygote.reset();
    EXPECT_TRUE(answers.WaitForEnd(0));
    EXPECT_FALSE(HasChildren());
    EXPECT_EQ(WaitForExit(*spinning).kind, WorkerExit::Kind::kLost);
    EXPECT_EQ(WaitForExit(*stopped).ToString(),
              "was killed, as the process that starts workers has died");
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(WorkerProcessTest, AStoppedZygoteGivesNoSignOfLifeUntilItGoesOn) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  EXPECT_TRUE(zygote->Answers()) << "it owes nothing yet";
  while (!zygote->Answers()) ::sched_yield();
  StopProcess(zygote->pid());
  // What it was asked before that it may have answered.
  static_cast<void>(zygote->Answers());
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(zygote->Answers());
  zygote->Continue();
  while (!zygote->Answers()) ::sched_yield();
  EXPECT_EQ(RunWorker(*zygote, "exit 3").code, 3);
}

TEST(WorkerProcessTest, AStoppedZygoteThatIsDroppedLeavesNothing) {
  std::unique_ptr<Zygote> zygote = StartZygote();
  AnswerPipe answers;
  const std::unique_ptr<WorkerProcess> worker = StartWorker(*zygote, "tell\nspin", answers.writer);
  answers.CloseWriter();
  EXPECT_EQ(answers.ReadLine(), "here");
  StopProcess(zygote->pid());
  zygote.reset();
  EXPECT_TRUE(answers.WaitForEnd(20'000));
  EXPECT_FALSE(HasChildren());
}

TEST(WorkerProcessTest, AZygoteThatIsKilledTakesItsWorkersAlongAndIsMissed) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  AnswerPipe answers;
  const std::unique_ptr<WorkerProcess> worker = StartWorker(*zygote, "tell\nspin", answers.writer);
  answers.CloseWriter();
  EXPECT_EQ(answers.ReadLine(), "here");
  ::kill(zygote->pid(), SIGKILL);
  EXPECT_TRUE(answers.WaitForEnd(20'000));
  EXPECT_EQ(WaitForExit(*worker).kind, WorkerExit::Kind::kLost);
  EXPECT_TRUE(HasEnded(zygote->end_descriptor(), 20'000));
  EXPECT_EQ(WorkerProcess::Start(*zygote, {}, {0}).status().code(), absl::StatusCode::kUnavailable);
}

TEST(WorkerProcessTest, ManyWorkersOneAfterAnotherLeaveDescriptorsAndProcessesAsTheyWere) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  EXPECT_EQ(RunWorker(*zygote, "exit 1").code, 1);
  const int before = OpenDescriptors();
  for (int i = 0; i < Repeats(200); ++i) {
    if (i % 2 == 0) {
      EXPECT_EQ(RunWorker(*zygote, "exit 1").code, 1);
    } else {
      EXPECT_EQ(RunWorker(*zygote, "raise 9").signal, SIGKILL);
    }
  }
  EXPECT_EQ(OpenDescriptors(), before);
  // Those of the zygote.
  AnswerPipe answers;
  const std::unique_ptr<WorkerProcess> worker =
      StartWorker(*zygote, "describe", answers.writer, Keeping());
  std::ifstream children(
      absl::StrCat("/proc/", zygote->pid(), "/task/", zygote->pid(), "/children"));
  int count = 0;
  for (int pid = 0; children >> pid;) ++count;
  EXPECT_LE(count, 1);
  WaitForExit(*worker);
}

TEST(WorkerProcessTest, ManyWorkersAtOnceAreAllStarted) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  AnswerPipe answers;
  std::vector<std::unique_ptr<WorkerProcess>> workers;
  for (int i = 0; i < 50; ++i) workers.push_back(StartWorker(*zygote, "tell", answers.writer));
  for (const auto& worker : workers) EXPECT_EQ(WaitForExit(*worker).code, 0);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(answers.ReadLine(), "here");
}

TEST(WorkerProcessTest, MoreThanAZygoteTakesAtOnceIsRefusedAndNothingWaits) {
  const std::unique_ptr<Zygote> zygote = StartZygote();
  ::kill(zygote->pid(), SIGSTOP);
  std::vector<std::unique_ptr<WorkerProcess>> asked;
  absl::Status status;
  while (status.ok() && asked.size() < 1000) {
    auto worker = WorkerProcess::Start(*zygote, {.error = WorkerError::kNull}, {0});
    status = worker.status();
    if (worker.ok()) asked.push_back(*std::move(worker));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_GT(asked.size(), 50u);
  // Those that nobody wants any more by the time that it comes to them.
  asked.resize(1);
  ::kill(zygote->pid(), SIGCONT);
  zygote->WaitForRoom();
  EXPECT_EQ(RunWorker(*zygote, "exit 7").code, 7);
  EXPECT_EQ(WaitForExit(*asked.front()).kind, WorkerExit::Kind::kExited);
}

TEST(WorkerProcessTest, AProgramThatReapsItsChildrenItselfStillHearsHowWorkersEnd) {
  struct sigaction ignore = {};
  struct sigaction before = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &ignore, &before);
  {
    const std::unique_ptr<Zygote> zygote = StartZygote();
    EXPECT_EQ(RunWorker(*zygote, "exit 3").code, 3);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), 0) << "workers are no children of the program";
  }
  EXPECT_FALSE(HasChildren());
  ::sigaction(SIGCHLD, &before, nullptr);
}

TEST(WorkerProcessTest, AChildOfTheProgramThatDropsItsCopyEndsNothing) {
  std::unique_ptr<Zygote> zygote = StartZygote();
  std::unique_ptr<WorkerProcess> worker = StartWorker(*zygote, "sleep");
  const pid_t child = ::fork();
  if (child == 0) {
    worker.reset();
    zygote.reset();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(RunWorker(*zygote, "exit 7").code, 7);
  EXPECT_FALSE(worker->TakeExit().has_value());
}

TEST(WorkerProcessTest, AProgramWithThreadsIsNotForked) {
  Thread thread = StartThread("another", [] {});
  AnswerPipe pipe;
  Thread waiting = StartThread("waiting", [&pipe] { pipe.WaitForEnd(20'000); });
  const absl::Status status = Zygote::Start(&DoAsTold, 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "RunProcessWorkersIfAsked")) << status;
  EXPECT_EQ(Zygote::Start(&DoAsTold, 0, Zygote::Method::kFork).status().code(),
            absl::StatusCode::kFailedPrecondition);
  pipe.CloseWriter();
  thread.join();
  waiting.join();
}

// A program that has workers of every kind, says who they are, and is killed.
TEST(WorkerProcessTest, NobodyIsLeftSoonAfterTheProgramWasKilled) {
  AnswerPipe told;
  const pid_t program = ::fork();
  if (program == 0) {
    const std::unique_ptr<Zygote> zygote = StartZygote();
    AnswerPipe answers;
    std::vector<std::unique_ptr<WorkerProcess>> workers;
    for (const char* const what :
         {"tell\nspin", "tell\nsleep", "tell\nraise 19\nsleep", "child\ntell\nsleep"}) {
      workers.push_back(StartWorker(*zygote, what, answers.writer));
      answers.ReadLine();
    }
    std::string pids = absl::StrCat(zygote->pid());
    for (const auto& worker : workers) absl::StrAppend(&pids, " ", WaitForPid(*worker));
    pids += "\n";
    static_cast<void>(::write(told.writer, pids.data(), pids.size()));
    ::pause();
    ::_exit(0);
  }
  WatchedProcesses processes(told.ReadLine());
  EXPECT_EQ(processes.size(), 5u);
  ::kill(program, SIGKILL);
  ::waitpid(program, nullptr, 0);
  EXPECT_TRUE(processes.WaitForEnds());
}

}  // namespace
}  // namespace plait::internal
