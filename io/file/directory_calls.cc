#include "plait/io/file/directory_calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "plait/io/file/path.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/file_status.h"
#include "plait/io/system/system_calls.h"

namespace plait::internal {
namespace {

// kOther where the system says nothing here, too.
FileKind KindOf(unsigned char type) {
  switch (type) {
    case DT_REG:
      return FileKind::kRegular;
    case DT_DIR:
      return FileKind::kDirectory;
    case DT_LNK:
      return FileKind::kSymbolicLink;
    case DT_FIFO:
      return FileKind::kPipe;
    case DT_SOCK:
      return FileKind::kSocket;
    default:
      return FileKind::kOther;
  }
}

struct Listing {
  std::vector<DirectoryEntry> entries;
  std::vector<size_t> unknown;  // the places of those whose kind the file system does not tell

  static void Add(void* context, const dirent& entry) {
    auto& self = *static_cast<Listing*>(context);
    if (entry.d_type == DT_UNKNOWN) self.unknown.push_back(self.entries.size());
    self.entries.push_back({.name = entry.d_name, .kind = KindOf(entry.d_type)});
  }
};

// A directory whose entries are being removed.
struct Level {
  std::string path;
  std::vector<DirectoryEntry> entries;  // those that are left
};

// 0 also where it is gone already.
int UnlinkIfThere(const std::string& path, int flags) {
  const int result = sys::Calls().Unlink(AT_FDCWD, path.c_str(), flags);
  return result == -ENOENT ? 0 : result;
}

}  // namespace

absl::StatusOr<std::vector<DirectoryEntry>> ListDirectoryNow(const std::string& path) {
  sys::SystemCalls& calls = sys::Calls();
  Listing listing;
  const int result = calls.ListDirectory(path.c_str(), &Listing::Add, &listing);
  if (result < 0) return ErrnoToStatus(result, Naming("list", path));
  for (const size_t place : listing.unknown) {
    DirectoryEntry& entry = listing.entries[place];
    sys::RawFileStatus raw;
    // One that is gone by now stays as it is.
    if (calls.Status(AT_FDCWD, JoinPath(path, entry.name).c_str(), AT_SYMLINK_NOFOLLOW, &raw) ==
        0) {
      entry.kind = sys::Decode(raw).kind;
    }
  }
  std::sort(listing.entries.begin(), listing.entries.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  return std::move(listing.entries);
}

absl::Status RemoveTreeNow(const std::string& path, bool (*stopped)(const void* argument),
                           const void* argument) {
  // A link to a directory, or a file, is no tree.
  sys::RawFileStatus raw;
  const int known = sys::Calls().Status(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, &raw);
  if (known < 0) return ErrnoToStatus(known, Naming("remove", path));
  if (sys::Decode(raw).kind != FileKind::kDirectory) {
    return ErrnoToStatus(UnlinkIfThere(path, 0), Naming("remove", path));
  }
  // Not by recursion: a tree may be deeper than a stack.
  std::vector<Level> levels;
  levels.push_back({.path = path, .entries = {}});
  absl::StatusOr<std::vector<DirectoryEntry>> top = ListDirectoryNow(path);
  if (!top.ok()) return top.status();
  levels.back().entries = *std::move(top);
  while (!levels.empty()) {
    if (stopped != nullptr && stopped(argument)) {
      return absl::CancelledError(Naming("remove", path) + ": cancelled on the way");
    }
    Level& level = levels.back();
    if (level.entries.empty()) {
      const int result = UnlinkIfThere(level.path, AT_REMOVEDIR);
      if (result < 0) return ErrnoToStatus(result, Naming("remove", level.path));
      levels.pop_back();
      continue;
    }
    const DirectoryEntry entry = std::move(level.entries.back());
    level.entries.pop_back();
    std::string child = JoinPath(level.path, entry.name);
    if (entry.kind == FileKind::kDirectory) {
      absl::StatusOr<std::vector<DirectoryEntry>> entries = ListDirectoryNow(child);
      if (absl::IsNotFound(entries.status())) continue;
      if (!entries.ok()) return entries.status();
      levels.push_back({.path = std::move(child), .entries = *std::move(entries)});
    } else if (const int result = UnlinkIfThere(child, 0); result < 0) {
      return ErrnoToStatus(result, Naming("remove", child));
    }
  }
  return absl::OkStatus();
}

}  // namespace plait::internal
