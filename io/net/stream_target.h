// StreamTarget: where a read from a Stream puts its bytes: memory of the caller's, at least some of
// which is to be filled.
#ifndef PLAIT_IO_NET_STREAM_TARGET_H_
#define PLAIT_IO_NET_STREAM_TARGET_H_

#include <algorithm>
#include <cstddef>

#include "absl/types/span.h"
#include "plait/io/net/byte_buffer.h"

namespace plait::internal {

struct StreamTarget {
  StreamTarget(absl::Span<char> into, size_t at_least) noexcept
      : begin(into.data()),
        at(begin),
        end(begin + into.size()),
        least(std::min(at_least, into.size())) {}

  // How many have come. Fewer than the least only at the end of the stream, or with an error.
  size_t count() const noexcept { return static_cast<size_t>(at - begin); }
  bool has_enough() const noexcept { return count() >= least; }
  absl::Span<char> rest() const noexcept {
    return absl::MakeSpan(at, static_cast<size_t>(end - at));
  }
  void TakeFrom(ByteBuffer& buffer) noexcept { at += buffer.TakeInto(rest()); }

  char* const begin;
  char* at;  // behind what has come
  char* const end;
  const size_t least;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_TARGET_H_
