#include "plait/io/system/errno_status.h"

#include <errno.h>
#include <string.h>

#include "absl/strings/str_cat.h"

namespace plait {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ECANCELED:
      return absl::StatusCode::kCancelled;
    case EINVAL:
    case ENAMETOOLONG:
    case E2BIG:
    case EDESTADDRREQ:
    case EDOM:
    case EFAULT:
    case EILSEQ:
    case EMSGSIZE:
    case ENOEXEC:
    case ENOPROTOOPT:
    case ENOTSOCK:
    case ENOTTY:
    case EPROTOTYPE:
    case ESPIPE:
      return absl::StatusCode::kInvalidArgument;
    case ETIMEDOUT:
    case ETIME:
      return absl::StatusCode::kDeadlineExceeded;
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ESRCH:
      return absl::StatusCode::kNotFound;
    case EEXIST:
    case EALREADY:
      return absl::StatusCode::kAlreadyExists;
    case EPERM:
    case EACCES:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case EBADF:
    case EADDRINUSE:
    case EISCONN:
    case EISDIR:
    case ENOTDIR:
    case ENOTCONN:
    case ELOOP:
    case ENOTEMPTY:
    case EPIPE:
    case ESHUTDOWN:
    case ETXTBSY:
    case ECHILD:
    case EBUSY:
      return absl::StatusCode::kFailedPrecondition;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EMLINK:
    case EUSERS:
      return absl::StatusCode::kResourceExhausted;
    case EFBIG:
    case EOVERFLOW:
    case ERANGE:
      return absl::StatusCode::kOutOfRange;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
    case EPFNOSUPPORT:
    case EPROTONOSUPPORT:
    case EXDEV:
      return absl::StatusCode::kUnimplemented;
    case EADDRNOTAVAIL:  // no port is free, or none of this machine's interfaces has it, now
    case EAGAIN:
    case ECONNREFUSED:
    case ECONNABORTED:
    case ECONNRESET:
    case EINTR:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ENETUNREACH:
    case ENOLCK:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kUnknown;
  }
}

}  // namespace

absl::Status ErrnoToStatus(int negative_errno, absl::string_view what) {
  if (negative_errno >= 0) return absl::OkStatus();
  const int error = -negative_errno;
  const char* name = ::strerrorname_np(error);
  return absl::Status(
      CodeOf(error),
      absl::StrCat(what, ": ",
                   ::strerrordesc_np(error) == nullptr ? "unknown error" : ::strerrordesc_np(error),
                   " (", name == nullptr ? absl::StrCat("errno ", error) : name, ")"));
}

}  // namespace plait
