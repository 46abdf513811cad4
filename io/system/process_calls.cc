#include "plait/io/system/process_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plait/io/system/system_calls.h"

namespace plait::sys {
namespace {

// Younger than some C libraries, so by number and value.
constexpr long kPidfdSendSignal = 424;
constexpr long kPidfdOpen = 434;
constexpr int kWaitForPidfd = 3;                   // P_PIDFD
constexpr unsigned kSignalProcessGroup = 1u << 2;  // PIDFD_SIGNAL_PROCESS_GROUP

// posix_spawn's two arguments, which have to be destroyed. The errors of making them are kept.
class SpawnArguments {
 public:
  explicit SpawnArguments(const SpawnRequest& request) noexcept {
    error_ = ::posix_spawn_file_actions_init(&actions_);
    if (error_ != 0) return;
    has_actions_ = true;
    error_ = ::posix_spawnattr_init(&attributes_);
    if (error_ != 0) return;
    has_attributes_ = true;
    AddActions(request);
    SetAttributes(request);
  }
  SpawnArguments(const SpawnArguments&) = delete;
  SpawnArguments& operator=(const SpawnArguments&) = delete;
  ~SpawnArguments() {
    if (has_actions_) ::posix_spawn_file_actions_destroy(&actions_);
    if (has_attributes_) ::posix_spawnattr_destroy(&attributes_);
  }

  int error() const noexcept { return error_; }
  const posix_spawn_file_actions_t& actions() const noexcept { return actions_; }
  const posix_spawnattr_t& attributes() const noexcept { return attributes_; }

 private:
  void Note(int error) noexcept {
    if (error_ == 0) error_ = error;
  }
  void AddActions(const SpawnRequest& request) noexcept {
    // First, while the directory's descriptor is not overwritten.
    if (request.directory >= 0) {
      Note(::posix_spawn_file_actions_addfchdir_np(&actions_, request.directory));
    }
    for (int fd = 0; fd < request.descriptor_count; ++fd) {
      const int source = request.descriptors[fd];
      if (source >= 0) Note(::posix_spawn_file_actions_adddup2(&actions_, source, fd));
    }
    Note(::posix_spawn_file_actions_addclosefrom_np(&actions_, request.descriptor_count));
  }
  void SetAttributes(const SpawnRequest& request) noexcept {
    sigset_t none;
    ::sigemptyset(&none);
    Note(::posix_spawnattr_setsigmask(&attributes_, &none));
    sigset_t all;
    ::sigfillset(&all);
    ::sigdelset(&all, SIGKILL);
    ::sigdelset(&all, SIGSTOP);
    Note(::posix_spawnattr_setsigdefault(&attributes_, &all));
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (request.new_group) {
      flags |= POSIX_SPAWN_SETPGROUP;
      Note(::posix_spawnattr_setpgroup(&attributes_, 0));
    }
    if (request.new_session) flags |= POSIX_SPAWN_SETSID;
    Note(::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags)));
  }

  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
  bool has_actions_ = false;
  bool has_attributes_ = false;
  int error_ = 0;
};

}  // namespace

int SystemCalls::Spawn(const SpawnRequest& request) noexcept {
  const SpawnArguments arguments(request);
  if (arguments.error() != 0) return -arguments.error();
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, request.path, &arguments.actions(),
                                   &arguments.attributes(), request.arguments, request.environment);
  return error != 0 ? -error : pid;
}

int SystemCalls::OpenProcess(int pid) noexcept {
  const long fd = ::syscall(kPidfdOpen, pid, 0);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

int SystemCalls::SignalProcess(int pidfd, int signal, bool group) noexcept {
  const unsigned flags = group ? kSignalProcessGroup : 0;
  return ::syscall(kPidfdSendSignal, pidfd, signal, nullptr, flags) < 0 ? -errno : 0;
}

int SystemCalls::SignalPid(int pid, int signal, bool group) noexcept {
  return ::kill(group ? -pid : pid, signal) < 0 ? -errno : 0;
}

int SystemCalls::TakeExit(int pidfd, int pid, ProcessExit* out) noexcept {
  siginfo_t info = {};
  const auto kind = static_cast<idtype_t>(pidfd >= 0 ? kWaitForPidfd : P_PID);
  const auto id = static_cast<id_t>(pidfd >= 0 ? pidfd : pid);
  const int leave = out == nullptr ? WNOWAIT : 0;
  if (::waitid(kind, id, &info, WEXITED | WNOHANG | leave) < 0) return -errno;
  if (info.si_pid == 0) return 0;
  if (out == nullptr) return 1;
  if (info.si_code == CLD_EXITED) {
    *out = {.code = info.si_status};
  } else {
    *out = {.signal = info.si_status, .core_dumped = info.si_code == CLD_DUMPED};
  }
  return 1;
}

int SystemCalls::WaitReadable(int fd, int timeout_ms) noexcept {
  pollfd poll_fd{.fd = fd, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&poll_fd, 1, timeout_ms);
  return ready < 0 ? -errno : ready;
}

int SystemCalls::Duplicate(int fd, int at_least) noexcept {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, at_least);
  return copy < 0 ? -errno : copy;
}

int SystemCalls::SetBlocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  if ((flags & O_NONBLOCK) == 0) return 0;
  return ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int SystemCalls::IsBlocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  return (flags & O_NONBLOCK) == 0 ? 1 : 0;
}

int SystemCalls::SignalAction(int signal, const struct sigaction* action,
                              struct sigaction* old) noexcept {
  return ::sigaction(signal, action, old) < 0 ? -errno : 0;
}

}  // namespace plait::sys
