#include "plait/io/net/byte_buffer.h"

#include <algorithm>
#include <cstring>

namespace plait::internal {

void ByteBuffer::Append(absl::Span<const char> bytes) {
  if (bytes.empty()) return;
  std::memcpy(Room(bytes.size()).data(), bytes.data(), bytes.size());
  end_ += bytes.size();
}

void ByteBuffer::Consume(size_t count) noexcept {
  begin_ += count;
  if (empty()) Clear();
}

size_t ByteBuffer::TakeInto(absl::Span<char> into) noexcept {
  const size_t count = std::min(into.size(), size());
  if (count == 0) return 0;
  std::memcpy(into.data(), memory_.get() + begin_, count);
  Consume(count);
  return count;
}

absl::Span<char> ByteBuffer::Room(size_t at_least) {
  if (capacity_ - end_ < at_least) {
    const size_t count = size();
    // To the front only when that is more than half of what there is, so that it pays.
    if (capacity_ - count >= at_least && begin_ >= count) {
      std::memmove(memory_.get(), memory_.get() + begin_, count);
    } else {
      const size_t capacity = std::max(count + at_least, 2 * count);
      // Not make_unique, which would fill it with zeros first.
      std::unique_ptr<char[]> larger(new char[capacity]);
      if (count > 0) std::memcpy(larger.get(), memory_.get() + begin_, count);
      memory_ = std::move(larger);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = count;
  }
  return absl::MakeSpan(memory_.get() + end_, capacity_ - end_);
}

void ByteBuffer::Commit(size_t count) noexcept {
  end_ += count;
  if (empty()) Clear();
}

void ByteBuffer::Clear() noexcept {
  memory_ = nullptr;
  begin_ = end_ = capacity_ = 0;
}

}  // namespace plait::internal
