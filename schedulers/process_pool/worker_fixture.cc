#include "plait/schedulers/process_pool/worker_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plait/runtime/core/check.h"
#include "plait/schedulers/process_pool/process_system.h"

namespace plait::internal {
namespace {

constexpr int kPatienceMs = 20'000;

int CountDescriptors() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

// How many signals are not as by default.
int CountHandled() {
  int count = 0;
  for (int signal = 1; signal < 32; ++signal) {
    struct sigaction action = {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) ++count;
  }
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  for (int signal = 1; signal < 32; ++signal) count += ::sigismember(&blocked, signal);
  return count;
}

std::string Describe() {
  char byte = 0;
  return absl::StrCat("descriptors=", CountDescriptors(), " handled=", CountHandled(),
                      " leader=", ::getpgrp() == ::getpid() ? 1 : 0,
                      " nice=", ::getpriority(PRIO_PROCESS, 0), " input=", ::read(0, &byte, 1),
                      "\n");
}

void WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size <= 0) return;
    text.remove_prefix(static_cast<size_t>(size));
  }
}

[[noreturn]] void Sleep() {
  for (;;) ::pause();
}

volatile int* volatile nowhere = nullptr;
volatile int spins = 0;

void Do(absl::string_view command, absl::string_view argument, absl::Span<const int> descriptors) {
  int number = 0;
  static_cast<void>(absl::SimpleAtoi(argument, &number));
  if (command == "exit") ::exit(number);
  if (command == "_exit") ::_exit(number);
  if (command == "abort") ::abort();
  if (command == "raise") ::raise(number);
  if (command == "segv") *nowhere = 1;
  if (command == "print") ::printf("%s\n", std::string(argument).c_str());
  if (command == "error") WriteAll(2, absl::StrCat(argument, "\n"));
  if (command == "errors") {
    for (int i = 0; i < number; ++i) WriteAll(2, std::string(1, static_cast<char>('a' + i % 26)));
  }
  if (command == "sleep") Sleep();
  while (command == "spin") spins = spins + 1;
  if (command == "tell") WriteAll(descriptors[1], "here\n");
  if (command == "describe") WriteAll(descriptors[1], Describe());
  if (command == "child" && ::fork() == 0) Sleep();
  while (command == "hog") std::memset(new char[1 << 20], 1, 1 << 20);
}

bool WaitFor(int fd, int timeout_ms) {
  pollfd poll_fd = {.fd = fd, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&poll_fd, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

}  // namespace

int DoAsTold(absl::Span<const int> descriptors) {
  std::string text(4096, '\0');
  const ssize_t size = ::pread(descriptors[0], text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    Do(parts.first, parts.second, descriptors);
  }
  return 0;
}

std::unique_ptr<WorkerProcess> StartWorker(Zygote& zygote, absl::string_view commands, int answers,
                                           const WorkerOptions& options) {
  const int file = ::memfd_create("commands", MFD_CLOEXEC);
  WriteAll(file, commands);
  absl::StatusOr<std::unique_ptr<WorkerProcess>> worker =
      WorkerProcess::Start(zygote, options, {file, answers < 0 ? file : answers});
  ::close(file);
  PLAIT_CHECK(worker.ok(), worker.status().ToString());
  return *std::move(worker);
}

WorkerExit WaitForExit(WorkerProcess& worker) {
  for (;;) {
    if (std::optional<WorkerExit> exit = worker.TakeExit()) return *std::move(exit);
    PLAIT_CHECK(WaitFor(worker.end_descriptor(), kPatienceMs), "a worker does not end");
  }
}

int WaitForPid(WorkerProcess& worker) {
  while (worker.pid() == 0 && !worker.TakeExit().has_value() && worker.pid() == 0) {
    PLAIT_CHECK(WaitFor(worker.end_descriptor(), kPatienceMs), "a worker does not start");
  }
  return worker.pid();
}

WorkerExit RunWorker(Zygote& zygote, absl::string_view commands, const WorkerOptions& options) {
  const std::unique_ptr<WorkerProcess> worker = StartWorker(zygote, commands, -1, options);
  return WaitForExit(*worker);
}

AnswerPipe::AnswerPipe() {
  int ends[2];
  PLAIT_CHECK(::pipe2(ends, O_CLOEXEC) == 0, "pipe2");
  reader = ends[0];
  writer = ends[1];
}

AnswerPipe::~AnswerPipe() {
  CloseWriter();
  ::close(reader);
}

void AnswerPipe::CloseWriter() {
  if (writer >= 0) ::close(writer);
  writer = -1;
}

std::string AnswerPipe::ReadLine() {
  std::string line;
  char byte = 0;
  while (WaitFor(reader, kPatienceMs) && ::read(reader, &byte, 1) == 1 && byte != '\n') {
    line += byte;
  }
  return line;
}

bool AnswerPipe::WaitForEnd(int timeout_ms) {
  char byte = 0;
  while (WaitFor(reader, timeout_ms)) {
    if (::read(reader, &byte, 1) <= 0) return true;
  }
  return false;
}

WatchedProcesses::WatchedProcesses(absl::string_view pids) {
  for (const absl::string_view number : absl::StrSplit(pids, ' ', absl::SkipEmpty())) {
    int pid = 0;
    if (!absl::SimpleAtoi(number, &pid)) continue;
    if (const int process = pool_system::OpenProcess(pid); process >= 0) opened_.push_back(process);
  }
}

WatchedProcesses::~WatchedProcesses() {
  for (const int process : opened_) ::close(process);
}

bool WatchedProcesses::WaitForEnds() {
  return std::all_of(opened_.begin(), opened_.end(),
                     [](int process) { return WaitFor(process, kPatienceMs); });
}

}  // namespace plait::internal
