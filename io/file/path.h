// What every function that takes a path asks of it first.
#ifndef PLAIT_IO_FILE_PATH_H_
#define PLAIT_IO_FILE_PATH_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace plait::internal {

// InvalidArgument, in the name of `what`, where `path` is empty or holds a NUL byte, at which the
// system would cut it off.
absl::Status CheckPath(absl::string_view what, absl::string_view path);

// `what "path"`, as errors put it.
std::string Naming(absl::string_view what, absl::string_view path);

// `directory`/`name`, with one slash.
std::string JoinPath(absl::string_view directory, absl::string_view name);

// The directory that `path` is in: "." for a plain name, "/" for the root.
std::string ParentOf(absl::string_view path);

}  // namespace plait::internal

#endif  // PLAIT_IO_FILE_PATH_H_
