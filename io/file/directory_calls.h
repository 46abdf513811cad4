// What has no operation of a reactor: plain functions that block, for threads that may.
#ifndef PLAIT_IO_FILE_DIRECTORY_CALLS_H_
#define PLAIT_IO_FILE_DIRECTORY_CALLS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/io/file/file_system.h"

namespace plait::internal {

absl::StatusOr<std::vector<DirectoryEntry>> ListDirectoryNow(const std::string& path);

// Ends early, with Cancelled, once `stopped(argument)`; null: never.
absl::Status RemoveTreeNow(const std::string& path, bool (*stopped)(const void* argument) = nullptr,
                           const void* argument = nullptr);

}  // namespace plait::internal

#endif  // PLAIT_IO_FILE_DIRECTORY_CALLS_H_
