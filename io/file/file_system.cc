#include "plait/io/file/file_system.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/io/file/directory_calls.h"
#include "plait/io/file/path.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/task/offload.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task_context.h"

namespace plait {

using internal::CheckPath;
using internal::Naming;

Task<absl::StatusOr<FileStatus>> StatusOf(std::string path, SymbolicLinks links) {
  co_await OrReturn(CheckPath("stat", path));
  sys::RawFileStatus raw;
  const bool follow = links == SymbolicLinks::kFollow;
  co_await OrReturn(io::Status(path.c_str(), &raw, follow));
  co_return sys::Decode(raw);
}

Task<absl::Status> Rename(std::string path, std::string new_path) {
  co_await OrReturn(CheckPath("rename", path));
  co_await OrReturn(CheckPath(absl::StrCat(Naming("rename", path), " to"), new_path));
  const absl::Status renamed = co_await io::Rename(path.c_str(), new_path.c_str());
  if (renamed.ok()) co_return renamed;
  // Either may be what is wrong.
  co_return absl::Status(renamed.code(),
                         absl::StrCat(renamed.message(), ", ", Naming("to", new_path)));
}

Task<absl::Status> Remove(std::string path) {
  co_await OrReturn(CheckPath("remove", path));
  co_return co_await io::Unlink(path.c_str());
}

Task<absl::Status> RemoveDirectory(std::string path) {
  co_await OrReturn(CheckPath("remove directory", path));
  co_return co_await io::RemoveDirectory(path.c_str());
}

Task<absl::Status> RemoveTree(std::string path) {
  co_await OrReturn(CheckPath("remove", path));
  const StopToken token = CurrentStopToken();
  const auto remove = [&path, &token]() -> absl::Status {
    const auto stopped = [](const void* argument) {
      return static_cast<const StopToken*>(argument)->stop_requested();
    };
    return internal::RemoveTreeNow(path, stopped, &token);
  };
  co_return co_await Offload(remove);
}

Task<absl::Status> MakeDirectory(std::string path, uint32_t permissions) {
  co_await OrReturn(CheckPath("make directory", path));
  co_return co_await io::MakeDirectory(path.c_str(), permissions);
}

Task<absl::Status> MakeDirectories(std::string path, uint32_t permissions) {
  co_await OrReturn(CheckPath("make directory", path));
  // Upwards until one can be made or is there; then down again.
  std::vector<std::string> missing;
  std::string next = path;
  bool descending = false;
  for (;;) {
    const absl::Status made = co_await io::MakeDirectory(next.c_str(), permissions);
    std::string parent = internal::ParentOf(next);
    // On the way down nothing is missing, unless somebody else takes it away again.
    if (absl::IsNotFound(made) && parent != next && !descending) {
      missing.push_back(std::exchange(next, std::move(parent)));
      continue;
    }
    if (absl::IsAlreadyExists(made)) {
      const FileStatus status = co_await OrReturn(StatusOf(next));
      if (status.kind != FileKind::kDirectory) co_return made;
    } else if (!made.ok()) {
      co_return made;
    }
    if (missing.empty()) co_return absl::OkStatus();
    descending = true;
    next = std::move(missing.back());
    missing.pop_back();
  }
}

Task<absl::StatusOr<std::vector<DirectoryEntry>>> ListDirectory(std::string path) {
  co_await OrReturn(CheckPath("list", path));
  const auto list = [&path]() -> absl::StatusOr<std::vector<DirectoryEntry>> {
    return internal::ListDirectoryNow(path);
  };
  co_return co_await Offload(list);
}

}  // namespace plait
