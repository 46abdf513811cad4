#include "plait/io/system/system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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
  // A write to a pipe nobody reads raises SIGPIPE in this thread, and write has no flag against it:
  // hold the signal back and take it away again if it was ours.
  sigset_t pipe_signal;
  sigset_t before;
  sigset_t pending;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t result = OrErrno(::write(fd, data, size));
  if (result == -EPIPE && ::sigismember(&pending, SIGPIPE) == 0) {
    const timespec no_wait{};
    while (::sigtimedwait(&pipe_signal, nullptr, &no_wait) < 0 && errno == EINTR) {
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
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

SystemCalls& RealSystemCalls() noexcept {
  static constinit SystemCalls real;
  return real;
}

namespace internal {
constinit plait::internal::Atomic<SystemCalls*> installed{nullptr};
}

ScopedSystemCalls::ScopedSystemCalls(SystemCalls& calls) noexcept {
  PLAIT_CHECK(internal::installed.exchange(&calls, plait::internal::kAcqRel) == nullptr,
              "ScopedSystemCalls do not nest");
}
ScopedSystemCalls::~ScopedSystemCalls() {
  internal::installed.store(nullptr, plait::internal::kRelease);
}

}  // namespace plait::sys
