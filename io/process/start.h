// StartProcess: from ProcessOptions to a running child. Internal.
#ifndef PLAIT_IO_PROCESS_START_H_
#define PLAIT_IO_PROCESS_START_H_

#include <memory>

#include "absl/status/statusor.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/process/process_options.h"
#include "plait/io/process/process_state.h"

namespace plait::internal {

struct StartedProcess {
  std::shared_ptr<ProcessState> state;
  // Our ends of the pipes to its standard input and from its standard output and error; none where
  // there is no pipe.
  io::OwnedDescriptor pipes[3];
};

// When it fails, nothing was started and no descriptor is left.
absl::StatusOr<StartedProcess> StartProcess(const ProcessOptions& options);

}  // namespace plait::internal

#endif  // PLAIT_IO_PROCESS_START_H_
