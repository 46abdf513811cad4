// Coroutines that the parts of ReactorSuite share: whole transfers, each through a GuardedBuffer.
#ifndef PLAIT_RUNTIME_TESTING_REACTOR_TASK_PROGRAMS_H_
#define PLAIT_RUNTIME_TESTING_REACTOR_TASK_PROGRAMS_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/task.h"

namespace plait {

// One read into a buffer that is gone when this returns: what still writes to it then is found out.
Task<absl::StatusOr<std::string>> ReadSome(int fd, size_t size);
Task<absl::StatusOr<std::string>> ReadToEnd(int fd, size_t size_per_read);
// Fewer than `size` bytes only at the end.
Task<absl::StatusOr<std::string>> ReadThisMuch(int fd, size_t size);
Task<absl::Status> WriteEverything(int fd, std::string data);
Task<absl::Status> WriteAndShutDown(int fd, std::string data);

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_REACTOR_TASK_PROGRAMS_H_
