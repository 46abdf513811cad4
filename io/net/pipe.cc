#include "plait/io/net/pipe.h"

#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"

namespace plait {

absl::StatusOr<PipeEnds> Pipe() {
  int fds[2];
  const int made = sys::Calls().Pipe(fds);
  if (made < 0) return ErrnoToStatus(made, "pipe");
  return PipeEnds{.reader = Stream(io::OwnedDescriptor(fds[0])),
                  .writer = Stream(io::OwnedDescriptor(fds[1]))};
}

}  // namespace plait
