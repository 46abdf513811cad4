#include "plait/io/net/stream_reading.h"

#include <utility>

#include "plait/io/net/buffered_reads.h"
#include "plait/io/net/stream_read.h"

namespace plait::internal {

static StreamFillAwaitable<false> ReadAhead(const StreamRef& state) {
  return StreamFillAwaitable<false>(state);
}

Task<absl::StatusOr<std::string>> ReadStreamSome(StreamRef state, size_t most) {
  return ReadSome(std::move(state), most);
}

Task<absl::StatusOr<std::string>> ReadStreamExactly(StreamRef state, size_t size) {
  return ReadExactly(std::move(state), size);
}

Task<absl::StatusOr<std::string>> ReadStreamUntil(StreamRef state, std::string delimiter,
                                                  size_t limit) {
  return ReadUntil(std::move(state), std::move(delimiter), limit);
}

Task<absl::StatusOr<std::string>> ReadStreamLine(StreamRef state, size_t limit) {
  return ReadNextLine(std::move(state), limit);
}

Task<absl::StatusOr<std::string>> ReadStreamAll(StreamRef state, size_t limit) {
  return ReadAll(std::move(state), limit);
}

AsyncGenerator<absl::StatusOr<std::string>> StreamLines(StreamRef state, size_t limit) {
  return ReadLines(std::move(state), limit);
}

}  // namespace plait::internal
