// A program with a process pool on a terminal that stops whoever writes to it from the background
// (stty tostop), as the pool's processes would: what workers say is shown, and nobody is stopped.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/process_pool.h"

namespace plait {
namespace {

// One that was stopped stays for ever.
constexpr int kPatienceMs = 60'000;

enum class Start { kFork, kExec };

// From now on this process leads a session whose terminal this is, and writes to it.
void Settle(int terminal) {
  PLAIT_CHECK(::setsid() > 0 && ::ioctl(terminal, TIOCSCTTY, 0) == 0, "to have a terminal");
  termios mode;
  PLAIT_CHECK(::tcgetattr(terminal, &mode) == 0, "tcgetattr");
  mode.c_lflag |= static_cast<tcflag_t>(TOSTOP);
  PLAIT_CHECK(::tcsetattr(terminal, TCSANOW, &mode) == 0, "tcsetattr");
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::dup2(terminal, standard);
  }
}

// A worker says something and dies, another takes its place.
[[noreturn]] void RunProgram(Start start) {
  // So that the pool's processes come from the program's file.
  Thread other;
  if (start == Start::kExec) {
    other = StartThread("another", [] {
      for (;;) ::pause();
    });
  }
  EventLoop loop(AllReactors().front().make(nullptr));
  ProcessPoolOptions options;
  options.functions = internal::PoolFunctions();
  options.workers = 1;
  absl::StatusOr<ProcessPool> pool = ProcessPool::Create(std::move(options));
  PLAIT_CHECK(pool.ok(), pool.status().ToString());
  const absl::StatusOr<int> died = BlockOn(loop, pool->Call(internal::Die, "abort"));
  PLAIT_CHECK(absl::IsAborted(died.status()), died.status().ToString());
  const absl::StatusOr<int> nine = BlockOn(loop, pool->Call(internal::Square, 3));
  PLAIT_CHECK(nine.ok() && *nine == 9, nine.status().ToString());
  std::puts("it goes on");
  std::fflush(stdout);
  // Until it is killed: the end of who leads a session is one of its terminal.
  for (;;) ::pause();
}

class ProcessPoolTerminalTest : public ::testing::TestWithParam<Start> {};

INSTANTIATE_TEST_SUITE_P(Starts, ProcessPoolTerminalTest,
                         ::testing::Values(Start::kFork, Start::kExec), [](const auto& info) {
                           return info.param == Start::kFork ? "Fork" : "Exec";
                         });

TEST_P(ProcessPoolTerminalTest, WhatWorkersSayIsShownWhereTheBackgroundIsStopped) {
  const OwnedFd ours(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (ours.get() < 0 || ::grantpt(ours.get()) != 0 || ::unlockpt(ours.get()) != 0) {
    GTEST_SKIP() << "NOT TESTED: this system makes no terminals: " << std::strerror(errno);
  }
  OwnedFd terminal(::open(::ptsname(ours.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_GE(terminal.get(), 0) << std::strerror(errno);
  std::fflush(nullptr);
  const pid_t program = ::fork();
  if (program == 0) {
    Settle(terminal.get());
    RunProgram(GetParam());
  }
  terminal.Reset();
  std::string shown;
  pollfd wanted = {.fd = ours.get(), .events = POLLIN, .revents = 0};
  while (!absl::StrContains(shown, "the last words") || !absl::StrContains(shown, "it goes on")) {
    if (::poll(&wanted, 1, kPatienceMs) != 1) {
      ADD_FAILURE() << "somebody was stopped; until then: " << shown;
      break;
    }
    char buffer[512];
    const ssize_t size = ::read(ours.get(), buffer, sizeof buffer);
    if (size <= 0) {
      ADD_FAILURE() << "it has ended; until then: " << shown;
      break;
    }
    shown.append(buffer, static_cast<size_t>(size));
  }
  EXPECT_EQ(::kill(program, SIGKILL), 0);
  int status = 0;
  EXPECT_EQ(::waitpid(program, &status, 0), program);
}

}  // namespace
}  // namespace plait
