// Standard input, output and error as Streams.
//
//   plait::Stream input = co_await plait::OrReturn(plait::StandardInput());
//   plait::AsyncGenerator<absl::StatusOr<std::string>> lines = input.Lines();
//
// Other processes, the shell first of all, share the open files that stand behind them and expect
// reads and writes to wait. So terminals and pipes are opened anew, and only that new opening is
// made non-blocking. Where the system does not let them be opened, and for sockets, the shared one
// is made non-blocking for as long as the Stream lives, and blocks again once it was closed or
// dropped. Files, and devices that are always ready, are read and written in order from where they
// are, on the threads for blocking work where the reactor has no better way.
//
// Each call gives a Stream of its own. Closing it leaves the standard descriptor itself as it is:
// whoever reads the output meets its end only when the process ends, or closes that too. What an
// input Stream has read ahead is lost to whoever reads after it. Output is not sent by dropping the
// Stream: Flush or Close it. What the program prints by other means goes a way of its own.
//
// Errors: FailedPrecondition where the descriptor is closed; ResourceExhausted where no more are
// left. Threads and the rest: see stream.h.
#ifndef PLAIT_IO_NET_STDIO_H_
#define PLAIT_IO_NET_STDIO_H_

#include "absl/status/statusor.h"
#include "plait/io/net/stream.h"

namespace plait {

// None of them waits.
absl::StatusOr<Stream> StandardInput();
absl::StatusOr<Stream> StandardOutput();
absl::StatusOr<Stream> StandardError();

}  // namespace plait

#endif  // PLAIT_IO_NET_STDIO_H_
