// Codec of protobuf messages. A target of its own, so that only who sends messages links protobuf.
//
//   deps = ["//schedulers/process_pool:codec", "//schedulers/process_pool:codec_protobuf"]
//
// Include it wherever a message goes through a codec; a message without it does not compile.
// InvalidArgument for a message that lacks required fields or takes 2 GiB and more, which protobuf
// cannot write.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_PROTOBUF_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_PROTOBUF_H_

#include <concepts>
#include <optional>

#include "google/protobuf/message_lite.h"
#include "plait/schedulers/process_pool/codec.h"

namespace plait {
namespace internal {

void EncodeMessage(const google::protobuf::MessageLite& message, Encoder& out);
bool DecodeMessage(google::protobuf::MessageLite& message, Decoder& in);

}  // namespace internal

template <class T>
  requires std::derived_from<T, google::protobuf::MessageLite>
struct Codec<T> {
  static void Encode(const T& message, Encoder& out) { internal::EncodeMessage(message, out); }
  static std::optional<T> Decode(Decoder& in) {
    std::optional<T> message(std::in_place);
    if (!internal::DecodeMessage(*message, in)) return std::nullopt;
    return message;
  }
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_PROTOBUF_H_
