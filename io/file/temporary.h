// Files and directories that are gone in the end.
//
//   plait::TemporaryDirectory work = co_await plait::OrReturn(plait::MakeTemporaryDirectory());
//   co_await plait::OrReturn(plait::WriteFile(work.path() + "/part", data));
//   co_await plait::OrReturn(work.Close());   // or leave it to the destructor
//
// They are made where TemporaryOptions say, under names that nobody had, for this user only. Close
// removes them and says how that went; it is not cancelled. A destructor removes them too: inside a
// task, by one that nobody waits for but Run or EventLoop::Close, and elsewhere at once. Where the
// program ends without destructors they stay. They are made and removed on the executor for
// blocking work, under every reactor.
// Threads: one at a time.
#ifndef PLAIT_IO_FILE_TEMPORARY_H_
#define PLAIT_IO_FILE_TEMPORARY_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/io/file/open_file.h"
#include "plait/runtime/task/task.h"

namespace plait {

struct TemporaryOptions {
  std::string directory;          // empty: the environment's TMPDIR, or /tmp
  std::string prefix = "plait-";  // how the name begins
};

namespace internal {

// A path whose file, or whole tree, is removed in the end.
class RemovedPath {
 public:
  RemovedPath(std::string path, bool is_tree) : path_(std::move(path)), is_tree_(is_tree) {}
  RemovedPath(RemovedPath&& other) noexcept
      : path_(std::move(other.path_)),
        is_tree_(other.is_tree_),
        removed_(std::exchange(other.removed_, true)) {}
  RemovedPath& operator=(RemovedPath&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(is_tree_, other.is_tree_);
    std::swap(removed_, other.removed_);
    return *this;
  }
  ~RemovedPath();

  const std::string& path() const noexcept { return path_; }
  Task<absl::Status> Remove();
  // It stays.
  void Keep() noexcept { removed_ = true; }

 private:
  std::string path_;
  bool is_tree_;
  bool removed_ = false;
};

}  // namespace internal

// Open, to read and write.
class TemporaryFile {
 public:
  TemporaryFile(File file, std::string path)
      : path_(std::move(path), /*is_tree=*/false), file_(std::move(file)) {}

  File& file() noexcept { return file_; }
  const std::string& path() const noexcept { return path_.path(); }
  // Closes the file and removes it. Again does nothing.
  Task<absl::Status> Close();
  // It is not removed in the end, but closed.
  void Keep() noexcept { path_.Keep(); }

 private:
  internal::RemovedPath path_;
  File file_;
};

// Removed with all that is in it by then.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path), /*is_tree=*/true) {}

  const std::string& path() const noexcept { return path_.path(); }
  // Again does nothing.
  Task<absl::Status> Close() { return path_.Remove(); }
  // It is not removed in the end.
  void Keep() noexcept { path_.Keep(); }

 private:
  internal::RemovedPath path_;
};

Task<absl::StatusOr<TemporaryFile>> MakeTemporaryFile(TemporaryOptions options = {});
Task<absl::StatusOr<TemporaryDirectory>> MakeTemporaryDirectory(TemporaryOptions options = {});

}  // namespace plait

#endif  // PLAIT_IO_FILE_TEMPORARY_H_
