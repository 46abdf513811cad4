// Communicate: talks to a child through its pipes, all at once, and waits for it. Internal; see
// Process::Communicate.
#ifndef PLAIT_IO_PROCESS_COMMUNICATE_H_
#define PLAIT_IO_PROCESS_COMMUNICATE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/process/process_output.h"
#include "plait/io/process/process_state.h"
#include "plait/runtime/task/task.h"

namespace plait::internal {

Task<absl::StatusOr<ProcessOutput>> Communicate(std::shared_ptr<ProcessState> state,
                                                io::OwnedDescriptor input,
                                                io::OwnedDescriptor output,
                                                io::OwnedDescriptor error, std::string text,
                                                size_t max_output);

}  // namespace plait::internal

#endif  // PLAIT_IO_PROCESS_COMMUNICATE_H_
