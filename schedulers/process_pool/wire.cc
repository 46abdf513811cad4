#include "plait/schedulers/process_pool/wire.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace plait {
namespace {

std::string TooDeep(int max_depth) {
  return absl::StrCat("it is nested deeper than the limit of ", max_depth, " levels");
}

}  // namespace

void Encoder::WriteLongSize(uint64_t size) noexcept {
  char bytes[10];
  size_t count = 0;
  for (; size >= 0x80; size >>= 7) bytes[count++] = static_cast<char>((size & 0x7f) | 0x80);
  bytes[count++] = static_cast<char>(size);
  Write(bytes, count);
}

void Encoder::Fail(absl::string_view why) {
  if (!failed_.ok()) return;
  failed_ = absl::InvalidArgumentError(absl::StrCat("the value cannot be encoded: ", why));
}

absl::Status Encoder::status() const {
  if (!failed_.ok()) return failed_;
  if (needed_ > limits_.max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the value takes ", needed_, " bytes, more than the limit of ", limits_.max_bytes));
  }
  return absl::OkStatus();
}

bool Encoder::Enter() {
  if (++depth_ <= limits_.max_depth) return true;
  Fail(TooDeep(limits_.max_depth));
  return false;
}

Decoder::Decoder(absl::string_view bytes, const CodecLimits& limits)
    : left_(bytes), size_(bytes.size()), limits_(limits) {
  if (bytes.size() <= limits.max_bytes) return;
  Fail(absl::ResourceExhaustedError(
      absl::StrCat("the encoding is longer than the limit of ", limits.max_bytes, " bytes")));
}

std::optional<uint64_t> Decoder::ReadNumber() {
  uint64_t number = 0;
  for (int shift = 0;; shift += 7) {
    unsigned char byte = 0;  // g++ 12 does not see that it is read
    if (!Read(&byte, 1)) return std::nullopt;
    const uint64_t bits = byte & 0x7f;
    if (shift == 63 && bits > 1) return Fail("a length of more than 64 bits");
    number |= bits << shift;
    if (byte < 0x80) {
      // Every value has one encoding.
      if (byte == 0 && shift != 0) return Fail("a length with needless bytes");
      return number;
    }
    if (shift == 63) return Fail("a length of more than 64 bits");
  }
}

std::optional<size_t> Decoder::ReadSize(size_t bytes_each) {
  const std::optional<uint64_t> number = ReadNumber();
  if (!number.has_value()) return std::nullopt;
  if (*number > left_.size() / bytes_each) {
    return Fail(absl::StrCat(*number, " items of at least ", bytes_each,
                             " bytes each are announced, and ", left_.size(), " bytes are left"));
  }
  return static_cast<size_t>(*number);
}

std::nullopt_t Decoder::Fail(absl::string_view why) { return Fail(absl::DataLossError(why)); }

std::nullopt_t Decoder::Fail(absl::Status why) {
  if (!failed_.ok()) return std::nullopt;
  failed_ = absl::Status(why.code(), absl::StrCat("decoding failed at byte ", size_ - left_.size(),
                                                  " of ", size_, ": ", why.message()));
  left_ = {};
  return std::nullopt;
}

absl::Status Decoder::Finish() {
  if (!left_.empty()) Fail(absl::StrCat(left_.size(), " bytes follow the value"));
  return failed_;
}

bool Decoder::Enter() {
  if (++depth_ <= limits_.max_depth) return true;
  Fail(TooDeep(limits_.max_depth));
  return false;
}

bool Decoder::TooShort(size_t size) {
  Fail(
      absl::StrCat("it ends too early: ", size, " bytes are due, and ", left_.size(), " are left"));
  return false;
}

}  // namespace plait
