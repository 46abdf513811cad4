// What reads a stream until something comes along, over what was read ahead. Internal; see
// stream.h.
#ifndef PLAIT_IO_NET_STREAM_READING_H_
#define PLAIT_IO_NET_STREAM_READING_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "plait/io/net/stream_state.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/task.h"

namespace plait::internal {

// Empty at the end.
Task<absl::StatusOr<std::string>> ReadStreamSome(StreamRef state, size_t most);
Task<absl::StatusOr<std::string>> ReadStreamExactly(StreamRef state, size_t size);
Task<absl::StatusOr<std::string>> ReadStreamUntil(StreamRef state, std::string delimiter,
                                                  size_t limit);
// OutOfRange at the end.
Task<absl::StatusOr<std::string>> ReadStreamLine(StreamRef state, size_t limit);
Task<absl::StatusOr<std::string>> ReadStreamAll(StreamRef state, size_t limit);
AsyncGenerator<absl::StatusOr<std::string>> StreamLines(StreamRef state, size_t limit);

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_READING_H_
