// Pipe: a Stream to write to, and one to read what was written there from.
//
//   plait::PipeEnds pipe = *plait::Pipe();
//   co_await plait::OrReturn(pipe.writer.Write("one way"));
//
// The reader meets the end of the stream when the last writer was closed, by Close or
// ShutdownWrite; a writer that nobody reads from any more gets FailedPrecondition. To read from the
// writing end, or write to the other, is FailedPrecondition too.
#ifndef PLAIT_IO_NET_PIPE_H_
#define PLAIT_IO_NET_PIPE_H_

#include "absl/status/statusor.h"
#include "plait/io/net/stream.h"

namespace plait {

struct PipeEnds {
  Stream reader;
  Stream writer;
};

// Does not wait. ResourceExhausted when no descriptors are left.
absl::StatusOr<PipeEnds> Pipe();

}  // namespace plait

#endif  // PLAIT_IO_NET_PIPE_H_
