#include "plait/io/system/system_calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "plait/io/system/sigpipe.h"
#include "plait/runtime/core/check.h"

namespace plait::sys {
namespace {

template <class R>
R OrErrno(R result) noexcept {
  return result < 0 ? static_cast<R>(-errno) : result;
}

// epoll_pwait2 is younger than the oldest kernels we run on; without it the timeout is rounded up
// to milliseconds.
int EpollWaitMilliseconds(int epoll, epoll_event* events, int count, const timespec* timeout) {
  int timeout_ms = -1;
  if (timeout != nullptr) {
    constexpr int64_t kLongest = 1'000'000'000;
    const int64_t ms = timeout->tv_sec > kLongest / 1000
                           ? kLongest
                           : timeout->tv_sec * 1000 + (timeout->tv_nsec + 999'999) / 1'000'000;
    timeout_ms = static_cast<int>(ms);
  }
  return OrErrno(::epoll_wait(epoll, events, count, timeout_ms));
}

}  // namespace

ssize_t SystemCalls::Read(int fd, void* data, size_t size) noexcept {
  return OrErrno(::read(fd, data, size));
}
ssize_t SystemCalls::Write(int fd, const void* data, size_t size) noexcept {
  return WithoutSigpipe([&]() noexcept { return OrErrno(::write(fd, data, size)); });
}
ssize_t SystemCalls::ReadAt(int fd, void* data, size_t size, int64_t offset) noexcept {
  return OrErrno(::pread(fd, data, size, offset));
}
ssize_t SystemCalls::WriteAt(int fd, const void* data, size_t size, int64_t offset) noexcept {
  return OrErrno(::pwrite(fd, data, size, offset));
}
ssize_t SystemCalls::Receive(int fd, void* data, size_t size) noexcept {
  return OrErrno(::recv(fd, data, size, MSG_DONTWAIT));
}
ssize_t SystemCalls::Send(int fd, const void* data, size_t size) noexcept {
  return OrErrno(::send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT));
}
int SystemCalls::Accept(int fd, sockaddr* address, socklen_t* size) noexcept {
  return OrErrno(::accept4(fd, address, size, SOCK_NONBLOCK | SOCK_CLOEXEC));
}
int SystemCalls::Connect(int fd, const sockaddr* address, socklen_t size) noexcept {
  return OrErrno(::connect(fd, address, size));
}
int SystemCalls::Close(int fd) noexcept { return OrErrno(::close(fd)); }
int SystemCalls::Socket(int domain, int type, int protocol) noexcept {
  return OrErrno(::socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}
int SystemCalls::Bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  return OrErrno(::bind(fd, address, size));
}
int SystemCalls::Listen(int fd, int backlog) noexcept { return OrErrno(::listen(fd, backlog)); }
ssize_t SystemCalls::ReceiveMessage(int fd, msghdr* message, int flags) noexcept {
  return OrErrno(::recvmsg(fd, message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
}
ssize_t SystemCalls::SendMessage(int fd, const msghdr* message, int flags) noexcept {
  return OrErrno(::sendmsg(fd, message, flags | MSG_NOSIGNAL | MSG_DONTWAIT));
}
ssize_t SystemCalls::SendFile(int to, int from, int64_t offset, size_t size) noexcept {
  return WithoutSigpipe([&]() noexcept { return OrErrno(::sendfile(to, from, &offset, size)); });
}
int SystemCalls::Shutdown(int fd, int how) noexcept { return OrErrno(::shutdown(fd, how)); }
int SystemCalls::SocketPair(int domain, int type, int protocol, int (&fds)[2]) noexcept {
  return OrErrno(::socketpair(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol, fds));
}
int SystemCalls::SocketName(int fd, sockaddr* address, socklen_t* size) noexcept {
  return OrErrno(::getsockname(fd, address, size));
}
int SystemCalls::PeerName(int fd, sockaddr* address, socklen_t* size) noexcept {
  return OrErrno(::getpeername(fd, address, size));
}
int SystemCalls::SocketOption(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  return OrErrno(::getsockopt(fd, level, name, value, size));
}
int SystemCalls::SetSocketOption(int fd, int level, int name, const void* value,
                                 socklen_t size) noexcept {
  return OrErrno(::setsockopt(fd, level, name, value, size));
}
int SystemCalls::SocketError(int fd) noexcept {
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return -errno;
  return -error;
}
int SystemCalls::SocketProtocol(int fd) noexcept {
  int protocol = 0;
  socklen_t size = sizeof(protocol);
  if (::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0) return -errno;
  return protocol;
}
int SystemCalls::InterfaceIndex(const char* name) noexcept {
  const unsigned index = ::if_nametoindex(name);
  return index == 0 ? -errno : static_cast<int>(index);
}
int SystemCalls::SetNonBlocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  if ((flags & O_NONBLOCK) != 0) return 0;
  return OrErrno(::fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}
int SystemCalls::PollNow(int fd, short events) noexcept {
  pollfd poll_fd{.fd = fd, .events = events, .revents = 0};
  const int ready = ::poll(&poll_fd, 1, 0);
  return ready < 0 ? -errno : poll_fd.revents;
}
int SystemCalls::Pipe(int (&fds)[2]) noexcept {
  return OrErrno(::pipe2(fds, O_CLOEXEC | O_NONBLOCK));
}
int SystemCalls::Open(int directory, const char* path, int flags, unsigned mode) noexcept {
  return OrErrno(::openat(directory, path, flags | O_CLOEXEC, mode));
}
int64_t SystemCalls::Seek(int fd, int64_t offset, int whence) noexcept {
  return OrErrno(int64_t{::lseek(fd, offset, whence)});
}
int SystemCalls::Sync(int fd, bool data_only) noexcept {
  return OrErrno(data_only ? ::fdatasync(fd) : ::fsync(fd));
}
int SystemCalls::Truncate(int fd, int64_t size) noexcept { return OrErrno(::ftruncate(fd, size)); }
int SystemCalls::DropCache(int fd) noexcept {
#ifdef POSIX_FADV_DONTNEED
  return -::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
#else
  return ::fcntl(fd, F_GETFD) < 0 ? -errno : 0;
#endif
}
int SystemCalls::Status(int directory, const char* path, int flags, RawFileStatus* out) noexcept {
  static_assert(sizeof(struct statx) <= sizeof(RawFileStatus));
  const int empty = directory >= 0 && *path == '\0' ? AT_EMPTY_PATH : 0;
  return OrErrno(::statx(directory, path, flags | empty, STATX_BASIC_STATS | STATX_BTIME,
                         reinterpret_cast<struct statx*>(out->bytes)));
}
int SystemCalls::Rename(int directory, const char* path, const char* new_path) noexcept {
  return OrErrno(::renameat(directory, path, directory, new_path));
}
int SystemCalls::Unlink(int directory, const char* path, int flags) noexcept {
  return OrErrno(::unlinkat(directory, path, flags));
}
int SystemCalls::MakeDirectory(int directory, const char* path, unsigned mode) noexcept {
  return OrErrno(::mkdirat(directory, path, mode));
}
int SystemCalls::ListDirectory(int at, const char* path,
                               void (*visit)(void* context, const dirent& entry),
                               void* context) noexcept {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC;
  const bool itself = at >= 0 && *path == '\0';
  const int fd = itself ? ::fcntl(at, F_DUPFD_CLOEXEC, 0) : ::openat(at, path, kFlags);
  if (fd < 0) return -errno;
  DIR* const directory = ::fdopendir(fd);
  if (directory == nullptr) {
    const int why = errno;
    ::close(fd);
    return -why;
  }
  int error = 0;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(directory);
    if (entry == nullptr) {
      error = errno;
      break;
    }
    const char* const name = entry->d_name;
    if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'))) continue;
    visit(context, *entry);
  }
  ::closedir(directory);
  return -error;
}
int SystemCalls::MakeTemporaryFile(char* name) noexcept {
  return OrErrno(::mkostemp(name, O_CLOEXEC));
}
int SystemCalls::MakeTemporaryDirectory(char* name) noexcept {
  return ::mkdtemp(name) == nullptr ? -errno : 0;
}
int SystemCalls::EventFd() noexcept { return OrErrno(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }
int SystemCalls::SignalEventFd(int fd) noexcept { return OrErrno(::eventfd_write(fd, 1)); }
int SystemCalls::EpollCreate() noexcept { return OrErrno(::epoll_create1(EPOLL_CLOEXEC)); }
int SystemCalls::EpollControl(int epoll, int op, int fd, epoll_event* event) noexcept {
  return OrErrno(::epoll_ctl(epoll, op, fd, event));
}
int SystemCalls::EpollWait(int epoll, epoll_event* events, int count,
                           const timespec* timeout) noexcept {
  static constinit plait::internal::Atomic<bool> has_pwait2{true};
  // No timeout, or none at all, is the older call's business: it is a little cheaper.
  const bool exact = timeout != nullptr && (timeout->tv_sec != 0 || timeout->tv_nsec != 0);
  if (exact && has_pwait2.load(plait::internal::kRelaxed)) {
    const int result = OrErrno(::epoll_pwait2(epoll, events, count, timeout, nullptr));
    if (result != -ENOSYS) return result;
    has_pwait2.store(false, plait::internal::kRelaxed);
  }
  return EpollWaitMilliseconds(epoll, events, count, timeout);
}

int SystemCalls::IoUringSetup(unsigned entries, io_uring_params* params) noexcept {
  return static_cast<int>(OrErrno(::syscall(SYS_io_uring_setup, entries, params)));
}
int SystemCalls::IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                              const void* argument, size_t argument_size) noexcept {
  return static_cast<int>(OrErrno(
      ::syscall(SYS_io_uring_enter, ring, submit, wait_for, flags, argument, argument_size)));
}
int SystemCalls::IoUringRegister(int ring, unsigned what, const void* argument,
                                 unsigned count) noexcept {
  return static_cast<int>(OrErrno(::syscall(SYS_io_uring_register, ring, what, argument, count)));
}

int SystemCalls::BeforeOperation(const IoOperation& operation, bool socket, size_t* size) noexcept {
  static_cast<void>(operation), static_cast<void>(socket), static_cast<void>(size);
  return 0;
}
int SystemCalls::BeforeShot(bool accepts, int fd) noexcept {
  static_cast<void>(accepts), static_cast<void>(fd);
  return 0;
}

namespace internal {
constinit RealCalls real_calls;
constinit plait::internal::Atomic<SystemCalls*> installed{nullptr};
constinit plait::internal::Atomic<const KqueueEmulation*> kqueue_emulation{nullptr};
}  // namespace internal

ScopedSystemCalls::ScopedSystemCalls(SystemCalls& calls) noexcept {
  PLAIT_CHECK(internal::installed.exchange(&calls, plait::internal::kAcqRel) == nullptr,
              "ScopedSystemCalls do not nest");
}
ScopedSystemCalls::~ScopedSystemCalls() {
  internal::installed.store(nullptr, plait::internal::kRelease);
}

}  // namespace plait::sys
