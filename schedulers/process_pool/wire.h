// Encoder and Decoder: the bytes that a Codec writes and reads; see codec.h.
//
// Threads: one at a time. Both only look at the buffer that they were given. Values lie in it as
// they lie in memory and lengths as variable-length numbers: it is made for processes of one
// machine that run the same program, not for files.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_WIRE_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace plait {

struct CodecLimits {
  // Of a whole encoding.
  size_t max_bytes = size_t{4} << 30;
  // How deep lists, maps, optionals and pointers may lie in one another, so that no input
  // overflows the stack.
  int max_depth = 64;
};

// Writes into a buffer as far as it goes, and goes on counting where it is too small: encode once
// where the value is likely to fit, and again with `needed()` bytes where it did not. Nothing is
// ever allocated, so the buffer may as well be shared memory.
class Encoder {
 public:
  explicit Encoder(absl::Span<char> buffer, const CodecLimits& limits = {}) noexcept
      : buffer_(buffer), limits_(limits) {}
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  void Write(const void* data, size_t size) noexcept {
    char* const to = Reserve(size);
    if (to != nullptr && size != 0) std::memcpy(to, data, size);
  }

  // Room for `size` bytes that the caller fills in; null when there is none, they are then only
  // counted.
  char* Reserve(size_t size) noexcept {
    const size_t at = needed_;
    needed_ += size;
    return needed_ <= buffer_.size() ? buffer_.data() + at : nullptr;
  }

  // A length or an index: 1 byte below 128, at most 10.
  void WriteSize(uint64_t size) noexcept {
    if (size >= 0x80) return WriteLongSize(size);
    const char byte = static_cast<char>(size);
    Write(&byte, 1);
  }

  // The value cannot be encoded; the first reason stays.
  void Fail(absl::string_view why);

  // What the whole value takes, whether it was there or not.
  size_t needed() const noexcept { return needed_; }
  bool fits() const noexcept { return needed_ <= buffer_.size(); }
  // InvalidArgument after a Fail, ResourceExhausted when it takes more than the limit. A buffer
  // that is too small is no error.
  absl::Status status() const;

  // For containers: one level deeper, and back. False, and failed, when it is too deep.
  bool Enter();
  void Leave() noexcept { --depth_; }

 private:
  void WriteLongSize(uint64_t size) noexcept;

  const absl::Span<char> buffer_;
  const CodecLimits limits_;
  size_t needed_ = 0;
  int depth_ = 0;
  absl::Status failed_;
};

// Reads what an Encoder wrote, or anything else: every length is checked against what is left, and
// the first thing that is wrong fails it. Then nothing is left to read, so that whatever comes next
// fails too.
class Decoder {
 public:
  // `bytes` outlives it, and does not change meanwhile.
  explicit Decoder(absl::string_view bytes, const CodecLimits& limits = {});
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // False, and failed, when less than `size` bytes are left.
  [[nodiscard]] bool Read(void* to, size_t size) {
    if (size > left_.size()) [[unlikely]]
      return TooShort(size);
    if (size != 0) std::memcpy(to, left_.data(), size);
    left_.remove_prefix(size);
    return true;
  }

  // The next `size` bytes, where they are.
  std::optional<absl::string_view> ReadView(size_t size) {
    if (size > left_.size()) [[unlikely]] {
      TooShort(size);
      return std::nullopt;
    }
    const absl::string_view view = left_.substr(0, size);
    left_.remove_prefix(size);
    return view;
  }

  // A number that Encoder::WriteSize wrote.
  std::optional<uint64_t> ReadNumber();

  // The number of items that follow, each at least `bytes_each` (not 0) bytes: fails where more are
  // announced than can be there.
  std::optional<size_t> ReadSize(size_t bytes_each = 1);

  // What was read is no value of its type; the first reason stays. For `return in.Fail(...)`.
  std::nullopt_t Fail(absl::string_view why);
  // The same with a code other than DataLoss.
  std::nullopt_t Fail(absl::Status why);

  size_t left() const noexcept { return left_.size(); }
  bool failed() const noexcept { return !failed_.ok(); }
  // DataLoss, as a rule, with the place where it failed.
  const absl::Status& status() const noexcept { return failed_; }
  // At the end of a whole encoding: bytes that are left over are an error as well.
  absl::Status Finish();

  // For containers: one level deeper, and back. False, and failed, when it is too deep.
  bool Enter();
  void Leave() noexcept { --depth_; }

 private:
  bool TooShort(size_t size);

  absl::string_view left_;
  const size_t size_;
  const CodecLimits limits_;
  int depth_ = 0;
  absl::Status failed_;
};

namespace internal {

// One level deeper in an Encoder or a Decoder, for as long as it lives.
template <class Coder>
class [[nodiscard]] CodecLevel {
 public:
  explicit CodecLevel(Coder& coder) : coder_(coder), ok_(coder.Enter()) {}
  CodecLevel(const CodecLevel&) = delete;
  CodecLevel& operator=(const CodecLevel&) = delete;
  ~CodecLevel() { coder_.Leave(); }

  bool ok() const noexcept { return ok_; }

 private:
  Coder& coder_;
  const bool ok_;
};

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_WIRE_H_
