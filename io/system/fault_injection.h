// FaultInjection: system calls that fail, come back short or are interrupted when a test says so,
// and that are counted.
//
//   plait::sys::FaultInjection faults;
//   plait::sys::ScopedSystemCalls scope(faults);
//   faults.FailNext(FaultInjection::kAccept, EMFILE);       // the next one, and then no more
//   faults.Fail(FaultInjection::kReceive, ECONNRESET, {.skip = 2, .times = 1});   // the third from
//   now
//   ...
//   EXPECT_EQ(faults.count(FaultInjection::kEpollControl), 1);
//
// A call that is made to fail is not made, except Close: the system closes the descriptor whatever
// it returns. A transfer that is made short moves fewer bytes than it could. The system does that
// to pipes, files and Unix sockets, but not to a TCP socket, where a short transfer means that
// there is no more; do not tell that lie. Threads: any, also while calls are being made. Does not
// allocate once made.
#ifndef PLAIT_IO_SYSTEM_FAULT_INJECTION_H_
#define PLAIT_IO_SYSTEM_FAULT_INJECTION_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::sys {

class FaultInjection final : public SystemCalls {
 public:
  enum Call : uint8_t {
    kRead,
    kWrite,
    kReadAt,
    kWriteAt,
    kReceive,
    kSend,
    kAccept,
    kConnect,
    kClose,
    kSocket,
    kBind,
    kListen,
    kSocketError,
    kSocketProtocol,
    kInterfaceIndex,
    kSetNonBlocking,
    kPollNow,
    kEventFd,
    kSignalEventFd,
    kEpollCreate,
    kEpollControl,
    kEpollWait,
    kReceiveMessage,
    kSendMessage,
    kSendFile,
    kShutdown,
    kSocketPair,
    kSocketName,
    kPeerName,
    kSocketOption,
    kSetSocketOption,
    kPipe,
    kOpen,
    kSeek,
    kSync,
    kTruncate,
    kDropCache,
    kStatus,
    kRename,
    kUnlink,
    kMakeDirectory,
    kListDirectory,
    kMakeTemporaryFile,
    kMakeTemporaryDirectory,
    kKqueue,
    kKqueueEvents,
    kAlwaysReady,
    kIoUringSetup,
    kIoUringEnter,
    kIoUringRegister,    // but for the next two, which nothing that the system has can run out for
    kIoUringEnable,      // a ring
    kIoUringUnregister,  // one from its thread's table
    kSpawn,
    kOpenProcess,
    kSignalProcess,
    kSignalPid,
    kTakeExit,
    kWaitReadable,
    kDuplicate,
    kSetBlocking,
    kIsBlocking,
    kSignalAction,
    kCalls,  // how many there are
  };

  static constexpr int64_t kAlways = std::numeric_limits<int64_t>::max();
  struct When {
    int64_t skip = 0;   // so many calls from now are left alone,
    int64_t times = 1;  // and so many after them are hit
    int fd = -1;        // only calls on this descriptor count; -1: on any
  };

  // Makes calls fail with `error` (EINTR, say). Replaces what was said of such calls before.
  void Fail(Call call, int error, When when) noexcept;
  void FailNext(Call call, int error) noexcept { Fail(call, error, When()); }
  void FailAll(Call call, int error) noexcept { Fail(call, error, {.times = kAlways}); }

  // Makes transfers (kRead to kSend, kSendFile) move at most `bytes`, at least 1; and messages over
  // Unix streams, whose descriptors go with the first byte. Other sockets keep a message whole.
  void Shorten(Call call, size_t bytes, When when) noexcept;

  // No more faults for such calls.
  void Clear(Call call) noexcept;

  // Calls so far, those that were made to fail included.
  int64_t count(Call call) const noexcept;
  // Calls that a fault has hit.
  int64_t hits(Call call) const noexcept;

  ssize_t Read(int fd, void* data, size_t size) noexcept override;
  ssize_t Write(int fd, const void* data, size_t size) noexcept override;
  ssize_t ReadAt(int fd, void* data, size_t size, int64_t offset) noexcept override;
  ssize_t WriteAt(int fd, const void* data, size_t size, int64_t offset) noexcept override;
  ssize_t Receive(int fd, void* data, size_t size) noexcept override;
  ssize_t Send(int fd, const void* data, size_t size) noexcept override;
  int Accept(int fd, sockaddr* address, socklen_t* size) noexcept override;
  int Connect(int fd, const sockaddr* address, socklen_t size) noexcept override;
  int Close(int fd) noexcept override;
  int Socket(int domain, int type, int protocol) noexcept override;
  int Bind(int fd, const sockaddr* address, socklen_t size) noexcept override;
  int Listen(int fd, int backlog) noexcept override;
  int SocketError(int fd) noexcept override;
  int SocketProtocol(int fd) noexcept override;
  int InterfaceIndex(const char* name) noexcept override;
  int SetNonBlocking(int fd) noexcept override;
  int PollNow(int fd, short events) noexcept override;
  int EventFd() noexcept override;
  int SignalEventFd(int fd) noexcept override;
  int EpollCreate() noexcept override;
  int EpollControl(int epoll, int op, int fd, epoll_event* event) noexcept override;
  int EpollWait(int epoll, epoll_event* events, int count,
                const timespec* timeout) noexcept override;
  ssize_t ReceiveMessage(int fd, msghdr* message, int flags) noexcept override;
  ssize_t SendMessage(int fd, const msghdr* message, int flags) noexcept override;
  ssize_t SendFile(int to, int from, int64_t offset, size_t size) noexcept override;
  int Shutdown(int fd, int how) noexcept override;
  int SocketPair(int domain, int type, int protocol, int (&fds)[2]) noexcept override;
  int SocketName(int fd, sockaddr* address, socklen_t* size) noexcept override;
  int PeerName(int fd, sockaddr* address, socklen_t* size) noexcept override;
  int SocketOption(int fd, int level, int name, void* value, socklen_t* size) noexcept override;
  int SetSocketOption(int fd, int level, int name, const void* value,
                      socklen_t size) noexcept override;
  int Pipe(int (&fds)[2]) noexcept override;
  int Open(int directory, const char* path, int flags, unsigned mode) noexcept override;
  int64_t Seek(int fd, int64_t offset, int whence) noexcept override;
  int Sync(int fd, bool data_only) noexcept override;
  int Truncate(int fd, int64_t size) noexcept override;
  int DropCache(int fd) noexcept override;
  int Status(int directory, const char* path, int flags, RawFileStatus* out) noexcept override;
  int Rename(int directory, const char* path, const char* new_path) noexcept override;
  int Unlink(int directory, const char* path, int flags) noexcept override;
  int MakeDirectory(int directory, const char* path, unsigned mode) noexcept override;
  int ListDirectory(int directory, const char* path,
                    void (*visit)(void* context, const dirent& entry),
                    void* context) noexcept override;
  int MakeTemporaryFile(char* name) noexcept override;
  int MakeTemporaryDirectory(char* name) noexcept override;
  int Kqueue() noexcept override;
  int CloseKqueue(int queue) noexcept override;  // counts as kClose
  int KqueueEvents(int queue, const struct kevent* changes, int change_count, struct kevent* events,
                   int event_count, const timespec* timeout) noexcept override;
  int AlwaysReady(int fd) noexcept override;
  int IoUringSetup(unsigned entries, io_uring_params* params) noexcept override;
  int IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                   const void* argument, size_t argument_size) noexcept override;
  int IoUringRegister(int ring, unsigned what, const void* argument,
                      unsigned count) noexcept override;
  int Spawn(const SpawnRequest& request) noexcept override;
  int OpenProcess(int pid) noexcept override;
  int SignalProcess(int pidfd, int signal, bool group) noexcept override;
  int SignalPid(int pid, int signal, bool group) noexcept override;
  int TakeExit(int pidfd, int pid, ProcessExit* out) noexcept override;
  int WaitReadable(int fd, int timeout_ms) noexcept override;
  int Duplicate(int fd, int at_least) noexcept override;
  int SetBlocking(int fd) noexcept override;
  int IsBlocking(int fd) noexcept override;
  int SignalAction(int signal, const struct sigaction* action,
                   struct sigaction* old) noexcept override;
  // Counts and hits operations as the calls of the same name.
  int BeforeOperation(const IoOperation& operation, bool socket, size_t* size) noexcept override;
  int BeforeShot(bool accepts, int fd) noexcept override;  // as kAccept and kReceive

 private:
  struct Fault {
    int64_t count = 0;
    int64_t hits = 0;
    When when = {.times = 0};
    int error = 0;     // fail with it, or
    size_t bytes = 0;  // if that is 0, move at most these
  };

  // Counts the call. What it is to fail with, as -errno, or 0; `size` is cut as a fault asks.
  int Before(Call call, int fd, size_t* size = nullptr) noexcept;
  // The same of what the kernel goes on with by itself: less what nobody sees of it.
  int BeforeByKernel(Call call, int fd, size_t* size = nullptr) noexcept;

  mutable plait::internal::SpinLock lock_;
  Fault faults_[kCalls];
};

}  // namespace plait::sys

#endif  // PLAIT_IO_SYSTEM_FAULT_INJECTION_H_
