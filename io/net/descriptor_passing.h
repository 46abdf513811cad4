// Descriptors sent to another process, over a Unix socket: an open file, a listener, a connection.
//
//   co_await plait::OrReturn(plait::SendDescriptor(stream, "take this", connection_fd));
//
//   char text[100];
//   plait::ReceivedDescriptors got =
//       co_await plait::OrReturn(plait::ReceiveDescriptors(stream, absl::MakeSpan(text)));
//   Serve(std::move(got.descriptors[0]));
//
// What arrives is a descriptor of the receiver's own for the same open thing: both may use it, each
// closes its own, and what belongs to the thing itself (a file's position, whether it blocks) is
// shared. It is close-on-exec.
//
// Descriptors travel with bytes, at least one, and a reader that does not ask for them, such as
// Stream::Read, drops them: receive with ReceiveDescriptors where some may come, and do not read by
// lines before. Bytes that were sent earlier may arrive in one piece with them; what was sent later
// does not.
//
// Threads and tasks: as for Stream's reads and writes, one of each at a time. Lifetime: the stream,
// the descriptors and the bytes live until the co_await has returned. Errors: a Status that names
// the operation and the descriptor of the socket; InvalidArgument where that is no Unix socket. No
// descriptor is leaked, whatever fails.
#ifndef PLAIT_IO_NET_DESCRIPTOR_PASSING_H_
#define PLAIT_IO_NET_DESCRIPTOR_PASSING_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/task/task.h"

namespace plait {

// As many as travel together (Linux: SCM_MAX_FD).
inline constexpr size_t kMaxDescriptors = 253;

// co_await: sends all of `data`, and with its first byte `descriptors`, behind what was written to
// the stream before. They stay the sender's, which may close them once this is done.
// InvalidArgument when `data` is empty or they are more than kMaxDescriptors; FailedPrecondition
// when one is not open, or the peer reads no more. Cancellation, and a stream that is closed
// meanwhile: absl::CancelledError, and AcceptedBytes (partial_bytes.h) says how much was sent; the
// descriptors were where that is not 0.
Task<absl::Status> SendDescriptors(Stream& stream, absl::string_view data,
                                   std::vector<int> descriptors);
// The same with one. (Write a list of several out before the co_await, as g++ 12 takes no braces in
// there.)
inline Task<absl::Status> SendDescriptor(Stream& stream, absl::string_view data, int descriptor) {
  return SendDescriptors(stream, data, std::vector<int>{descriptor});
}

struct ReceivedDescriptors {
  ReceivedDescriptors() = default;
  ReceivedDescriptors(ReceivedDescriptors&&) noexcept = default;
  ReceivedDescriptors& operator=(ReceivedDescriptors&&) noexcept = default;

  size_t size = 0;  // of the bytes, at the beginning of the buffer; 0: the end of the stream
  std::vector<io::OwnedDescriptor> descriptors;  // in the sender's order; often none
};

// co_await: waits for bytes, takes those that there are, up to into.size(), and the descriptors
// that came with them. ResourceExhausted when these are more than `most`, or more than this process
// may still open: all of them are closed, and the bytes are in the status (PartialBytes). What was
// read ahead by the stream comes first, without any. Cancellation: absl::CancelledError; nothing is
// lost by it.
Task<absl::StatusOr<ReceivedDescriptors>> ReceiveDescriptors(Stream& stream, absl::Span<char> into,
                                                             size_t most = kMaxDescriptors);

// The same on any Unix socket, seqpacket and datagram ones too, where a message that finds no room
// loses its end. Whose descriptor it is sees to the order with other reads and writes.
Task<absl::Status> SendDescriptors(int socket, absl::string_view data,
                                   std::vector<int> descriptors);
Task<absl::StatusOr<ReceivedDescriptors>> ReceiveDescriptors(int socket, absl::Span<char> into,
                                                             size_t most = kMaxDescriptors);

}  // namespace plait

#endif  // PLAIT_IO_NET_DESCRIPTOR_PASSING_H_
