// SendFile: a file, or a part of one, to a Stream, without its bytes passing through the program.
// (asyncio: loop.sendfile.)
//
//   plait::File file = co_await plait::OrReturn(plait::OpenFile("movie"));
//   const int64_t sent = co_await plait::OrReturn(plait::SendFile(stream, file));
//
// It is sendfile(2), on a thread for blocking work, as the disk may have to be waited for; where
// the system has no such way from this file to this stream, the bytes are read and written.
#ifndef PLAIT_IO_NET_SEND_FILE_H_
#define PLAIT_IO_NET_SEND_FILE_H_

#include <cstdint>
#include <limits>

#include "absl/status/statusor.h"
#include "plait/io/file/open_file.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/task/task.h"

namespace plait {

inline constexpr int64_t kToTheEnd = std::numeric_limits<int64_t>::max();

namespace internal {
// Holds the stream's state, and never the Stream, which may be closed or dropped meanwhile.
Task<absl::StatusOr<int64_t>> SendFileTo(StreamRef stream, const File& file, int64_t offset,
                                         int64_t count);
}  // namespace internal

// co_await: sends `count` bytes of `file` from `offset` on, or fewer where it ends before; how
// many. What the stream had accepted before goes first. It is done when the kernel has it all. The
// file's own position is neither used nor moved, so one File may be sent to many at once.
//
// As for a Write, no other task writes meanwhile: beside a Write or a Flush that waits it is
// FailedPrecondition. `file` outlives the co_await, and a stream that is closed, aborted or dropped
// meanwhile ends it with absl::CancelledError. Cancellation: absl::CancelledError; AcceptedBytes
// (partial_bytes.h) says, for it and for every other error once it has begun, how many bytes are on
// their way. Errors name the file and the peer: InvalidArgument for a negative offset or count;
// those of the stream and of the file.
//
// Cost: two descriptors while it lasts, and a hand-over to a blocking thread for each buffer of the
// kernel's that it fills, of up to a mebibyte.
inline Task<absl::StatusOr<int64_t>> SendFile(Stream& stream, const File& file, int64_t offset = 0,
                                              int64_t count = kToTheEnd) {
  return internal::SendFileTo(stream.state_, file, offset, count);
}

}  // namespace plait

#endif  // PLAIT_IO_NET_SEND_FILE_H_
