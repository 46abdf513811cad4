// FileStatus: what the system says of a file, in one layout on every system.
#ifndef PLAIT_IO_SYSTEM_FILE_STATUS_H_
#define PLAIT_IO_SYSTEM_FILE_STATUS_H_

#include <cstdint>

#include "absl/time/time.h"
#include "plait/io/system/system_calls.h"

namespace plait {

enum class FileKind : uint8_t { kRegular, kDirectory, kSymbolicLink, kPipe, kSocket, kOther };

struct FileStatus {
  FileKind kind = FileKind::kOther;
  uint32_t permissions = 0;  // the lower twelve bits of the mode
  uint64_t size = 0;         // bytes
  uint64_t inode = 0;
  uint64_t device = 0;
  uint32_t links = 0;
  uint32_t user = 0;
  uint32_t group = 0;
  absl::Time modified;
  absl::Time accessed;
  absl::Time changed;  // the file or its properties
};

namespace sys {
FileStatus Decode(const RawFileStatus& raw);
}

}  // namespace plait

#endif  // PLAIT_IO_SYSTEM_FILE_STATUS_H_
