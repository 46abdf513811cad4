// Codec: how values go to another process and come back.
//
//   std::string bytes = *plait::Encode(std::vector<std::string>{"a", "b"});
//   absl::StatusOr<std::vector<std::string>> back =
//       plait::Decode<std::vector<std::string>>(bytes);
//
// There are codecs for
//   - types whose bytes are their value (trivially copyable): numbers, enums, structs of them.
//     Whatever bytes arrive are taken for such a struct, so one that holds a bool, or whose fields
//     must fit one another, gets a codec of its own where the other side is not trusted. Pointers
//     and views do not compile, as far as they can be seen;
//   - std::string; std::vector, deque and list, map and set and what looks like them, Abseil's too;
//     std::array, pair, tuple, optional, unique_ptr, variant;
//   - absl::Status, StatusOr, Duration and Time;
//   - protobuf messages: include codec_protobuf.h, a target of its own.
//
// Other types specialize Codec, which is the one extension point, either as FieldsCodec (see
// codec_base.h) or in full:
//
//   template <>
//   struct plait::Codec<Money> {
//     // Writes at least one byte.
//     static void Encode(const Money& money, plait::Encoder& out) {
//       plait::Codec<int64_t>::Encode(money.cents(), out);
//     }
//     // Nothing when `in` has failed, or makes it fail. It must not trust what it reads.
//     static std::optional<Money> Decode(plait::Decoder& in) {
//       std::optional<int64_t> cents = plait::Codec<int64_t>::Decode(in);
//       if (!cents.has_value()) return std::nullopt;
//       if (*cents < 0) return in.Fail("money is negative");
//       return Money(*cents);
//     }
//   };
//
// Decoding executes nothing that it reads, checks every length against what is left, and needs
// memory in proportion to the encoding: at most the size of an item for each byte. Garbage is an
// absl::DataLossError that says where; an encoding has no other form that means the same, nor bytes
// to spare. The encoding depends on the processor and the compiler: it is for two processes of one
// program, and nothing to keep.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/schedulers/process_pool/codec_absl.h"
#include "plait/schedulers/process_pool/codec_base.h"
#include "plait/schedulers/process_pool/codec_containers.h"
#include "plait/schedulers/process_pool/wire.h"

namespace plait {

// InvalidArgument when the value cannot be encoded, ResourceExhausted when it is too large.
template <class T>
absl::StatusOr<std::string> Encode(const T& value, const CodecLimits& limits = {}) {
  Encoder counting({}, limits);
  Codec<T>::Encode(value, counting);
  if (absl::Status status = counting.status(); !status.ok()) return status;
  std::string bytes(counting.needed(), '\0');
  Encoder out(absl::MakeSpan(bytes), limits);
  Codec<T>::Encode(value, out);
  return bytes;
}

// An absl::StatusOr<T>; of a Status and a StatusOr themselves these, and then an error may be the
// value or why there is none.
template <class T>
internal::WithStatus<T> Decode(absl::string_view bytes, const CodecLimits& limits = {}) {
  Decoder in(bytes, limits);
  std::optional<T> value = Codec<T>::Decode(in);
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  if (!value.has_value()) return absl::DataLossError("a codec decoded nothing and did not say why");
  return *std::move(value);
}

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_H_
