#include "plait/schedulers/process_pool/process_system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace plait::internal::pool_system {
namespace {

// Younger than some C libraries, so by number.
constexpr long kPidfdSendSignal = 424;
constexpr long kPidfdOpen = 434;

// ThreadSanitizer has a thread of its own, which holds nothing of the program's.
#if defined(__SANITIZE_THREAD__)
constexpr int kSanitizerThreads = 1;
#elif defined(__has_feature)
constexpr int kSanitizerThreads = __has_feature(thread_sanitizer) ? 1 : 0;
#else
constexpr int kSanitizerThreads = 0;
#endif

// What is in a file of the system's, or nothing.
std::string ReadFile(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t size = 0; (size = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<size_t>(size));
  }
  ::close(fd);
  return text;
}

// Whether what proc(5) says in "stat" is of a thread that may still run code of the program: not a
// helper of io_uring, and not one that is ending. (A thread that was joined is listed for some
// microseconds more.)
bool IsThread(absl::string_view stat) {
  // "number (name) state parent group session terminal its_group flags ...", of any name.
  constexpr size_t kFlags = 7;
  constexpr uint64_t kEnding = 0x4;  // the kernel's PF_EXITING
  const size_t name = stat.find('(');
  const size_t name_end = stat.rfind(')');
  if (name == stat.npos || name_end == stat.npos) return false;  // it is gone
  if (absl::StartsWith(stat.substr(name + 1), "iou-")) return false;
  const std::vector<absl::string_view> fields = absl::StrSplit(stat.substr(name_end), ' ');
  uint64_t flags = 0;
  if (fields.size() > kFlags) static_cast<void>(absl::SimpleAtoi(fields[kFlags], &flags));
  return (flags & kEnding) == 0;
}

}  // namespace

int ProcessId() noexcept { return ::getpid(); }
int ParentId() noexcept { return ::getppid(); }

int ThreadCount() noexcept {
  DIR* const tasks = ::opendir("/proc/self/task");
  if (tasks == nullptr) return -errno;
  int count = 0;
  while (const dirent* const task = ::readdir(tasks)) {
    if (task->d_name[0] == '.') continue;
    if (IsThread(ReadFile(absl::StrCat("/proc/self/task/", task->d_name, "/stat").c_str()))) {
      ++count;
    }
  }
  ::closedir(tasks);
  return std::max(count - kSanitizerThreads, 1);
}

int Fork() noexcept {
  std::fflush(nullptr);
  // A handler of the parent's must not run in the child.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  const pid_t pid = ::fork();
  const int error = errno;
  if (pid != 0) ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pid < 0 ? -error : pid;
}

int SpawnSelf(char* const* arguments, char* const* environment, int descriptor) noexcept {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (const int error = ::posix_spawn_file_actions_init(&actions); error != 0) return -error;
  if (const int error = ::posix_spawnattr_init(&attributes); error != 0) {
    ::posix_spawn_file_actions_destroy(&actions);
    return -error;
  }
  int error = 0;
  const auto note = [&error](int result) {
    if (error == 0) error = result;
  };
  // First, as the descriptor may have the number 0.
  note(::posix_spawn_file_actions_adddup2(&actions, descriptor, 3));
  note(::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0));
  note(::posix_spawn_file_actions_addclosefrom_np(&actions, 4));
  sigset_t signals;
  ::sigemptyset(&signals);
  note(::posix_spawnattr_setsigmask(&attributes, &signals));
  ::sigfillset(&signals);
  ::sigdelset(&signals, SIGKILL);
  ::sigdelset(&signals, SIGSTOP);
  note(::posix_spawnattr_setsigdefault(&attributes, &signals));
  note(::posix_spawnattr_setpgroup(&attributes, 0));
  note(::posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP));
  pid_t pid = 0;
  if (error == 0) {
    error = ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, arguments, environment);
  }
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return error != 0 ? -error : pid;
}

std::string TakeVariable(const char* name) {
  const char* const value = ::getenv(name);
  if (value == nullptr) return "";
  std::string copy = value;
  ::unsetenv(name);
  return copy;
}

std::string ProgramPath() {
  std::array<char, 4096> path;
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  return std::string(path.data(), size > 0 ? static_cast<size_t>(size) : 0);
}

char* const* Environment() noexcept { return environ; }

void ResetSignals() noexcept {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  // Those that cannot be set refuse.
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &action, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

int OpenChildSignals() noexcept {
  ResetSignals();
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
  // It shows what workers write, also to a terminal that stops those in the background (tostop).
  ::sigaction(SIGTTOU, &action, nullptr);
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &child, nullptr);
  const int fd = ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  return fd < 0 ? -errno : fd;
}

void DrainChildSignals(int fd) noexcept {
  if (fd < 0) return;
  signalfd_siginfo info;
  while (::read(fd, &info, sizeof info) > 0) {
  }
}

int Poll(absl::Span<pollfd> descriptors, int timeout_ms) noexcept {
  const int ready = ::poll(descriptors.data(), descriptors.size(), timeout_ms);
  return ready < 0 ? -errno : ready;
}

int OpenProcess(int pid) noexcept {
  const long fd = ::syscall(kPidfdOpen, pid, 0);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

int HasEnded(int pid) noexcept {
  siginfo_t info = {};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
    return -errno;
  }
  return info.si_pid != 0 ? 1 : 0;
}

namespace {

int Reap(idtype_t type, int id, int options, ProcessEnd* out) noexcept {
  siginfo_t info = {};
  int result = 0;
  do {
    result = ::waitid(type, static_cast<id_t>(id), &info, WEXITED | options);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return -errno;
  if (info.si_pid == 0) return 0;
  if (info.si_code == CLD_EXITED) {
    *out = {.code = info.si_status};
  } else {
    *out = {.signal = info.si_status, .core_dumped = info.si_code == CLD_DUMPED};
  }
  return 1;
}

}  // namespace

int TakeEnd(int pid, bool wait, ProcessEnd* out) noexcept {
  return Reap(P_PID, pid, wait ? 0 : WNOHANG, out);
}

int TakeEndOfOpened(int process, ProcessEnd* out) noexcept {
  return Reap(P_PIDFD, process, WNOHANG, out);
}

int SignalProcess(int pid, int signal) noexcept { return ::kill(pid, signal) < 0 ? -errno : 0; }
int SignalOpened(int process, int signal) noexcept {
  return ::syscall(kPidfdSendSignal, process, signal, nullptr, 0) < 0 ? -errno : 0;
}
int SignalGroup(int leader, int signal) noexcept {
  return ::kill(-leader, signal) < 0 ? -errno : 0;
}

int DieWithParent(int parent) noexcept {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return -errno;
  // It may have died before that.
  return ::getppid() == parent ? 0 : -ESRCH;
}

int LeadGroup() noexcept { return ::setpgid(0, 0) < 0 ? -errno : 0; }

void SetName(const char* name) noexcept { ::prctl(PR_SET_NAME, name); }

int AddNice(int nice) noexcept {
  errno = 0;
  return ::nice(nice) == -1 && errno != 0 ? -errno : 0;
}

int LimitMemory(uint64_t bytes) noexcept {
  // The sixth number: pages of data and of stacks.
  const std::string sizes = ReadFile("/proc/self/statm");
  const std::vector<absl::string_view> fields = absl::StrSplit(sizes, ' ');
  uint64_t pages = 0;
  if (fields.size() < 6 || !absl::SimpleAtoi(fields[5], &pages)) return -ENOENT;
  const rlim_t used = pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const rlim_t limit = used + std::min<rlim_t>(bytes, RLIM_INFINITY - used);
  rlimit limits;
  if (::getrlimit(RLIMIT_DATA, &limits) != 0) return -errno;
  limits.rlim_cur = limits.rlim_max = std::min(limits.rlim_max, limit);
  return ::setrlimit(RLIMIT_DATA, &limits) != 0 ? -errno : 0;
}

int KeepDescriptors(absl::Span<const int> descriptors) noexcept {
  const int count = static_cast<int>(descriptors.size());
  std::vector<int> copies;
  copies.reserve(descriptors.size());
  // Above all of the new numbers, so that none is overwritten before it is used.
  for (const int fd : descriptors) {
    int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, count);
    // A program may run without an output.
    if (copy < 0 && errno == EBADF && fd < 3) {
      copy = ::fcntl(descriptors.front(), F_DUPFD_CLOEXEC, count);
    }
    if (copy < 0) return -errno;
    copies.push_back(copy);
  }
  for (int fd = 0; fd < count; ++fd) {
    if (::dup3(copies[static_cast<size_t>(fd)], fd, fd < 3 ? 0 : O_CLOEXEC) < 0) return -errno;
  }
  ::closefrom(count);
  return 0;
}

void UnmapFiles(absl::Span<const absl::string_view> names) noexcept {
  // "7f..0-7f..8 rw-s 00000000 00:01 1234    /memfd:name (deleted)"
  const std::string maps = ReadFile("/proc/self/maps");
  for (const absl::string_view line : absl::StrSplit(maps, '\n', absl::SkipEmpty())) {
    const bool named = std::any_of(names.begin(), names.end(), [line](absl::string_view name) {
      return absl::StrContains(line, name);
    });
    if (!named) continue;
    const std::vector<absl::string_view> range =
        absl::StrSplit(line.substr(0, line.find(' ')), '-');
    uintptr_t begin = 0;
    uintptr_t end = 0;
    if (range.size() != 2 || !absl::SimpleHexAtoi(range[0], &begin) ||
        !absl::SimpleHexAtoi(range[1], &end)) {
      continue;
    }
    // The system names addresses in text.
    ::munmap(reinterpret_cast<void*>(begin), end - begin);
  }
}

void KeepFreedMemory() noexcept {
#ifdef __GLIBC__
  // As much as the library itself comes to in the end, where much larger values are freed.
  constexpr int kFromSystem = 32 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kFromSystem);
  ::mallopt(M_TRIM_THRESHOLD, 2 * kFromSystem);
#endif
}

void GiveBackFreedMemory() noexcept {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

void BufferOutputByLine() noexcept {
  // With a buffer of its own, as a stream that was used keeps to its old ways otherwise.
  static constinit std::array<char, BUFSIZ> buffer{};
  ::setvbuf(stdout, buffer.data(), _IOLBF, buffer.size());
}

void Exit(int code) noexcept {
  std::fflush(nullptr);
  ::_exit(code);
}

void ExitAtOnce(int code) noexcept { ::_exit(code); }

int OpenNull() noexcept {
  const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int64_t Read(int fd, char* data, size_t size) noexcept {
  ssize_t count = 0;
  do {
    count = ::read(fd, data, size);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

int64_t Write(int fd, absl::string_view text) noexcept {
  const ssize_t count = ::write(fd, text.data(), text.size());
  return count < 0 ? -errno : count;
}

int OpenWithoutWaiting(int fd) noexcept {
  struct stat status = {};
  if (::fstat(fd, &status) < 0) return -errno;
  // What opens is the pipe or terminal itself, with flags of its own. A socket does not open, and
  // is asked not to wait at each call; nothing else has a reader to wait for.
  if (S_ISFIFO(status.st_mode) || ::isatty(fd) == 1) {
    const std::string path = absl::StrCat("/proc/self/fd/", fd);
    const int opened = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opened >= 0) return opened;
  }
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? -errno : copy;
}

int64_t WriteWithoutWaiting(int fd, absl::string_view text) noexcept {
  const ssize_t count = ::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count >= 0) return count;
  return errno == ENOTSOCK ? Write(fd, text) : -errno;
}

int CreatePipe(int out[2]) noexcept {
  if (::pipe2(out, O_CLOEXEC) != 0) return -errno;
  if (::fcntl(out[0], F_SETFL, O_NONBLOCK) == 0) return 0;
  const int error = errno;
  ::close(out[0]);
  ::close(out[1]);
  return -error;
}

std::string SignalName(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name != nullptr ? absl::StrCat("SIG", name) : absl::StrCat("signal ", signal);
}

}  // namespace plait::internal::pool_system
