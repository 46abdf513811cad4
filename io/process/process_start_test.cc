// What a process is started with, and what happens where it cannot be. Traps: a descriptor or a
// child that stays behind on a failing path; an order of copies that overwrites what is still
// needed.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
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

class ProcessStartTest : public ProcessFixture {
 protected:
  ProcessStartTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  // What the process writes to its standard output.
  std::string OutputOf(ProcessOptions options) {
    options.output = Stdio::Pipe();
    absl::StatusOr<Process> process = Process::Start(options);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return "";
    const absl::StatusOr<ProcessOutput> said = BlockOn(executor(), process->Communicate());
    EXPECT_TRUE(said.ok()) << said.status();
    EXPECT_TRUE(said->status.ok()) << said->status;
    return said->output;
  }
  std::string OutputOf(std::vector<std::string> arguments) {
    ProcessOptions options;
    options.arguments = std::move(arguments);
    return OutputOf(options);
  }
};

ProcessOptions Script(const std::string& script) {
  ProcessOptions options;
  options.arguments = {"sh", "-c", script};
  return options;
}

// --- commands and arguments ---

TEST_P(ProcessStartTest, ACommandIsSearchedForInPathAndGetsItsArgumentsAsTheyAre) {
  EXPECT_EQ(OutputOf({"printf", "%s|", "", "a b", "$HOME", "*", "'", "\n"}), "|a b|$HOME|*|'|\n|");
  EXPECT_EQ(OutputOf({"/bin/sh", "-c", "echo $0 $1", "name", "x"}), "name x\n");
}

TEST_P(ProcessStartTest, ShellRunsACommandLine) {
  ProcessOptions options;
  options.output = Stdio::Pipe();
  options.environment = {{"WORD", "hello"}};
  absl::StatusOr<Process> shell = Shell("echo $WORD | tr a-z A-Z; exit 3", options);
  ASSERT_TRUE(shell.ok()) << shell.status();
  const absl::StatusOr<ProcessOutput> said = BlockOn(executor(), shell->Communicate());
  EXPECT_EQ(said->output, "HELLO\n");
  EXPECT_EQ(said->status, ExitStatus::Exited(3));
  options.arguments = {"x"};
  EXPECT_TRUE(absl::IsInvalidArgument(Shell("echo", options).status()));
}

// --- environment and directory ---

TEST_P(ProcessStartTest, TheEnvironmentIsInheritedAddedToAndTakenFrom) {
  ::setenv("PLAIT_TEST_KEPT", "kept", 1);
  ::setenv("PLAIT_TEST_CHANGED", "old", 1);
  ::setenv("PLAIT_TEST_GONE", "here", 1);
  ProcessOptions options =
      Script("echo $PLAIT_TEST_KEPT,$PLAIT_TEST_CHANGED,${PLAIT_TEST_GONE-gone},$PLAIT_TEST_NEW");
  options.environment = {
      {"PLAIT_TEST_NEW", "first"}, {"PLAIT_TEST_NEW", "a=b c"}, {"PLAIT_TEST_CHANGED", "new"}};
  options.unset_environment = {"PLAIT_TEST_GONE", "PLAIT_TEST_NEVER_WAS"};
  EXPECT_EQ(OutputOf(options), "kept,new,gone,a=b c\n");
}

TEST_P(ProcessStartTest, TheEnvironmentMayBeReplaced) {
  ProcessOptions options;
  options.arguments = {"/usr/bin/env"};
  options.inherit_environment = false;
  EXPECT_EQ(OutputOf(options), "");
  options.environment = {{"ONLY", "this"}, {"EMPTY", ""}};
  EXPECT_EQ(OutputOf(options), "EMPTY=\nONLY=this\n");
}

TEST_P(ProcessStartTest, ItStartsInItsWorkingDirectoryAndARelativeCommandIsFoundFromThere) {
  ProcessOptions options;
  options.arguments = {"pwd"};
  options.working_directory = "/usr";
  EXPECT_EQ(OutputOf(options), "/usr\n");
  options.arguments = {"bin/env", "pwd"};
  EXPECT_EQ(OutputOf(options), "/usr\n");
}

// --- descriptors ---

TEST_P(ProcessStartTest, NothingIsThereToReadAndOutputGoesNowhere) {
  ProcessOptions options = Script("cat; echo out; echo err >&2");
  options.input = Stdio::Null();
  options.error = Stdio::Null();
  EXPECT_EQ(OutputOf(options), "out\n");
  options.output = Stdio::Null();
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_FALSE(process->output().valid());
  const absl::StatusOr<ExitStatus> ended = BlockOn(executor(), process->Wait());
  EXPECT_TRUE(ended.ok() && ended->ok());
}

TEST_P(ProcessStartTest, ErrorsGoToAPipeOfTheirOwnOrWithTheOutput) {
  ProcessOptions options = Script("echo out; echo err >&2");
  options.error = Stdio::ToOutput();
  EXPECT_EQ(OutputOf(options), "out\nerr\n");
  options.output = options.error = Stdio::Pipe();
  absl::StatusOr<Process> process = Process::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  const absl::StatusOr<ProcessOutput> said = BlockOn(executor(), process->Communicate());
  EXPECT_EQ(said->output, "out\n");
  EXPECT_EQ(said->error, "err\n");
}

TEST_P(ProcessStartTest, DescriptorsOfTheCallersAreCopiedAndStayTheCallers) {
  OwnedFd input = MakeFile("from a file\n");
  ProcessOptions options = Script("cat; cat <&3; cat <&4; ls /proc/self/fd | tail -1");
  options.input = Stdio::Descriptor(input.get());
  const OwnedFd three = MakeFile("three\n");
  const OwnedFd four = MakeFile("four\n");
  const OwnedFd inheritable(::dup(four.get()));  // not close-on-exec, and not the child's
  options.descriptors = {three.get(), four.get()};
  // ls has its directory open as 5.
  EXPECT_EQ(OutputOf(options), "from a file\nthree\nfour\n5\n");
  EXPECT_GE(::fcntl(input.get(), F_GETFD), 0);
  EXPECT_NE(::fcntl(three.get(), F_GETFD) & FD_CLOEXEC, 0);
}

// The numbers cross: each is overwritten by a copy of the other.
TEST_P(ProcessStartTest, DescriptorsWhoseNumbersAreTakenByOthersArriveWhereTheyShould) {
  // Numbers that nobody else has, in a program with however many reactors.
  const OwnedFd first(::fcntl(MakeFile("first\n").get(), F_DUPFD_CLOEXEC, 200));
  const OwnedFd second(::fcntl(MakeFile("second\n").get(), F_DUPFD_CLOEXEC, first.get() + 1));
  ASSERT_EQ(second.get(), first.get() + 1);
  ProcessOptions options =
      Script(absl::StrCat("cd /proc/self/fd; cat ", first.get(), " ", second.get()));
  options.descriptors.assign(static_cast<size_t>(first.get() - 3), second.get());
  options.descriptors.push_back(second.get());
  options.descriptors.push_back(first.get());
  EXPECT_EQ(OutputOf(options), "second\nfirst\n");
}

// In a child of our own, as it closes what the test program needs.
TEST_P(ProcessStartTest, WorksInAProgramWithoutStandardDescriptors) {
  const auto program = [&] {
    const std::unique_ptr<Executor> own = GetParam().Make();
    const OwnedFd errors(::fcntl(2, F_DUPFD_CLOEXEC, 10));
    for (int fd = 0; fd < 3; ++fd) ::close(fd);
    ProcessOptions options = Script("read line; echo got $line; echo oops >&2");
    options.input = options.output = options.error = Stdio::Pipe();
    absl::StatusOr<Process> process = Process::Start(options);
    if (!process.ok()) ::_exit(1);
    const absl::StatusOr<ProcessOutput> said = BlockOn(*own, process->Communicate("word\n"));
    if (!said.ok() || said->output != "got word\n" || said->error != "oops\n") ::_exit(2);
    ::_exit(0);
  };
  EXPECT_EXIT(program(), testing::ExitedWithCode(0), "");
}

TEST_P(ProcessStartTest, AGroupOrASessionOfItsOwn) {
  const std::string leader = "ps -o pid=,pgid=,sid= -p $$ | tr -s ' '";
  const auto ids = [&](ProcessOptions::Group group) {
    ProcessOptions options = Script(leader);
    options.group = group;
    std::vector<int> found;
    for (const absl::string_view word :
         absl::StrSplit(OutputOf(options), absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
      found.push_back(std::atoi(std::string(word).c_str()));
    }
    found.resize(3);
    return found;
  };
  std::vector<int> own = ids(ProcessOptions::Group::kInherit);
  EXPECT_EQ(own[1], ::getpgrp());
  own = ids(ProcessOptions::Group::kNew);
  EXPECT_EQ(own[1], own[0]);
  EXPECT_EQ(own[2], ::getsid(0));
  own = ids(ProcessOptions::Group::kNewSession);
  EXPECT_EQ(own[1], own[0]);
  EXPECT_EQ(own[2], own[0]);
}

// --- failing ---

class FailingStartTest : public ProcessStartTest {
 protected:
  // Starts, expects that to fail, and that nothing of it is left.
  absl::Status Failure(const ProcessOptions& options) {
    const int before = OpenDescriptors();
    const absl::StatusOr<Process> process = Process::Start(options);
    EXPECT_FALSE(process.ok());
    EXPECT_EQ(OpenDescriptors(), before);
    EXPECT_FALSE(HasChildren());
    return process.status();
  }
  absl::Status Failure(std::vector<std::string> arguments) {
    ProcessOptions options;
    options.arguments = std::move(arguments);
    options.input = options.output = options.error = Stdio::Pipe();
    options.working_directory = "/";
    return Failure(options);
  }
};

TEST_P(FailingStartTest, ACommandThatCannotBeRunIsNamed) {
  EXPECT_EQ(Failure({"no-such-command"}),
            absl::NotFoundError("start \"no-such-command\": No such file or directory (ENOENT)"));
  EXPECT_EQ(Failure({"/no/such/command"}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Failure({"/tmp"}),
            absl::PermissionDeniedError("start \"/tmp\": Permission denied (EACCES)"));
  EXPECT_EQ(Failure({"/etc/passwd"}).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Failure({"/etc/passwd/x"}).code(), absl::StatusCode::kFailedPrecondition);
  char name[] = "/tmp/plait_not_a_program_XXXXXX";
  const OwnedFd file(::mkostemp(name, O_CLOEXEC));
  WriteAll(file.get(), "neither a script nor a program");
  ::fchmod(file.get(), 0755);
  OwnedFd writable(::dup(file.get()));
  EXPECT_EQ(Failure({name}).code(), absl::StatusCode::kFailedPrecondition) << "text file busy";
  writable.Reset();
  const OwnedFd moved(std::move(const_cast<OwnedFd&>(file)));
  const_cast<OwnedFd&>(moved).Reset();
  EXPECT_EQ(Failure({name}), absl::InvalidArgumentError(absl::StrCat(
                                 "start \"", name, "\": Exec format error (ENOEXEC)")));
  ::unlink(name);
}

TEST_P(FailingStartTest, WhatCannotBeMeantIsAnInvalidArgument) {
  const auto expect = [&](const ProcessOptions& options, absl::string_view message) {
    EXPECT_EQ(Failure(options), absl::InvalidArgumentError(message));
  };
  ProcessOptions options;
  expect(options, "start \"\": there is no command");
  options.arguments = {""};
  expect(options, "start \"\": the command is empty");
  options.arguments = {"echo", std::string("a\0b", 3)};
  expect(options, "start \"echo\": an argument has a NUL character in it");
  options.arguments = {"echo"};
  options.environment = {{"A=B", "c"}};
  expect(options, "start \"echo\": a variable's name is empty, or has a = or a NUL in it");
  options.environment = {{"", "c"}};
  expect(options, "start \"echo\": a variable's name is empty, or has a = or a NUL in it");
  options.environment = {{"A", std::string("\0", 1)}};
  expect(options, "start \"echo\": a variable's value has a NUL character in it");
  options.environment.clear();
  options.working_directory = std::string("/\0", 2);
  expect(options, "start \"echo\": the working directory has a NUL character in it");
  options.working_directory.clear();
  options.output = Stdio::ToOutput();
  expect(options, "start \"echo\": Stdio::ToOutput is for the standard error");
}

TEST_P(FailingStartTest, AWorkingDirectoryThatIsNoneIsNamed) {
  ProcessOptions options;
  options.arguments = {"pwd"};
  options.output = Stdio::Pipe();
  options.working_directory = "/no/such/directory";
  EXPECT_EQ(Failure(options),
            absl::NotFoundError("start \"pwd\": working directory \"/no/such/directory\": No such "
                                "file or directory (ENOENT)"));
  options.working_directory = "/etc/passwd";
  EXPECT_EQ(Failure(options).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(FailingStartTest, TooMuchOfArgumentsIsAnInvalidArgument) {
  EXPECT_EQ(Failure({"echo", std::string(4 << 20, 'x')}),
            absl::InvalidArgumentError("start \"echo\": Argument list too long (E2BIG)"));
}

TEST_P(FailingStartTest, ADescriptorThatIsClosedIsNamed) {
  ProcessOptions options;
  options.arguments = {"cat"};
  options.input = Stdio::Descriptor(12'345);
  EXPECT_EQ(Failure(options),
            absl::FailedPreconditionError("start \"cat\": descriptor 12345 for the standard input: "
                                          "Bad file descriptor (EBADF)"));
  options.input = Stdio::Pipe();
  options.descriptors = {0, -1};
  EXPECT_EQ(Failure(options).code(), absl::StatusCode::kFailedPrecondition);
}

// Each call of the start is refused in turn.
TEST_P(FailingStartTest, WhereTheSystemRefusesAnythingNothingIsLeft) {
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  ProcessOptions options;
  options.arguments = {"cat"};
  options.input = options.output = Stdio::Pipe();
  options.error = Stdio::Null();
  options.working_directory = "/";
  options.descriptors = {0};
  struct Refusal {
    FaultInjection::Call call;
    int times;  // that it is made
  };
  for (const Refusal& refusal :
       {Refusal{FaultInjection::kPipe, 2}, Refusal{FaultInjection::kOpen, 2},
        Refusal{FaultInjection::kDuplicate, 4}, Refusal{FaultInjection::kSetBlocking, 2},
        Refusal{FaultInjection::kSpawn, 1}}) {
    for (int i = 0; i < refusal.times; ++i) {
      const int64_t hits = faults.hits(refusal.call);
      faults.Fail(refusal.call, EMFILE, {.skip = i});
      const absl::Status status = Failure(options);
      EXPECT_EQ(faults.hits(refusal.call), hits + 1);
      EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
      EXPECT_EQ(status.message().substr(0, 11), "start \"cat\"");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, ProcessStartTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);
INSTANTIATE_TEST_SUITE_P(AllExecutors, FailingStartTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
