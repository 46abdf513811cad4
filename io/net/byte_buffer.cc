#include "plait/io/net/byte_buffer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "plait/runtime/core/frame_allocator.h"

namespace plait::internal {

constinit thread_local ByteBuffer::Spare ByteBuffer::spare_;

// Its destructor is the thread's end.
struct ByteBuffer::SpareReturn {
  ~SpareReturn() {
    while (spare_.count > 0) ::operator delete(spare_.blocks[--spare_.count]);
    spare_.most = Spare::kEnded;
  }
  void Arm() const noexcept {}
};

ByteBuffer::Block* ByteBuffer::AllocateBlock(size_t capacity) {
  return ::new (::operator new(sizeof(Block) + capacity)) Block{0, 0, capacity};
}

void ByteBuffer::FreeBlockSlow(Block* block) noexcept {
  // Not where a sanitizer wants to see uses of what was freed.
  if (kFramesArePooled && block->capacity == kBlock && spare_.most == 0) {
    static thread_local const SpareReturn spare_return;
    spare_return.Arm();
    spare_.most = Spare::kMost;
    spare_.blocks[spare_.count++] = block;
    return;
  }
  ::operator delete(block);
}

void ByteBuffer::Append(absl::Span<const char> bytes) {
  if (bytes.empty()) return;
  std::memcpy(Room(bytes.size()).data(), bytes.data(), bytes.size());
  block_->end += bytes.size();
}

size_t ByteBuffer::TakeInto(absl::Span<char> into) noexcept {
  const size_t count = std::min(into.size(), size());
  if (count == 0) return 0;
  std::memcpy(into.data(), view().data(), count);
  Consume(count);
  return count;
}

void ByteBuffer::MakeRoom(size_t at_least) {
  const size_t count = size();
  // To the front only when that is more than half of what there is, so that it pays.
  if (block_->capacity - count >= at_least && block_->begin >= count) {
    std::memmove(block_->bytes(), block_->bytes() + block_->begin, count);
    block_->begin = 0;
    block_->end = count;
  } else {
    MoveTo(std::max(count + at_least, 2 * count));
  }
}

void ByteBuffer::MoveTo(size_t capacity) {
  Block* const block = NewBlock(capacity);
  block->end = size();
  std::memcpy(block->bytes(), view().data(), block->end);
  FreeBlock(std::exchange(block_, block));
}

void ByteBuffer::Trim() {
  if (!empty() && capacity() > 2 * size()) MoveTo(size());
}

}  // namespace plait::internal
