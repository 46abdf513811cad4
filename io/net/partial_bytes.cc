#include "plait/io/net/partial_bytes.h"

#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace plait {
namespace {

constexpr absl::string_view kPartialUrl = "plait.io/partial_bytes";
constexpr absl::string_view kAcceptedUrl = "plait.io/accepted_bytes";

}  // namespace

std::string PartialBytes(const absl::Status& status) {
  const auto payload = status.GetPayload(kPartialUrl);
  return payload.has_value() ? std::string(*payload) : std::string();
}

std::optional<size_t> AcceptedBytes(const absl::Status& status) {
  const auto payload = status.GetPayload(kAcceptedUrl);
  uint64_t count = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &count)) {
    return std::nullopt;
  }
  return static_cast<size_t>(count);
}

namespace internal {

void SetPartialBytes(absl::Status& status, absl::string_view bytes) {
  status.SetPayload(kPartialUrl, absl::Cord(bytes));
}

void SetAcceptedBytes(absl::Status& status, size_t count) {
  const std::string text = absl::StrCat(count);
  // Not from the string itself: what Debian's Abseil has of that is g++'s, and clang does not link
  // it.
  status.SetPayload(kAcceptedUrl, absl::Cord(absl::string_view(text)));
}

}  // namespace internal
}  // namespace plait
