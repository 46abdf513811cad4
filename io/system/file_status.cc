#include "plait/io/system/file_status.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace plait::sys {
namespace {

FileKind KindOf(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return FileKind::kRegular;
    case S_IFDIR:
      return FileKind::kDirectory;
    case S_IFLNK:
      return FileKind::kSymbolicLink;
    case S_IFIFO:
      return FileKind::kPipe;
    case S_IFSOCK:
      return FileKind::kSocket;
    default:
      return FileKind::kOther;
  }
}

template <class Stamp>
absl::Time TimeOf(const Stamp& stamp) {
  return absl::FromUnixSeconds(stamp.tv_sec) + absl::Nanoseconds(stamp.tv_nsec);
}

}  // namespace

FileStatus Decode(const RawFileStatus& raw) {
  struct statx status;
  memcpy(&status, raw.bytes, sizeof(status));
  return {.kind = KindOf(status.stx_mode),
          .permissions = status.stx_mode & 07777U,
          .size = status.stx_size,
          .inode = status.stx_ino,
          .device = makedev(status.stx_dev_major, status.stx_dev_minor),
          .links = status.stx_nlink,
          .user = status.stx_uid,
          .group = status.stx_gid,
          .modified = TimeOf(status.stx_mtime),
          .accessed = TimeOf(status.stx_atime),
          .changed = TimeOf(status.stx_ctime)};
}

}  // namespace plait::sys
