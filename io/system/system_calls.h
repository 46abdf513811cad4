// The system calls that Plait makes, each in one place, so that tests can put another system behind
// them.
//
// In production a call here is the call, plus one predicted branch on a pointer that is null. A
// test installs a SystemCalls of its own with ScopedSystemCalls and makes any call fail, come back
// short or be interrupted. All return what the system returns, or -errno: nobody reads errno
// anywhere else.
#ifndef PLAIT_IO_SYSTEM_SYSTEM_CALLS_H_
#define PLAIT_IO_SYSTEM_SYSTEM_CALLS_H_

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "plait/runtime/core/atomic.h"

struct epoll_event;
struct timespec;

namespace plait::sys {

class SystemCalls {
 public:
  virtual ~SystemCalls() = default;

  virtual ssize_t Read(int fd, void* data, size_t size) noexcept;
  virtual ssize_t Write(int fd, const void* data, size_t size) noexcept;  // no SIGPIPE: -EPIPE only
  virtual ssize_t ReadAt(int fd, void* data, size_t size, int64_t offset) noexcept;
  virtual ssize_t WriteAt(int fd, const void* data, size_t size, int64_t offset) noexcept;
  virtual ssize_t Receive(int fd, void* data, size_t size) noexcept;        // recv
  virtual ssize_t Send(int fd, const void* data, size_t size) noexcept;     // send, no SIGPIPE
  virtual int Accept(int fd, sockaddr* address, socklen_t* size) noexcept;  // accept4, non-blocking
  virtual int Connect(int fd, const sockaddr* address, socklen_t size) noexcept;
  virtual int Close(int fd) noexcept;
  virtual int Socket(int domain, int type, int protocol) noexcept;  // non-blocking
  virtual int Bind(int fd, const sockaddr* address, socklen_t size) noexcept;
  virtual int Listen(int fd, int backlog) noexcept;
  virtual int SocketError(int fd) noexcept;     // SO_ERROR, as -errno or 0
  virtual int SocketProtocol(int fd) noexcept;  // SO_PROTOCOL; -ENOTSOCK for other descriptors
  virtual int SetNonBlocking(int fd) noexcept;
  virtual int PollNow(int fd, short events) noexcept;  // poll with no timeout: revents
  virtual int EventFd() noexcept;
  virtual int SignalEventFd(int fd) noexcept;  // adds one
  virtual int EpollCreate() noexcept;
  virtual int EpollControl(int epoll, int op, int fd, epoll_event* event) noexcept;
  // Null timeout: for ever.
  virtual int EpollWait(int epoll, epoll_event* events, int count,
                        const timespec* timeout) noexcept;
};

// The system itself.
SystemCalls& RealSystemCalls() noexcept;

namespace internal {
extern constinit plait::internal::Atomic<SystemCalls*> installed;
}

// What is in force now.
inline SystemCalls& Calls() noexcept {
  SystemCalls* calls = internal::installed.load(plait::internal::kAcquire);
  if (calls != nullptr) [[unlikely]]
    return *calls;
  return RealSystemCalls();
}

// For tests: `calls` is in force, in every thread, for as long as this lives. They do not nest.
class ScopedSystemCalls {
 public:
  explicit ScopedSystemCalls(SystemCalls& calls) noexcept;
  ScopedSystemCalls(const ScopedSystemCalls&) = delete;
  ScopedSystemCalls& operator=(const ScopedSystemCalls&) = delete;
  ~ScopedSystemCalls();
};

}  // namespace plait::sys

#endif  // PLAIT_IO_SYSTEM_SYSTEM_CALLS_H_
