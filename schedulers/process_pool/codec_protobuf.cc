#include "plait/schedulers/process_pool/codec_protobuf.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace plait::internal {
namespace {

// protobuf counts in ints.
constexpr size_t kLargest = std::numeric_limits<int>::max();

// Of string types that differ between protobuf's versions.
template <class Text>
absl::string_view View(const Text& text) {
  return absl::string_view(text.data(), text.size());
}

}  // namespace

void EncodeMessage(const google::protobuf::MessageLite& message, Encoder& out) {
  if (!message.IsInitialized()) {
    return out.Fail(
        absl::StrCat("the message ", View(message.GetTypeName()), " lacks required fields"));
  }
  const size_t size = message.ByteSizeLong();
  if (size > kLargest) {
    return out.Fail(absl::StrCat("the message ", View(message.GetTypeName()), " takes ", size,
                                 " bytes, and protobuf writes none of 2 GiB and more"));
  }
  out.WriteSize(size);
  char* const to = out.Reserve(size);
  if (to == nullptr) return;
  if (!message.SerializeToArray(to, static_cast<int>(size))) {
    out.Fail(absl::StrCat("the message ", View(message.GetTypeName()), " changed meanwhile"));
  }
}

bool DecodeMessage(google::protobuf::MessageLite& message, Decoder& in) {
  const std::optional<size_t> size = in.ReadSize();
  if (!size.has_value()) return false;
  const std::optional<absl::string_view> bytes = in.ReadView(*size);
  if (!bytes.has_value()) return false;
  if (bytes->size() > kLargest ||
      !message.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()))) {
    in.Fail(absl::StrCat("no message of the type ", View(message.GetTypeName())));
    return false;
  }
  return true;
}

}  // namespace plait::internal
