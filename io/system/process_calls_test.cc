#include "plait/io/system/process_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/testing/sockets.h"

namespace plait::sys {
namespace {

// A shell that runs `script`, with descriptors 0, 1, ... as given.
int SpawnShell(std::string script, const std::vector<int>& descriptors, SpawnRequest request = {}) {
  std::string shell = "/bin/sh";
  std::string option = "-c";
  char* const arguments[] = {shell.data(), option.data(), script.data(), nullptr};
  request.path = shell.c_str();
  request.arguments = arguments;
  request.environment = environ;
  request.descriptors = descriptors.data();
  request.descriptor_count = static_cast<int>(descriptors.size());
  return Calls().Spawn(request);
}

ProcessExit WaitFor(int pidfd, int pid) {
  EXPECT_EQ(Calls().WaitReadable(pidfd, 30'000), 1);
  ProcessExit exit;
  EXPECT_EQ(Calls().TakeExit(pidfd, pid, &exit), 1);
  return exit;
}

std::string ReadAll(int fd) {
  std::string all;
  for (std::string part; !(part = ReadExactly(fd, 4096)).empty();) all += part;
  return all;
}

TEST(ProcessCallsTest, ErrorsComeBackAsNegativeErrno) {
  SystemCalls& calls = Calls();
  EXPECT_EQ(calls.OpenProcess(-1), -EINVAL);
  EXPECT_EQ(calls.SignalProcess(-1, SIGTERM, false), -EBADF);
  EXPECT_EQ(calls.SignalPid(::getpid(), 1000, false), -EINVAL);
  ProcessExit exit;
  EXPECT_EQ(calls.TakeExit(-1, ::getpid(), &exit), -ECHILD);
  EXPECT_EQ(calls.Duplicate(-1, 3), -EBADF);
  EXPECT_EQ(calls.SetBlocking(-1), -EBADF);
  EXPECT_EQ(calls.IsBlocking(-1), -EBADF);
  EXPECT_EQ(calls.SignalAction(SIGKILL, nullptr, nullptr), 0) << "a question without an answer";
  struct sigaction action = {};
  EXPECT_EQ(calls.SignalAction(SIGKILL, &action, nullptr), -EINVAL);
  SpawnRequest request{.path = "/no/such/program"};
  char* const nothing[] = {nullptr};
  request.arguments = request.environment = nothing;
  EXPECT_EQ(calls.Spawn(request), -ENOENT);
}

TEST(ProcessCallsTest, TheChildHasTheDescriptorsThatItWasGivenAndNoOthers) {
  FdPair pipe = MakePipe();
  const OwnedFd inheritable(::dup(pipe.first.get()));  // not close-on-exec
  const int output = pipe.second.get();
  ASSERT_GE(output, 4);
  const int pid = SpawnShell("ls /proc/$$/fd", {-1, output, -1, output});
  ASSERT_GT(pid, 0);
  const OwnedFd pidfd(Calls().OpenProcess(pid));
  pipe.second.Reset();
  std::string all = ReadAll(pipe.first.get());
  // The shell itself may keep a copy of its script's or terminal's, from 10 on.
  std::vector<std::string> low;
  for (const absl::string_view line : absl::StrSplit(all, '\n', absl::SkipEmpty())) {
    int number = 0;
    ASSERT_TRUE(absl::SimpleAtoi(line, &number)) << line;
    if (number < 10) low.emplace_back(line);
  }
  EXPECT_EQ(low, (std::vector<std::string>{"0", "1", "2", "3"}));
  EXPECT_EQ(WaitFor(pidfd.get(), pid).code, 0);
}

TEST(ProcessCallsTest, AnExitTellsItsCodeOrItsSignalAndIsTakenOnce) {
  int pid = SpawnShell("exit 7", {-1, -1, -1});
  ASSERT_GT(pid, 0);
  OwnedFd pidfd(Calls().OpenProcess(pid));
  ProcessExit exit = WaitFor(pidfd.get(), pid);
  EXPECT_EQ(exit.code, 7);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_EQ(Calls().TakeExit(pidfd.get(), pid, &exit), -ECHILD);
  EXPECT_EQ(Calls().SignalProcess(pidfd.get(), SIGTERM, false), -ESRCH);

  pid = SpawnShell("kill -KILL $$", {-1, -1, -1});
  pidfd = OwnedFd(Calls().OpenProcess(pid));
  EXPECT_EQ(WaitFor(pidfd.get(), pid).signal, SIGKILL);
}

TEST(ProcessCallsTest, ALookAtAnExitLeavesIt) {
  for (const bool by_number : {false, true}) {
    FdPair input = MakePipe();
    const int pid = SpawnShell("read line; exit 3", {input.first.get(), -1, -1});
    ASSERT_GT(pid, 0);
    const OwnedFd pidfd(Calls().OpenProcess(pid));
    const int look_by = by_number ? -1 : pidfd.get();
    EXPECT_EQ(Calls().TakeExit(look_by, pid, nullptr), 0) << "it runs";
    input.second.Reset();
    EXPECT_EQ(Calls().WaitReadable(pidfd.get(), -1), 1);
    EXPECT_EQ(Calls().TakeExit(look_by, pid, nullptr), 1);
    EXPECT_EQ(Calls().TakeExit(look_by, pid, nullptr), 1);
    EXPECT_EQ(WaitFor(pidfd.get(), pid).code, 3);
    EXPECT_EQ(Calls().TakeExit(look_by, pid, nullptr), -ECHILD);
  }
}

TEST(ProcessCallsTest, AProcessThatRunsIsSignalledByDescriptorAndByNumberAloneOrWithItsGroup) {
  for (const bool by_number : {false, true}) {
    for (const bool group : {false, true}) {
      FdPair input = MakePipe();
      // The shell waits for input that never comes.
      const int pid = SpawnShell("read line", {input.first.get(), -1, -1}, {.new_group = group});
      ASSERT_GT(pid, 0);
      const OwnedFd pidfd(Calls().OpenProcess(pid));
      ProcessExit exit;
      EXPECT_EQ(Calls().TakeExit(pidfd.get(), pid, &exit), 0) << "it runs";
      EXPECT_EQ(Calls().WaitReadable(pidfd.get(), 0), 0);
      EXPECT_EQ(::getpgid(pid) == pid, group);
      EXPECT_EQ(by_number ? Calls().SignalPid(pid, SIGTERM, group)
                          : Calls().SignalProcess(pidfd.get(), SIGTERM, group),
                0);
      EXPECT_EQ(WaitFor(pidfd.get(), pid).signal, SIGTERM);
    }
  }
}

TEST(ProcessCallsTest, TheChildStartsWithoutTheParentsSignalMaskAndIgnoredSignals) {
  sigset_t mask;
  ::sigfillset(&mask);
  sigset_t before;
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &mask, &before), 0);
  ASSERT_NE(::signal(SIGUSR1, SIG_IGN), SIG_ERR);
  FdPair pipe = MakePipe();
  const int pid =
      SpawnShell("grep -E '^Sig(Blk|Ign)' /proc/self/status", {-1, pipe.second.get(), -1});
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGUSR1, SIG_DFL);
  ASSERT_GT(pid, 0);
  const OwnedFd pidfd(Calls().OpenProcess(pid));
  pipe.second.Reset();
  const std::string all = ReadAll(pipe.first.get());
  // But for the two that the C library keeps to itself, and that it lets nobody touch.
  constexpr uint64_t kReserved = uint64_t{3} << 31;
  int lines = 0;
  for (const absl::string_view line : absl::StrSplit(all, '\n', absl::SkipEmpty())) {
    ++lines;
    uint64_t signals = 0;
    ASSERT_TRUE(absl::SimpleHexAtoi(line.substr(line.find('\t') + 1), &signals)) << line;
    EXPECT_EQ(signals & ~kReserved, 0u) << line;
  }
  EXPECT_EQ(lines, 2);
  EXPECT_EQ(WaitFor(pidfd.get(), pid).code, 0);
}

TEST(ProcessCallsTest, TheDirectoryOfADescriptorIsWhereTheChildStarts) {
  const OwnedFd directory(::open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC));
  FdPair pipe = MakePipe();
  const int pid = SpawnShell("pwd", {-1, pipe.second.get(), -1}, {.directory = directory.get()});
  ASSERT_GT(pid, 0);
  const OwnedFd pidfd(Calls().OpenProcess(pid));
  pipe.second.Reset();
  EXPECT_EQ(ReadAll(pipe.first.get()), "/usr\n");
  EXPECT_EQ(WaitFor(pidfd.get(), pid).code, 0);
}

TEST(ProcessCallsTest, ADuplicateIsNotInheritedAndHasTheNumberOrAHigherOne) {
  FdPair pipe = MakePipe();
  const OwnedFd copy(Calls().Duplicate(pipe.first.get(), 50));
  EXPECT_GE(copy.get(), 50);
  EXPECT_NE(::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(ProcessCallsTest, OneEndOfAPipeIsMadeToBlockWithoutTheOther) {
  int fds[2];
  ASSERT_EQ(Calls().Pipe(fds), 0);
  const OwnedFd ours(fds[0]);
  const OwnedFd theirs(fds[1]);
  EXPECT_EQ(Calls().SetBlocking(theirs.get()), 0);
  EXPECT_EQ(Calls().SetBlocking(theirs.get()), 0);
  EXPECT_EQ(::fcntl(theirs.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(ours.get(), F_GETFL) & O_NONBLOCK, 0);
}

}  // namespace
}  // namespace plait::sys
