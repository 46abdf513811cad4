// Which files are meant, and some to show something with where none are.
#ifndef PLAIT_EXAMPLES_WORDCOUNT_FIND_FILES_H_
#define PLAIT_EXAMPLES_WORDCOUNT_FIND_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/io/file/temporary.h"
#include "plait/runtime/task/task.h"

namespace examples {

// `paths` in their order, with all files below those that are directories in their place, sorted.
// Links inside of directories are not followed. A path that does not exist stays as it is, for
// whoever opens it to tell.
plait::Task<absl::StatusOr<std::vector<std::string>>> FindFiles(std::vector<std::string> paths);

// A folder of `files` files of made-up text, of so many bytes each, on the disk; the same text
// every time.
plait::Task<absl::StatusOr<plait::TemporaryDirectory>> MakeDemoFiles(int64_t files, int64_t bytes);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_WORDCOUNT_FIND_FILES_H_
