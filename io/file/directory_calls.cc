#include "plait/io/file/directory_calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <cstdint>
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

// One that is closed in the end. No reactor ever knows it.
class Directory {
 public:
  Directory() = default;
  explicit Directory(int fd) noexcept : fd_(fd) {}
  Directory(Directory&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Directory& operator=(Directory&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Directory() {
    if (fd_ >= 0) sys::Calls().Close(fd_);
  }

  int fd() const noexcept { return fd_; }

  // Opens what `name` names in `at`, if that is a directory itself and no link to one. 0 or -errno.
  int Open(int at, const char* name) noexcept {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int opened = 0;
    do {
      opened = sys::Calls().Open(at, name, kFlags, 0);
    } while (opened == -EINTR);
    if (opened < 0) return opened;
    *this = Directory(opened);
    return 0;
  }

 private:
  int fd_ = -1;
};

// 0 also where it is gone already.
int UnlinkIfThere(int directory, const std::string& name, int flags) {
  const int result = sys::Calls().Unlink(directory, name.c_str(), flags);
  return result == -ENOENT ? 0 : result;
}

// 0 or -errno. An empty path: `directory` itself.
int List(int directory, const char* path, std::vector<DirectoryEntry>& entries) {
  sys::SystemCalls& calls = sys::Calls();
  Listing listing;
  const int result = calls.ListDirectory(directory, path, &Listing::Add, &listing);
  if (result < 0) return result;
  for (const size_t place : listing.unknown) {
    DirectoryEntry& entry = listing.entries[place];
    const std::string name = *path == '\0' ? entry.name : JoinPath(path, entry.name);
    sys::RawFileStatus raw;
    // One that is gone by now stays as it is.
    if (calls.Status(directory, name.c_str(), AT_SYMLINK_NOFOLLOW, &raw) == 0) {
      entry.kind = sys::Decode(raw).kind;
    }
  }
  std::sort(listing.entries.begin(), listing.entries.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  entries = std::move(listing.entries);
  return 0;
}

// The removal of a tree. It goes from directory to directory by descriptors, never by a path and
// never through a link: whoever renames directories or puts links in their place meanwhile cannot
// have it remove anything elsewhere. One descriptor is open at a time, whatever the depth: the way
// back up is "..", which must be the directory that it came from. A directory that is empty is not
// entered, as that, and the way back, would need a permission that its removal does not.
class TreeRemoval {
 public:
  explicit TreeRemoval(const std::string& path) : path_(path) {}

  absl::Status Begin() { return Enter(AT_FDCWD, path_, /*top=*/true); }
  bool done() const { return levels_.empty(); }

  // Removes an entry, or enters or leaves a directory.
  absl::Status Step() {
    Level& level = levels_.back();
    if (level.entries.empty()) return Leave();
    const DirectoryEntry entry = std::move(level.entries.back());
    level.entries.pop_back();
    if (entry.kind == FileKind::kDirectory) return Enter(here_.fd(), entry.name, /*top=*/false);
    return Said(UnlinkIfThere(here_.fd(), entry.name, 0), entry.name);
  }

 private:
  struct Level {
    std::string name;  // in the one above
    uint64_t device = 0;
    uint64_t inode = 0;
    std::vector<DirectoryEntry> entries;  // those that are left
  };

  // What removing `name`, which is in the last of the levels, came to.
  absl::Status Said(int result, const std::string& name) const {
    return result < 0 ? ErrnoToStatus(result, NamingIn(name)) : absl::OkStatus();
  }
  // A path is made for people, when there is something to tell: the levels' paths, in a tree that
  // is deep, would be far larger than it.
  std::string NamingIn(const std::string& name) const {
    if (levels_.empty()) return Naming("remove", name);
    std::string path = levels_.front().name;
    for (size_t i = 1; i < levels_.size(); ++i) path = JoinPath(path, levels_[i].name);
    return Naming("remove", JoinPath(path, name));
  }

  absl::Status Enter(int at, const std::string& name, bool top) {
    Directory child;
    int result = child.Open(at, name.c_str());
    if (result == -ENOENT && !top) return absl::OkStatus();
    // No directory any more, but a link or a file.
    if ((result == -ENOTDIR || result == -ELOOP) && !top) {
      return Said(UnlinkIfThere(at, name, 0), name);
    }
    Level level{.name = name, .device = 0, .inode = 0, .entries = {}};
    if (result >= 0) result = Identify(child.fd(), level.device, level.inode);
    if (result >= 0) result = List(child.fd(), "", level.entries);
    if (result >= 0 && level.entries.empty()) {
      return Said(UnlinkIfThere(at, name, AT_REMOVEDIR), name);
    }
    // One that may not be looked into may be empty, too.
    if (result == -EACCES && UnlinkIfThere(at, name, AT_REMOVEDIR) == 0) return absl::OkStatus();
    if (result < 0) return Said(result, name);
    here_ = std::move(child);
    levels_.push_back(std::move(level));
    return absl::OkStatus();
  }

  absl::Status Leave() {
    const Level level = std::move(levels_.back());
    levels_.pop_back();
    if (levels_.empty()) return Said(UnlinkIfThere(AT_FDCWD, level.name, AT_REMOVEDIR), level.name);
    const Level& above = levels_.back();
    Directory parent;
    uint64_t device = 0;
    uint64_t inode = 0;
    int result = parent.Open(here_.fd(), "..");
    if (result >= 0) result = Identify(parent.fd(), device, inode);
    if (result < 0) return Said(result, level.name);
    if (device != above.device || inode != above.inode) {
      return absl::FailedPreconditionError(NamingIn(level.name) +
                                           ": somebody moved it elsewhere meanwhile");
    }
    here_ = std::move(parent);
    return Said(UnlinkIfThere(here_.fd(), level.name, AT_REMOVEDIR), level.name);
  }

  static int Identify(int fd, uint64_t& device, uint64_t& inode) {
    sys::RawFileStatus raw;
    const int result = sys::Calls().Status(fd, "", AT_SYMLINK_NOFOLLOW, &raw);
    if (result < 0) return result;
    const FileStatus status = sys::Decode(raw);
    device = status.device;
    inode = status.inode;
    return 0;
  }

  const std::string& path_;
  Directory here_;  // of the last of the levels
  std::vector<Level> levels_;
};

// "link/." would be the directory that the link leads to, and the system would refuse to take it
// away only once it was empty. `path` is without slashes at its end.
absl::Status RefuseDots(const std::string& given, const std::string& path) {
  const std::string last = path.substr(path.rfind('/') + 1);
  if (last != "." && last != "..") return absl::OkStatus();
  return absl::InvalidArgumentError(Naming("remove", given) + ": it ends in \"" + last +
                                    "\", which is no name of an entry");
}

absl::Status RefuseRoot(const std::string& given, const FileStatus& top) {
  sys::RawFileStatus raw;
  const int known = sys::Calls().Status(AT_FDCWD, "/", AT_SYMLINK_NOFOLLOW, &raw);
  if (known < 0) return ErrnoToStatus(known, Naming("remove", given));
  const FileStatus root = sys::Decode(raw);
  if (root.device != top.device || root.inode != top.inode) return absl::OkStatus();
  return absl::InvalidArgumentError(Naming("remove", given) + ": it is the root of all files");
}

}  // namespace

absl::StatusOr<std::vector<DirectoryEntry>> ListDirectoryNow(const std::string& path) {
  std::vector<DirectoryEntry> entries;
  const int result = List(AT_FDCWD, path.c_str(), entries);
  if (result < 0) return ErrnoToStatus(result, Naming("list", path));
  return entries;
}

absl::Status RemoveTreeNow(const std::string& given, bool (*stopped)(const void* argument),
                           const void* argument) {
  // A slash at the end would have the system follow a link there.
  std::string path = given;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (const absl::Status refused = RefuseDots(given, path); !refused.ok()) return refused;
  // A link to a directory, or a file, is no tree.
  sys::RawFileStatus raw;
  const int known = sys::Calls().Status(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, &raw);
  if (known < 0) return ErrnoToStatus(known, Naming("remove", path));
  const FileStatus top = sys::Decode(raw);
  if (top.kind != FileKind::kDirectory) {
    return ErrnoToStatus(UnlinkIfThere(AT_FDCWD, path, 0), Naming("remove", path));
  }
  if (const absl::Status refused = RefuseRoot(given, top); !refused.ok()) return refused;
  // Not by recursion: a tree may be deeper than a stack.
  TreeRemoval removal(path);
  absl::Status status = removal.Begin();
  while (status.ok() && !removal.done()) {
    if (stopped != nullptr && stopped(argument)) {
      return absl::CancelledError(Naming("remove", path) + ": cancelled on the way");
    }
    status = removal.Step();
  }
  return status;
}

}  // namespace plait::internal
