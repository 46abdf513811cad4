// The errors that each system call's manual page lists (Linux man-pages 6.03, liburing's for
// io_uring_*), less those that fault_matrix.h leaves out; and those that a call passes on: a
// connection's own of SO_ERROR and sendfile, ioctl's of if_nametoindex.
#include <errno.h>

#include <array>
#include <utility>
#include <vector>

#include "plait/io/system/fault_matrix.h"

namespace plait::sys {
namespace {

using Call = FaultInjection::Call;

struct Entry {
  Call call;
  const char* name;
  std::vector<int> errors;
};

const std::vector<Entry>& Table() {
  static const auto& table = *new std::vector<Entry>{
      {Call::kRead, "read", {EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR}},
      {Call::kWrite,
       "write",
       {EBADF, EDESTADDRREQ, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, EPERM, EPIPE}},
      {Call::kReadAt,
       "pread",
       {EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENXIO, EOVERFLOW, ESPIPE}},
      {Call::kWriteAt,
       "pwrite",
       {EBADF, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, ENXIO, EOVERFLOW, EPERM, ESPIPE}},
      {Call::kReceive,
       "recv",
       {EBADF, ECONNREFUSED, ECONNRESET, EFAULT, EINTR, EINVAL, ENOMEM, ENOTCONN, ENOTSOCK,
        ETIMEDOUT, EHOSTUNREACH}},
      {Call::kSend,
       "send",
       {EACCES, EBADF, ECONNRESET, EDESTADDRREQ, EFAULT, EINTR, EINVAL, EISCONN, EMSGSIZE, ENOBUFS,
        ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE, EHOSTUNREACH, ENETUNREACH, ENETDOWN}},
      {Call::kAccept,
       "accept4",
       {EBADF,     ECONNABORTED, EFAULT,          EINTR,       EINVAL,         EMFILE,
        ENFILE,    ENOBUFS,      ENOMEM,          ENOTSOCK,    EOPNOTSUPP,     EPROTO,
        EPERM,     ENETDOWN,     EHOSTDOWN,       ENOPROTOOPT, EHOSTUNREACH,   ENETUNREACH,
        ETIMEDOUT, ENOSR,        ESOCKTNOSUPPORT, ENONET,      EPROTONOSUPPORT}},
      {Call::kConnect,
       "connect",
       {EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EALREADY, EBADF,
        ECONNREFUSED, EFAULT, EINTR, EISCONN, ENETUNREACH, ENOTSOCK, EPROTOTYPE, ETIMEDOUT}},
      {Call::kClose, "close", {EBADF, EINTR, EIO, ENOSPC, EDQUOT}},
      {Call::kSocket,
       "socket",
       {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT}},
      {Call::kBind,
       "bind",
       {EACCES, EADDRINUSE, EBADF, EINVAL, ENOTSOCK, EADDRNOTAVAIL, EFAULT, ELOOP, ENAMETOOLONG,
        ENOENT, ENOMEM, ENOTDIR, EROFS}},
      {Call::kListen, "listen", {EADDRINUSE, EBADF, ENOTSOCK, EOPNOTSUPP}},
      {Call::kSocketError,
       "getsockopt",
       {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, ECONNREFUSED, ECONNRESET, ETIMEDOUT,
        EHOSTUNREACH, ENETUNREACH, ENETDOWN, EACCES, EPERM}},
      {Call::kSocketProtocol, "getsockopt", {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK}},
      {Call::kInterfaceIndex, "if_nametoindex", {ENODEV, EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES}},
      {Call::kSetNonBlocking, "fcntl", {EBADF, EINVAL, EPERM}},
      {Call::kPollNow, "poll", {EFAULT, EINTR, EINVAL, ENOMEM}},
      {Call::kEventFd, "eventfd", {EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM}},
      {Call::kSignalEventFd, "write", {EINTR}},
      {Call::kEpollCreate, "epoll_create1", {EINVAL, EMFILE, ENFILE, ENOMEM}},
      {Call::kEpollControl,
       "epoll_ctl",
       {EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM}},
      {Call::kEpollWait, "epoll_wait", {EINTR, ENOMEM}},
      {Call::kReceiveMessage,
       "recvmsg",
       {EBADF, ECONNREFUSED, ECONNRESET, EFAULT, EINTR, EINVAL, ENOMEM, ENOTCONN, ENOTSOCK}},
      {Call::kSendMessage,
       "sendmsg",
       {EACCES, EBADF, ECONNRESET, EDESTADDRREQ, EFAULT, EINTR, EINVAL, EISCONN, EMSGSIZE, ENOBUFS,
        ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE, EHOSTUNREACH, ENETUNREACH, ENETDOWN}},
      {Call::kSendFile,
       "sendfile",
       {EBADF, EFAULT, EINTR, EINVAL, EIO, ENOMEM, EOVERFLOW, ESPIPE, EPIPE, ECONNRESET, ENOTCONN}},
      {Call::kShutdown, "shutdown", {EBADF, EINVAL, ENOTCONN, ENOTSOCK}},
      {Call::kSocketPair,
       "socketpair",
       {EAFNOSUPPORT, EFAULT, EMFILE, ENFILE, EOPNOTSUPP, EPROTONOSUPPORT}},
      {Call::kSocketName, "getsockname", {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK}},
      {Call::kPeerName, "getpeername", {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTCONN, ENOTSOCK}},
      {Call::kSocketOption, "getsockopt", {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK}},
      {Call::kSetSocketOption, "setsockopt", {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK}},
      {Call::kPipe, "pipe2", {EFAULT, EINVAL, EMFILE, ENFILE, ENOPKG}},
      {Call::kOpen, "openat", {EACCES,    EBADF,  EBUSY,  EDQUOT, EEXIST,  EFAULT,       EFBIG,
                               EINTR,     EINVAL, EISDIR, ELOOP,  EMFILE,  ENAMETOOLONG, ENFILE,
                               ENODEV,    ENOENT, ENOMEM, ENOSPC, ENOTDIR, ENXIO,        EOPNOTSUPP,
                               EOVERFLOW, EPERM,  EROFS,  ETXTBSY}},
      {Call::kSeek, "lseek", {EBADF, EINVAL, ENXIO, EOVERFLOW, ESPIPE}},
      {Call::kSync, "fsync", {EBADF, EINTR, EIO, ENOSPC, EROFS, EINVAL, EDQUOT}},
      {Call::kTruncate, "ftruncate", {EBADF, EFBIG, EINTR, EINVAL, EIO, EPERM, EROFS, ETXTBSY}},
      {Call::kDropCache, "posix_fadvise", {EBADF, EINVAL, ESPIPE}},
      {Call::kStatus,
       "statx",
       {EACCES, EBADF, EFAULT, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR}},
      {Call::kRename,
       "renameat",
       {EACCES, EBADF, EBUSY, EDQUOT, EEXIST, EFAULT, EINVAL, EISDIR, ELOOP, EMLINK, ENAMETOOLONG,
        ENOENT, ENOMEM, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM, EROFS, EXDEV}},
      {Call::kUnlink,
       "unlinkat",
       {EACCES, EBADF, EBUSY, EFAULT, EINVAL, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM,
        ENOTDIR, ENOTEMPTY, EPERM, EROFS}},
      {Call::kMakeDirectory,
       "mkdirat",
       {EACCES, EBADF, EDQUOT, EEXIST, EFAULT, EINVAL, ELOOP, EMLINK, ENAMETOOLONG, ENOENT, ENOMEM,
        ENOSPC, ENOTDIR, EPERM, EROFS}},
      {Call::kListDirectory,
       "opendir",
       {EACCES, EBADF, EMFILE, ENFILE, ENOENT, ENOMEM, ENOTDIR, EFAULT, EINVAL}},
      {Call::kMakeTemporaryFile,
       "mkostemp",
       {EEXIST, EINVAL, EACCES, EMFILE, ENFILE, ENOENT, ENOSPC, EROFS}},
      {Call::kMakeTemporaryDirectory,
       "mkdtemp",
       {EEXIST, EINVAL, EACCES, ENOENT, ENOSPC, EROFS, ENOTDIR}},
      {Call::kAlwaysReady, "fstat", {EBADF, ENOMEM, EOVERFLOW}},
      {Call::kKqueue, "kqueue", {EMFILE, ENFILE, ENOMEM}},
      {Call::kKqueueEvents, "kevent", {EINTR, ENOMEM}},
      {Call::kIoUringSetup, "io_uring_setup", {EFAULT, EINVAL, EMFILE, ENFILE, ENOMEM, EPERM}},
      {Call::kIoUringEnter, "io_uring_enter", {EAGAIN, EBUSY, EINTR, ENOMEM}},
      {Call::kIoUringRegister,
       "io_uring_register",
       {EACCES, EBADF, EBADFD, EBUSY, EEXIST, EFAULT, EINVAL, EMFILE, ENOMEM, ENXIO, EOPNOTSUPP}},
      {Call::kIoUringEnable, "io_uring_register", {EACCES, EBADF, EBADFD, EEXIST, EINVAL}},
      {Call::kIoUringUnregister, "io_uring_register", {EBADF, EBUSY, EFAULT, EINVAL, ENOMEM}},
      {Call::kSpawn,
       "posix_spawn",
       {EAGAIN, EINVAL, ENOMEM, ENOSYS, E2BIG, EACCES, EIO, EISDIR, ELOOP, EMFILE, ENAMETOOLONG,
        ENFILE, ENOENT, ENOEXEC, ENOTDIR, EPERM, ETXTBSY}},
      {Call::kOpenProcess, "pidfd_open", {EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, ENOSYS}},
      {Call::kSignalProcess, "pidfd_send_signal", {EBADF, EINVAL, EPERM, ESRCH, ENOSYS}},
      {Call::kSignalPid, "kill", {EINVAL, EPERM, ESRCH}},
      {Call::kTakeExit, "waitid", {ECHILD, EINTR, EINVAL, EAGAIN}},
      {Call::kWaitReadable, "poll", {EFAULT, EINTR, EINVAL, ENOMEM}},
      {Call::kDuplicate, "fcntl", {EBADF, EINVAL, EMFILE}},
      {Call::kSetBlocking, "fcntl", {EBADF, EINVAL, EPERM}},
      {Call::kIsBlocking, "fcntl", {EBADF, EINVAL}},
      {Call::kSignalAction, "sigaction", {EFAULT, EINVAL}},
  };
  return table;
}

const Entry* Find(Call call) {
  for (const Entry& entry : Table()) {
    if (entry.call == call) return &entry;
  }
  return nullptr;
}

}  // namespace

const std::vector<int>& ErrorsOf(Call call) {
  static const auto& none = *new std::vector<int>;
  const Entry* const entry = Find(call);
  return entry == nullptr ? none : entry->errors;
}

const char* NameOf(Call call) {
  const Entry* const entry = Find(call);
  return entry == nullptr ? "" : entry->name;
}

}  // namespace plait::sys
