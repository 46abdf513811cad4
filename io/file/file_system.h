// What a file system holds, by path: status, names, directories.
//
//   const auto entries = co_await plait::OrReturn(plait::ListDirectory("."));
//   for (const plait::DirectoryEntry& entry : entries) {
//     if (entry.kind == plait::FileKind::kRegular) Print(entry.name);
//   }
//
// Paths are relative to the working directory. Errors are a Status that names the operation and the
// path: NotFound, AlreadyExists, FailedPrecondition (a directory where none may be, or none where
// one must), PermissionDenied; InvalidArgument for a path that is empty or holds a NUL byte.
// Cancellation: what has begun is not cancelled, and gives its result; what runs over a whole tree
// stops between two steps. Where: io_uring itself asks for a status, renames, removes and makes a
// directory; what lists or removes a whole tree, and on other reactors all of it, runs on the
// executor for blocking work.
#ifndef PLAIT_IO_FILE_FILE_SYSTEM_H_
#define PLAIT_IO_FILE_FILE_SYSTEM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/io/system/file_status.h"
#include "plait/runtime/task/task.h"

namespace plait {

enum class SymbolicLinks : uint8_t { kFollow, kDoNotFollow };

// Size, kind, times and so on of what `path` names.
Task<absl::StatusOr<FileStatus>> StatusOf(std::string path,
                                          SymbolicLinks links = SymbolicLinks::kFollow);

// `path` is `new_path` from now on; what had that name before is gone, in one step. Both are on one
// file system (else Unimplemented).
Task<absl::Status> Rename(std::string path, std::string new_path);

// A file, a symbolic link, a pipe; a directory is refused.
Task<absl::Status> Remove(std::string path);
// A directory that is empty.
Task<absl::Status> RemoveDirectory(std::string path);
// `path` and all that is below it; symbolic links are not followed, also not those that somebody
// puts in a directory's place meanwhile; of those on the way to `path` only. What is not there any
// more is no error, but for `path` itself; a directory that somebody moves elsewhere while it is
// being removed is FailedPrecondition. The first error ends it. As deep as it likes; one descriptor
// is open at a time, and another in between.
//
// Permissions are the system's: in a directory that holds something one needs to read it, to enter
// it and to write to it, while an empty one goes whatever its permissions are. The root, and a path
// whose last part is "." or "..", is InvalidArgument, as with rm, before anything is removed:
// "link/." would otherwise be what the link leads to.
Task<absl::Status> RemoveTree(std::string path);

// The directory that it is made in exists. `permissions`: less what the process's umask takes away.
Task<absl::Status> MakeDirectory(std::string path, uint32_t permissions = 0777);
// Those that it is made in are made too; directories that are there already are fine.
Task<absl::Status> MakeDirectories(std::string path, uint32_t permissions = 0777);

struct DirectoryEntry {
  std::string name;
  FileKind kind = FileKind::kOther;  // of the entry itself: symbolic links are not followed

  friend bool operator==(const DirectoryEntry&, const DirectoryEntry&) = default;
};

// All entries but "." and "..", sorted by their names' bytes.
Task<absl::StatusOr<std::vector<DirectoryEntry>>> ListDirectory(std::string path);

}  // namespace plait

#endif  // PLAIT_IO_FILE_FILE_SYSTEM_H_
