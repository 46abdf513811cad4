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

struct dirent;
struct epoll_event;
struct io_uring_params;
struct kevent;
struct sigaction;
struct timespec;

namespace plait {
struct IoOperation;
}

namespace plait::sys {

struct ProcessExit;
struct SpawnRequest;

// What the system says of a file, in its own layout; see file_status.h.
struct RawFileStatus {
  alignas(8) char bytes[256];
};

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
  virtual ssize_t ReceiveMessage(int fd, msghdr* message, int flags) noexcept;     // close-on-exec
  virtual ssize_t SendMessage(int fd, const msghdr* message, int flags) noexcept;  // no SIGPIPE
  virtual ssize_t SendFile(int to, int from, int64_t offset, size_t size) noexcept;  // no SIGPIPE
  virtual int Shutdown(int fd, int how) noexcept;
  virtual int SocketPair(int domain, int type, int protocol, int (&fds)[2]) noexcept;
  virtual int SocketName(int fd, sockaddr* address, socklen_t* size) noexcept;
  virtual int PeerName(int fd, sockaddr* address, socklen_t* size) noexcept;
  virtual int SocketOption(int fd, int level, int name, void* value, socklen_t* size) noexcept;
  virtual int SetSocketOption(int fd, int level, int name, const void* value,
                              socklen_t size) noexcept;
  virtual int SocketError(int fd) noexcept;     // SO_ERROR, as -errno or 0
  virtual int SocketProtocol(int fd) noexcept;  // SO_PROTOCOL; -ENOTSOCK for other descriptors
  virtual int InterfaceIndex(const char* name) noexcept;  // if_nametoindex; -ENODEV: none
  virtual int SetNonBlocking(int fd) noexcept;
  virtual int PollNow(int fd, short events) noexcept;  // poll with no timeout: revents
  virtual int Pipe(int (&fds)[2]) noexcept;            // close-on-exec, non-blocking
  virtual int Open(int directory, const char* path, int flags,
                   unsigned mode) noexcept;  // also
                                             // close-on-exec
  virtual int64_t Seek(int fd, int64_t offset, int whence) noexcept;
  virtual int Sync(int fd, bool data_only) noexcept;
  virtual int Truncate(int fd, int64_t size) noexcept;
  // Asks the system to forget what it keeps of the file in memory; 0 where there is no such call.
  virtual int DropCache(int fd) noexcept;
  // An empty path: the file that the descriptor `directory` is, without any permission.
  virtual int Status(int directory, const char* path, int flags, RawFileStatus* out) noexcept;
  virtual int Rename(int directory, const char* path, const char* new_path) noexcept;
  virtual int Unlink(int directory, const char* path, int flags) noexcept;
  virtual int MakeDirectory(int directory, const char* path, unsigned mode) noexcept;
  // Calls `visit(context, entry)` for each entry of `path` but "." and "..". An empty path: of the
  // descriptor `directory`, which only has to be open for reading, and is at its end afterwards.
  virtual int ListDirectory(int directory, const char* path,
                            void (*visit)(void* context, const dirent& entry),
                            void* context) noexcept;
  virtual int MakeTemporaryFile(char* name) noexcept;  // mkostemp, close-on-exec
  virtual int MakeTemporaryDirectory(char* name) noexcept;
  virtual int EventFd() noexcept;
  virtual int SignalEventFd(int fd) noexcept;  // adds one
  virtual int EpollCreate() noexcept;
  virtual int EpollControl(int epoll, int op, int fd, epoll_event* event) noexcept;
  // Null timeout: for ever.
  virtual int EpollWait(int epoll, epoll_event* events, int count,
                        const timespec* timeout) noexcept;
  // Linux has no kqueue: -ENOSYS, unless libkqueue.h has put one there.
  virtual int Kqueue() noexcept;
  virtual int CloseKqueue(int queue) noexcept;
  // kevent. Null timeout: for ever.
  virtual int KqueueEvents(int queue, const struct kevent* changes, int change_count,
                           struct kevent* events, int event_count,
                           const timespec* timeout) noexcept;
  // 1 for what never has to be waited for, like a regular file or a disk; else 0.
  virtual int AlwaysReady(int fd) noexcept;
  virtual int IoUringSetup(unsigned entries, io_uring_params* params) noexcept;
  virtual int IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                           const void* argument, size_t argument_size) noexcept;
  virtual int IoUringRegister(int ring, unsigned what, const void* argument,
                              unsigned count) noexcept;

  // Processes and signals; see process_calls.h.
  virtual int Spawn(const SpawnRequest& request) noexcept;  // posix_spawn: the process's number
  virtual int OpenProcess(int pid) noexcept;                // pidfd_open, close-on-exec
  // Where `group`, every process of the group that it leads. pidfd_send_signal, and by number.
  virtual int SignalProcess(int pidfd, int signal, bool group) noexcept;
  virtual int SignalPid(int pid, int signal, bool group) noexcept;
  // Takes the exit of a child, never waiting: 1 when it has ended, else 0. By number where `pidfd`
  // is negative. Null `out`: only looks, and leaves the exit and the number.
  virtual int TakeExit(int pidfd, int pid, ProcessExit* out) noexcept;
  // Blocks until `fd` is readable or the time is over: 1 or 0.
  virtual int WaitReadable(int fd, int timeout_ms) noexcept;
  virtual int Duplicate(int fd, int at_least) noexcept;  // close-on-exec
  virtual int SetBlocking(int fd) noexcept;
  virtual int IsBlocking(int fd) noexcept;  // 1 or 0
  // Of these at least one is not null: sigaction.
  virtual int SignalAction(int signal, const struct sigaction* action,
                           struct sigaction* old) noexcept;
  // What a reactor that hands whole operations to the kernel asks first, where a test has installed
  // something: 0, or what the operation is to end with instead, as -errno; may make `*size`
  // smaller, where it is not null.
  virtual int BeforeOperation(const IoOperation& operation, bool socket, size_t* size) noexcept;
  // The same of a multishot, before it is begun and after each result: what it is to end with, or
  // 0. It accepts, or else receives.
  virtual int BeforeShot(bool accepts, int fd) noexcept;
};

namespace internal {
// Never destroyed: the last threads make calls still.
union RealCalls {
  constexpr RealCalls() noexcept : calls() {}
  ~RealCalls() {}
  SystemCalls calls;
};
extern RealCalls real_calls;
}  // namespace internal

// The system itself.
inline SystemCalls& RealSystemCalls() noexcept { return internal::real_calls.calls; }

// A kqueue for a system that has none. All return what the call of that name returns, or -errno.
struct KqueueEmulation {
  int (*create)() noexcept;
  int (*close)(int queue) noexcept;
  int (*events)(int queue, const struct kevent* changes, int change_count, struct kevent* events,
                int event_count, const timespec* timeout) noexcept;
};

namespace internal {
// Null where there is none.
extern constinit plait::internal::Atomic<const KqueueEmulation*> kqueue_emulation;
extern constinit plait::internal::Atomic<SystemCalls*> installed;
}  // namespace internal

// What a test has put in force, or null.
inline SystemCalls* Installed() noexcept {
  return internal::installed.load(plait::internal::kAcquire);
}

// What is in force now.
inline SystemCalls& Calls() noexcept {
  SystemCalls* const calls = Installed();
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
