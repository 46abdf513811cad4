#include "plait/io/file/temporary.h"

#include <errno.h>
#include <fcntl.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "plait/io/file/directory_calls.h"
#include "plait/io/file/path.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/sync/strand_base.h"
#include "plait/runtime/task/offload.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/task_local.h"

namespace plait {
namespace internal {
namespace {

absl::Status RemoveNow(const std::string& path, bool is_tree) {
  if (is_tree) return RemoveTreeNow(path);
  return ErrnoToStatus(sys::Calls().Unlink(AT_FDCWD, path.c_str(), 0), Naming("remove", path));
}

struct Outcome {
  absl::Status status;
};

// Not a Status, so that it also runs for a task that was cancelled.
Task<Outcome> OffloadRemove(std::string path, bool is_tree) {
  const auto remove = [&path, is_tree] { return Outcome{RemoveNow(path, is_tree)}; };
  co_return co_await Offload(remove);
}

Task<void> RemoveUnheard(std::string path, bool is_tree) {
  const Outcome removed = co_await OffloadRemove(std::move(path), is_tree);
  static_cast<void>(removed);  // there is nobody to tell
}

}  // namespace

RemovedPath::~RemovedPath() {
  if (removed_) return;
  const TaskContext* const context = TaskContext::Current();
  if (context == nullptr) {
    const absl::Status removed = RemoveNow(path_, is_tree_);
    static_cast<void>(removed);  // there is nobody to tell
    return;
  }
  const TaskLocals none;
  Spawn(RemoveUnheard(std::move(path_), is_tree_),
        {.name = "remove", .executor = BaseOf(context->executor), .context = &none});
}

Task<absl::Status> RemovedPath::Remove() {
  if (std::exchange(removed_, true)) co_return absl::OkStatus();
  const Outcome removed = co_await OffloadRemove(path_, is_tree_);
  co_return removed.status;
}

}  // namespace internal

namespace {

// A template for the system, which fills in the Xs.
absl::StatusOr<std::string> TemplateOf(absl::string_view what, const TemporaryOptions& options) {
  std::string directory = options.directory;
  if (directory.empty()) {
    const char* const from_environment = std::getenv("TMPDIR");
    const bool given = from_environment != nullptr && *from_environment != '\0';
    directory = given ? from_environment : "/tmp";
  }
  std::string path = internal::JoinPath(directory, absl::StrCat(options.prefix, "XXXXXX"));
  if (absl::Status status = internal::CheckPath(what, path); !status.ok()) return status;
  return path;
}

}  // namespace

Task<absl::Status> TemporaryFile::Close() {
  const absl::Status closed = co_await file_.Close();
  const absl::Status removed = co_await path_.Remove();
  co_return closed.ok() ? removed : closed;
}

Task<absl::StatusOr<TemporaryFile>> MakeTemporaryFile(TemporaryOptions options) {
  constexpr absl::string_view kWhat = "make temporary file";
  std::string path = co_await OrReturn(TemplateOf(kWhat, options));
  const std::string pattern = path;
  // No Status: once it has begun there is a file, which somebody must know of.
  const auto make = [&path] { return sys::Calls().MakeTemporaryFile(path.data()); };
  const int fd = co_await Offload(make);
  if (fd < 0) co_return ErrnoToStatus(fd, internal::Naming(kWhat, pattern));
  File file = File::Adopt(fd, path);
  co_return TemporaryFile(std::move(file), std::move(path));
}

Task<absl::StatusOr<TemporaryDirectory>> MakeTemporaryDirectory(TemporaryOptions options) {
  constexpr absl::string_view kWhat = "make temporary directory";
  std::string path = co_await OrReturn(TemplateOf(kWhat, options));
  const std::string pattern = path;
  const auto make = [&path] { return sys::Calls().MakeTemporaryDirectory(path.data()); };
  const int made = co_await Offload(make);
  if (made < 0) co_return ErrnoToStatus(made, internal::Naming(kWhat, pattern));
  co_return TemporaryDirectory(std::move(path));
}

}  // namespace plait
