#include "plait/io/net/byte_buffer.h"

#include <algorithm>
#include <cstring>

#include "plait/runtime/core/frame_allocator.h"

namespace plait::internal {
namespace {

// Blocks that nobody has. Plain data, and so usable while a thread ends; then it is full for good.
struct SpareBlocks {
  static constexpr int kMost = 4;
  char* blocks[kMost] = {};
  int count = 0;
  bool ended = false;
};
constinit thread_local SpareBlocks spare_blocks;

// Its destructor is the thread's end.
struct BlocksReturn {
  ~BlocksReturn() {
    while (spare_blocks.count > 0) delete[] spare_blocks.blocks[--spare_blocks.count];
    spare_blocks.ended = true;
  }
  void Arm() const noexcept {}
};
thread_local const BlocksReturn blocks_return;

char* NewMemory(size_t capacity) {
  if (capacity == ByteBuffer::kBlock && spare_blocks.count > 0) {
    return spare_blocks.blocks[--spare_blocks.count];
  }
  return new char[capacity];
}

void FreeMemory(char* memory, size_t capacity) noexcept {
  SpareBlocks& spare = spare_blocks;
  // Not where a sanitizer wants to see uses of what was freed.
  if (!kFramesArePooled || capacity != ByteBuffer::kBlock || spare.count == SpareBlocks::kMost ||
      spare.ended) {
    delete[] memory;
    return;
  }
  blocks_return.Arm();
  spare.blocks[spare.count++] = memory;
}

}  // namespace

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
  std::memcpy(into.data(), memory_ + begin_, count);
  Consume(count);
  return count;
}

absl::Span<char> ByteBuffer::Room(size_t at_least) {
  if (capacity_ - end_ < at_least) {
    const size_t count = size();
    // To the front only when that is more than half of what there is, so that it pays.
    if (capacity_ - count >= at_least && begin_ >= count) {
      std::memmove(memory_, memory_ + begin_, count);
    } else {
      MoveTo(std::max(count + at_least, 2 * count));
    }
    begin_ = 0;
    end_ = count;
  }
  return absl::MakeSpan(memory_ + end_, capacity_ - end_);
}

void ByteBuffer::Commit(size_t count) noexcept {
  end_ += count;
  if (empty()) Clear();
}

void ByteBuffer::MoveTo(size_t capacity) {
  const size_t count = size();
  char* const memory = NewMemory(capacity);
  if (count > 0) std::memcpy(memory, memory_ + begin_, count);
  if (memory_ != nullptr) FreeMemory(memory_, capacity_);
  memory_ = memory;
  capacity_ = capacity;
  begin_ = 0;
  end_ = count;
}

void ByteBuffer::Trim() {
  if (!empty() && capacity_ > 2 * size()) MoveTo(size());
}

void ByteBuffer::Clear() noexcept {
  if (memory_ != nullptr) FreeMemory(memory_, capacity_);
  memory_ = nullptr;
  begin_ = end_ = capacity_ = 0;
}

}  // namespace plait::internal
