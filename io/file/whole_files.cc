#include "plait/io/file/whole_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plait/io/file/open_file.h"
#include "plait/io/file/path.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/uncancellable.h"

namespace plait {
namespace {

using internal::Naming;

// Writes `data` to `file` and closes it. `sync`: it is on the disk then.
Task<absl::Status> WriteAndClose(File& file, const std::string& data, bool appends, bool sync) {
  absl::Status written;
  if (appends) {
    written = co_await file.Append(data);
  } else {
    written = co_await file.WriteAll(data);
  }
  if (written.ok() && sync) written = co_await file.Sync();
  const absl::Status closed = co_await file.Close();
  co_return written.ok() ? closed : written;
}

// What `directory` lists is on the disk.
Task<absl::Status> SyncDirectory(std::string directory) {
  File file = co_await OrReturn(OpenFile(std::move(directory)));
  const absl::Status synced = co_await file.Sync();
  const absl::Status closed = co_await file.Close();
  static_cast<void>(closed);  // nothing was written
  // Some file systems have no such thing for directories, and need none.
  co_return absl::IsInvalidArgument(synced) ? absl::OkStatus() : synced;
}

// A name beside `path` that nobody has; hidden, as it is nobody's business.
std::string NameBeside(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  // A long name leaves little room.
  return absl::StrCat(path.substr(0, name), ".", path.substr(name, 200),
                      absl::StrFormat(".%016x", RandomSeed()));
}

}  // namespace

Task<absl::StatusOr<std::string>> ReadFile(std::string path, size_t limit) {
  File file = co_await OrReturn(OpenFile(std::move(path)));
  absl::StatusOr<std::string> content = co_await file.ReadAll(limit);
  const absl::Status closed = co_await file.Close();
  static_cast<void>(closed);  // nothing was written
  co_return content;
}

Task<absl::Status> WriteFile(std::string path, std::string data, uint32_t permissions) {
  const OpenOptions options{
      .write = true, .create = true, .truncate = true, .permissions = permissions};
  File file = co_await OrReturn(OpenFile(std::move(path), options));
  co_return co_await WriteAndClose(file, data, /*appends=*/false, /*sync=*/false);
}

Task<absl::Status> AppendToFile(std::string path, std::string data, uint32_t permissions) {
  const OpenOptions options{.append = true, .create = true, .permissions = permissions};
  File file = co_await OrReturn(OpenFile(std::move(path), options));
  co_return co_await WriteAndClose(file, data, /*appends=*/true, /*sync=*/false);
}

namespace {

Task<absl::Status> Replace(const std::string& path, const std::string& data, uint32_t permissions) {
  const std::string temporary = NameBeside(path);
  const OpenOptions options{.write = true, .exclusive = true, .permissions = permissions};
  File file = co_await OrReturn(OpenFile(temporary, options));
  absl::Status written = co_await WriteAndClose(file, data, /*appends=*/false, /*sync=*/true);
  if (written.ok() && CurrentStopToken().stop_requested()) {
    written = absl::CancelledError("cancelled before the rename");
  }
  if (written.ok()) written = co_await Uncancellable(io::Rename(temporary.c_str(), path.c_str()));
  if (written.ok()) co_return co_await Uncancellable(SyncDirectory(internal::ParentOf(path)));
  const absl::Status removed = co_await Uncancellable(io::Unlink(temporary.c_str()));
  static_cast<void>(removed);  // there is an error to tell of already
  co_return written;
}

}  // namespace

Task<absl::Status> WriteFileAtomically(std::string path, std::string data, uint32_t permissions) {
  co_await OrReturn(internal::CheckPath("write", path));
  const absl::Status replaced = co_await Replace(path, data, permissions);
  if (replaced.ok()) co_return replaced;
  co_return absl::Status(replaced.code(),
                         absl::StrCat(Naming("write", path), ": ", replaced.message()));
}

}  // namespace plait
