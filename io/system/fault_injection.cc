#include "plait/io/system/fault_injection.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <limits>

#include "plait/runtime/core/io_operation.h"

namespace plait::sys {

using plait::internal::SpinLockHolder;

namespace {

constexpr size_t kWhole = std::numeric_limits<size_t>::max();

// Of the sockets that messages go through it is these that may take a part of one.
bool IsUnixStream(int fd) noexcept {
  const auto option = [fd](int name) noexcept {
    int value = -1;
    socklen_t size = sizeof(value);
    return RealSystemCalls().SocketOption(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
  };
  return option(SO_DOMAIN) == AF_UNIX && option(SO_TYPE) == SOCK_STREAM;
}

// The part of a message that is moved: what is in it, up to `bytes` of its first bytes.
::iovec FirstOf(const ::msghdr& message, size_t bytes) noexcept {
  for (size_t i = 0; i < message.msg_iovlen; ++i) {
    const ::iovec& part = message.msg_iov[i];
    if (part.iov_len > 0)
      return {.iov_base = part.iov_base, .iov_len = std::min(part.iov_len, bytes)};
  }
  return {};
}

// A message of which no more than that is moved.
struct CutMessage {
  CutMessage(const ::msghdr& whole, size_t bytes) : part(FirstOf(whole, bytes)), message(whole) {
    message.msg_iov = &part;
    message.msg_iovlen = 1;
  }
  CutMessage(const CutMessage&) = delete;
  CutMessage& operator=(const CutMessage&) = delete;

  ::iovec part;
  ::msghdr message;
};

}  // namespace

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
int FaultInjection::InterfaceIndex(const char* name) noexcept {
  const int error = Before(kInterfaceIndex, -1);
  return error < 0 ? error : SystemCalls::InterfaceIndex(name);
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
ssize_t FaultInjection::ReceiveMessage(int fd, msghdr* message, int flags) noexcept {
  size_t most = kWhole;
  const int error = Before(kReceiveMessage, fd, &most);
  if (error < 0) return error;
  if (most == kWhole || !IsUnixStream(fd)) return SystemCalls::ReceiveMessage(fd, message, flags);
  CutMessage cut(*message, most);
  const ssize_t result = SystemCalls::ReceiveMessage(fd, &cut.message, flags);
  // What the system says of it; its room is the caller's.
  cut.message.msg_iov = message->msg_iov;
  cut.message.msg_iovlen = message->msg_iovlen;
  *message = cut.message;
  return result;
}
ssize_t FaultInjection::SendMessage(int fd, const msghdr* message, int flags) noexcept {
  size_t most = kWhole;
  const int error = Before(kSendMessage, fd, &most);
  if (error < 0) return error;
  if (most == kWhole || !IsUnixStream(fd)) return SystemCalls::SendMessage(fd, message, flags);
  const CutMessage cut(*message, most);
  return SystemCalls::SendMessage(fd, &cut.message, flags);
}
ssize_t FaultInjection::SendFile(int to, int from, int64_t offset, size_t size) noexcept {
  const int error = Before(kSendFile, to, &size);
  return error < 0 ? error : SystemCalls::SendFile(to, from, offset, size);
}
int FaultInjection::Shutdown(int fd, int how) noexcept {
  const int error = Before(kShutdown, fd);
  return error < 0 ? error : SystemCalls::Shutdown(fd, how);
}
int FaultInjection::SocketPair(int domain, int type, int protocol, int (&fds)[2]) noexcept {
  const int error = Before(kSocketPair, -1);
  return error < 0 ? error : SystemCalls::SocketPair(domain, type, protocol, fds);
}
int FaultInjection::SocketName(int fd, sockaddr* address, socklen_t* size) noexcept {
  const int error = Before(kSocketName, fd);
  return error < 0 ? error : SystemCalls::SocketName(fd, address, size);
}
int FaultInjection::PeerName(int fd, sockaddr* address, socklen_t* size) noexcept {
  const int error = Before(kPeerName, fd);
  return error < 0 ? error : SystemCalls::PeerName(fd, address, size);
}
int FaultInjection::SocketOption(int fd, int level, int name, void* value,
                                 socklen_t* size) noexcept {
  const int error = Before(kSocketOption, fd);
  return error < 0 ? error : SystemCalls::SocketOption(fd, level, name, value, size);
}
int FaultInjection::SetSocketOption(int fd, int level, int name, const void* value,
                                    socklen_t size) noexcept {
  const int error = Before(kSetSocketOption, fd);
  return error < 0 ? error : SystemCalls::SetSocketOption(fd, level, name, value, size);
}
int FaultInjection::Pipe(int (&fds)[2]) noexcept {
  const int error = Before(kPipe, -1);
  return error < 0 ? error : SystemCalls::Pipe(fds);
}
int FaultInjection::Open(int directory, const char* path, int flags, unsigned mode) noexcept {
  const int error = Before(kOpen, -1);
  return error < 0 ? error : SystemCalls::Open(directory, path, flags, mode);
}
int64_t FaultInjection::Seek(int fd, int64_t offset, int whence) noexcept {
  const int error = Before(kSeek, fd);
  return error < 0 ? error : SystemCalls::Seek(fd, offset, whence);
}
int FaultInjection::Sync(int fd, bool data_only) noexcept {
  const int error = Before(kSync, fd);
  return error < 0 ? error : SystemCalls::Sync(fd, data_only);
}
int FaultInjection::Truncate(int fd, int64_t size) noexcept {
  const int error = Before(kTruncate, fd);
  return error < 0 ? error : SystemCalls::Truncate(fd, size);
}
int FaultInjection::DropCache(int fd) noexcept {
  const int error = Before(kDropCache, fd);
  return error < 0 ? error : SystemCalls::DropCache(fd);
}
int FaultInjection::Status(int directory, const char* path, int flags,
                           RawFileStatus* out) noexcept {
  const int error = Before(kStatus, directory);
  return error < 0 ? error : SystemCalls::Status(directory, path, flags, out);
}
int FaultInjection::Rename(int directory, const char* path, const char* new_path) noexcept {
  const int error = Before(kRename, -1);
  return error < 0 ? error : SystemCalls::Rename(directory, path, new_path);
}
int FaultInjection::Unlink(int directory, const char* path, int flags) noexcept {
  const int error = Before(kUnlink, -1);
  return error < 0 ? error : SystemCalls::Unlink(directory, path, flags);
}
int FaultInjection::MakeDirectory(int directory, const char* path, unsigned mode) noexcept {
  const int error = Before(kMakeDirectory, -1);
  return error < 0 ? error : SystemCalls::MakeDirectory(directory, path, mode);
}
int FaultInjection::ListDirectory(int directory, const char* path,
                                  void (*visit)(void* context, const dirent& entry),
                                  void* context) noexcept {
  const int error = Before(kListDirectory, -1);
  return error < 0 ? error : SystemCalls::ListDirectory(directory, path, visit, context);
}
int FaultInjection::MakeTemporaryFile(char* name) noexcept {
  const int error = Before(kMakeTemporaryFile, -1);
  return error < 0 ? error : SystemCalls::MakeTemporaryFile(name);
}
int FaultInjection::MakeTemporaryDirectory(char* name) noexcept {
  const int error = Before(kMakeTemporaryDirectory, -1);
  return error < 0 ? error : SystemCalls::MakeTemporaryDirectory(name);
}
int FaultInjection::Kqueue() noexcept {
  const int error = Before(kKqueue, -1);
  return error < 0 ? error : SystemCalls::Kqueue();
}
int FaultInjection::CloseKqueue(int queue) noexcept {
  const int error = Before(kClose, queue);
  const int result = SystemCalls::CloseKqueue(queue);
  return error < 0 ? error : result;
}
int FaultInjection::KqueueEvents(int queue, const struct kevent* changes, int change_count,
                                 struct kevent* events, int event_count,
                                 const timespec* timeout) noexcept {
  const int error = Before(kKqueueEvents, queue);
  if (error < 0) return error;
  return SystemCalls::KqueueEvents(queue, changes, change_count, events, event_count, timeout);
}
int FaultInjection::AlwaysReady(int fd) noexcept {
  const int error = Before(kAlwaysReady, fd);
  return error < 0 ? error : SystemCalls::AlwaysReady(fd);
}
int FaultInjection::IoUringSetup(unsigned entries, io_uring_params* params) noexcept {
  const int error = Before(kIoUringSetup, -1);
  return error < 0 ? error : SystemCalls::IoUringSetup(entries, params);
}
int FaultInjection::IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                                 const void* argument, size_t argument_size) noexcept {
  const int error = Before(kIoUringEnter, ring);
  return error < 0
             ? error
             : SystemCalls::IoUringEnter(ring, submit, wait_for, flags, argument, argument_size);
}
int FaultInjection::IoUringRegister(int ring, unsigned what, const void* argument,
                                    unsigned count) noexcept {
  // IORING_REGISTER_ENABLE_RINGS and IORING_UNREGISTER_RING_FDS, which not all systems have names
  // for.
  const Call call = what == 12   ? kIoUringEnable
                    : what == 21 ? kIoUringUnregister
                                 : kIoUringRegister;
  const int error = Before(call, ring);
  return error < 0 ? error : SystemCalls::IoUringRegister(ring, what, argument, count);
}
int FaultInjection::Spawn(const SpawnRequest& request) noexcept {
  const int error = Before(kSpawn, -1);
  return error < 0 ? error : SystemCalls::Spawn(request);
}
int FaultInjection::OpenProcess(int pid) noexcept {
  const int error = Before(kOpenProcess, -1);
  return error < 0 ? error : SystemCalls::OpenProcess(pid);
}
int FaultInjection::SignalProcess(int pidfd, int signal, bool group) noexcept {
  const int error = Before(kSignalProcess, pidfd);
  return error < 0 ? error : SystemCalls::SignalProcess(pidfd, signal, group);
}
int FaultInjection::SignalPid(int pid, int signal, bool group) noexcept {
  const int error = Before(kSignalPid, -1);
  return error < 0 ? error : SystemCalls::SignalPid(pid, signal, group);
}
int FaultInjection::TakeExit(int pidfd, int pid, ProcessExit* out) noexcept {
  const int error = Before(kTakeExit, pidfd);
  return error < 0 ? error : SystemCalls::TakeExit(pidfd, pid, out);
}
int FaultInjection::WaitReadable(int fd, int timeout_ms) noexcept {
  const int error = Before(kWaitReadable, fd);
  return error < 0 ? error : SystemCalls::WaitReadable(fd, timeout_ms);
}
int FaultInjection::Duplicate(int fd, int at_least) noexcept {
  const int error = Before(kDuplicate, fd);
  return error < 0 ? error : SystemCalls::Duplicate(fd, at_least);
}
int FaultInjection::SetBlocking(int fd) noexcept {
  const int error = Before(kSetBlocking, fd);
  return error < 0 ? error : SystemCalls::SetBlocking(fd);
}
int FaultInjection::IsBlocking(int fd) noexcept {
  const int error = Before(kIsBlocking, fd);
  return error < 0 ? error : SystemCalls::IsBlocking(fd);
}
int FaultInjection::SignalAction(int signal, const struct sigaction* action,
                                 struct sigaction* old) noexcept {
  const int error = Before(kSignalAction, -1);
  return error < 0 ? error : SystemCalls::SignalAction(signal, action, old);
}

int FaultInjection::BeforeOperation(const IoOperation& operation, bool socket,
                                    size_t* size) noexcept {
  if (operation.opcode == IoOpcode::kAwaitInput) return 0;  // who waits so makes the call himself
  const auto call = [&]() -> Call {
    const bool positioned = operation.args().offset >= 0;
    switch (operation.opcode) {
      case IoOpcode::kRead:
        return positioned ? kReadAt : socket ? kReceive : kRead;
      case IoOpcode::kWrite:
        return positioned ? kWriteAt : socket ? kSend : kWrite;
      case IoOpcode::kAccept:
        return kAccept;
      case IoOpcode::kConnect:
        return kConnect;
      case IoOpcode::kPoll:
      case IoOpcode::kAwaitInput:
        return kPollNow;
      case IoOpcode::kClose:
        return kClose;
      case IoOpcode::kReceiveMessage:
        return kReceiveMessage;
      case IoOpcode::kSendMessage:
        return kSendMessage;
      case IoOpcode::kSync:
        return kSync;
      case IoOpcode::kStatus:
        return kStatus;
      case IoOpcode::kOpen:
        return kOpen;
      case IoOpcode::kRename:
        return kRename;
      case IoOpcode::kUnlink:
        return kUnlink;
      case IoOpcode::kMakeDirectory:
        return kMakeDirectory;
    }
    return kCalls;
  }();
  if (call != kReceiveMessage && call != kSendMessage) {
    return BeforeByKernel(call, operation.fd, size);
  }
  size_t most = kWhole;
  const int error = BeforeByKernel(call, operation.fd, &most);
  if (error == 0 && most != kWhole && IsUnixStream(operation.fd)) {
    // The caller's own, as the kernel reads it later.
    ::msghdr& message = *operation.args().message;
    if (message.msg_iovlen > 0) {
      message.msg_iov[0] = FirstOf(message, most);
      message.msg_iovlen = 1;
    }
  }
  return error;
}

int FaultInjection::BeforeShot(bool accepts, int fd) noexcept {
  return BeforeByKernel(accepts ? kAccept : kReceive, fd);
}

int FaultInjection::BeforeByKernel(Call call, int fd, size_t* size) noexcept {
  int error = 0;
  do {
    error = Before(call, fd, size);
  } while (error == -EINTR);
  // Nor that there is nothing yet.
  return error == -EAGAIN ? 0 : error;
}

}  // namespace plait::sys
