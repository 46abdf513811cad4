#include "plait/io/system/fault_injection.h"

#include <algorithm>

namespace plait::sys {

using plait::internal::SpinLockHolder;

void FaultInjection::Fail(Call call, int error, When when) noexcept {
  SpinLockHolder hold(lock_);
  faults_[call].when = when;
  faults_[call].error = error;
}

void FaultInjection::Shorten(Call call, size_t bytes, When when) noexcept {
  SpinLockHolder hold(lock_);
  faults_[call].when = when;
  faults_[call].error = 0;
  faults_[call].bytes = std::max<size_t>(bytes, 1);
}

void FaultInjection::Clear(Call call) noexcept {
  SpinLockHolder hold(lock_);
  faults_[call].when.times = 0;
}

int64_t FaultInjection::count(Call call) const noexcept {
  SpinLockHolder hold(lock_);
  return faults_[call].count;
}

int64_t FaultInjection::hits(Call call) const noexcept {
  SpinLockHolder hold(lock_);
  return faults_[call].hits;
}

int FaultInjection::Before(Call call, int fd, size_t* size) noexcept {
  SpinLockHolder hold(lock_);
  Fault& fault = faults_[call];
  ++fault.count;
  if (fault.when.times == 0 || (fault.when.fd >= 0 && fault.when.fd != fd)) return 0;
  if (fault.when.skip > 0) {
    --fault.when.skip;
    return 0;
  }
  if (fault.when.times != kAlways) --fault.when.times;
  ++fault.hits;
  if (fault.error != 0) return -fault.error;
  if (size != nullptr) *size = std::min(*size, fault.bytes);
  return 0;
}

ssize_t FaultInjection::Read(int fd, void* data, size_t size) noexcept {
  const int error = Before(kRead, fd, &size);
  return error < 0 ? error : SystemCalls::Read(fd, data, size);
}
ssize_t FaultInjection::Write(int fd, const void* data, size_t size) noexcept {
  const int error = Before(kWrite, fd, &size);
  return error < 0 ? error : SystemCalls::Write(fd, data, size);
}
ssize_t FaultInjection::ReadAt(int fd, void* data, size_t size, int64_t offset) noexcept {
  const int error = Before(kReadAt, fd, &size);
  return error < 0 ? error : SystemCalls::ReadAt(fd, data, size, offset);
}
ssize_t FaultInjection::WriteAt(int fd, const void* data, size_t size, int64_t offset) noexcept {
  const int error = Before(kWriteAt, fd, &size);
  return error < 0 ? error : SystemCalls::WriteAt(fd, data, size, offset);
}
ssize_t FaultInjection::Receive(int fd, void* data, size_t size) noexcept {
  const int error = Before(kReceive, fd, &size);
  return error < 0 ? error : SystemCalls::Receive(fd, data, size);
}
ssize_t FaultInjection::Send(int fd, const void* data, size_t size) noexcept {
  const int error = Before(kSend, fd, &size);
  return error < 0 ? error : SystemCalls::Send(fd, data, size);
}
int FaultInjection::Accept(int fd, sockaddr* address, socklen_t* size) noexcept {
  const int error = Before(kAccept, fd);
  return error < 0 ? error : SystemCalls::Accept(fd, address, size);
}
int FaultInjection::Connect(int fd, const sockaddr* address, socklen_t size) noexcept {
  const int error = Before(kConnect, fd);
  return error < 0 ? error : SystemCalls::Connect(fd, address, size);
}
int FaultInjection::Close(int fd) noexcept {
  const int error = Before(kClose, fd);
  const int result = SystemCalls::Close(fd);
  return error < 0 ? error : result;
}
int FaultInjection::Socket(int domain, int type, int protocol) noexcept {
  const int error = Before(kSocket, -1);
  return error < 0 ? error : SystemCalls::Socket(domain, type, protocol);
}
int FaultInjection::Bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  const int error = Before(kBind, fd);
  return error < 0 ? error : SystemCalls::Bind(fd, address, size);
}
int FaultInjection::Listen(int fd, int backlog) noexcept {
  const int error = Before(kListen, fd);
  return error < 0 ? error : SystemCalls::Listen(fd, backlog);
}
int FaultInjection::SocketError(int fd) noexcept {
  const int error = Before(kSocketError, fd);
  return error < 0 ? error : SystemCalls::SocketError(fd);
}
int FaultInjection::SocketProtocol(int fd) noexcept {
  const int error = Before(kSocketProtocol, fd);
  return error < 0 ? error : SystemCalls::SocketProtocol(fd);
}
int FaultInjection::SetNonBlocking(int fd) noexcept {
  const int error = Before(kSetNonBlocking, fd);
  return error < 0 ? error : SystemCalls::SetNonBlocking(fd);
}
int FaultInjection::PollNow(int fd, short events) noexcept {
  const int error = Before(kPollNow, fd);
  return error < 0 ? error : SystemCalls::PollNow(fd, events);
}
int FaultInjection::EventFd() noexcept {
  const int error = Before(kEventFd, -1);
  return error < 0 ? error : SystemCalls::EventFd();
}
int FaultInjection::SignalEventFd(int fd) noexcept {
  const int error = Before(kSignalEventFd, fd);
  return error < 0 ? error : SystemCalls::SignalEventFd(fd);
}
int FaultInjection::EpollCreate() noexcept {
  const int error = Before(kEpollCreate, -1);
  return error < 0 ? error : SystemCalls::EpollCreate();
}
int FaultInjection::EpollControl(int epoll, int op, int fd, epoll_event* event) noexcept {
  const int error = Before(kEpollControl, fd);
  return error < 0 ? error : SystemCalls::EpollControl(epoll, op, fd, event);
}
int FaultInjection::EpollWait(int epoll, epoll_event* events, int count,
                              const timespec* timeout) noexcept {
  const int error = Before(kEpollWait, epoll);
  return error < 0 ? error : SystemCalls::EpollWait(epoll, events, count, timeout);
}

}  // namespace plait::sys
