// Whole files by their paths: read, write, append, and write so that readers never see a part.
//
//   std::string text = co_await plait::OrReturn(plait::ReadFile("config"));
//   co_await plait::OrReturn(plait::WriteFileAtomically("config", Changed(text)));
//
// Each opens the file, does its work and closes it. Errors name the operation and the path; see
// OpenFile and File. Cancellation: between two pieces of at most a mebibyte.
#ifndef PLAIT_IO_FILE_WHOLE_FILES_H_
#define PLAIT_IO_FILE_WHOLE_FILES_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/task.h"

namespace plait {

// All that `path` holds; ResourceExhausted beyond `limit` bytes.
Task<absl::StatusOr<std::string>> ReadFile(std::string path,
                                           size_t limit = std::numeric_limits<size_t>::max());

// `path` holds `data` and nothing else; it is made if need be, with `permissions` less the umask's.
// On an error, or when it is cancelled, it may hold a part.
Task<absl::Status> WriteFile(std::string path, std::string data, uint32_t permissions = 0666);

// Adds `data` to the end of `path`, which is made if need be.
Task<absl::Status> AppendToFile(std::string path, std::string data, uint32_t permissions = 0666);

// The same as WriteFile, but `path` holds either what it did before or all of `data`, also when the
// program or the machine stops on the way: the data goes into a new file beside it, is synced, and
// the file renamed to `path`, which is synced too. So the file is another one afterwards: with
// `permissions` less the umask's, and in place of a symbolic link, not behind it. On an error, or
// when it is cancelled, nothing has changed and the new file is gone; but an error that names the
// directory came after the rename. From the rename on it is not cancelled. Costs a wait for the
// disk or two.
Task<absl::Status> WriteFileAtomically(std::string path, std::string data,
                                       uint32_t permissions = 0666);

}  // namespace plait

#endif  // PLAIT_IO_FILE_WHOLE_FILES_H_
