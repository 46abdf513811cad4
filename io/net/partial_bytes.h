// What an operation on a Stream had moved when it failed, carried by the absl::Status itself.
//
//   absl::StatusOr<std::string> header = co_await stream.ReadExactly(8);
//   if (absl::IsOutOfRange(header.status())) {
//     Log("ended early, after ", plait::PartialBytes(header.status()));
//   }
#ifndef PLAIT_IO_NET_PARTIAL_BYTES_H_
#define PLAIT_IO_NET_PARTIAL_BYTES_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace plait {

// Of a read that met the end of the stream too early (OutOfRange): the bytes before the end, which
// may be none. Empty for any other status.
std::string PartialBytes(const absl::Status& status);

// Of a Write that was cancelled or failed: how many of its bytes the stream had accepted. Nothing
// for any other status, OK included.
std::optional<size_t> AcceptedBytes(const absl::Status& status);

namespace internal {

void SetPartialBytes(absl::Status& status, absl::string_view bytes);
void SetAcceptedBytes(absl::Status& status, size_t count);

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_IO_NET_PARTIAL_BYTES_H_
