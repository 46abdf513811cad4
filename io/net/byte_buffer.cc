#include "plait/io/net/byte_buffer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "plait/runtime/core/frame_allocator.h"

namespace plait::internal {
namespace {

// Blocks that nobody has. Plain data, and so usable while a thread ends; then it is full for good.
struct SpareBlocks {
  static constexpr int kMost = 4;
  void* blocks[kMost] = {};
  int count = 0;
  bool ended = false;
};
constinit thread_local SpareBlocks spare_blocks;

// Its destructor is the thread's end.
struct BlocksReturn {
  ~BlocksReturn() {
    while (spare_blocks.count > 0) ::operator delete(spare_blocks.blocks[--spare_blocks.count]);
    spare_blocks.ended = true;
  }
  void Arm() const noexcept {}
};
thread_local const BlocksReturn blocks_return;

}  // namespace

ByteBuffer::Block* ByteBuffer::NewBlock(size_t capacity) {
  void* const memory = capacity == kBlock && spare_blocks.count > 0
                           ? spare_blocks.blocks[--spare_blocks.count]
                           : ::operator new(sizeof(Block) + capacity);
  return ::new (memory) Block{0, 0, capacity};
}

void ByteBuffer::FreeBlock(Block* block) noexcept {
  SpareBlocks& spare = spare_blocks;
  // Not where a sanitizer wants to see uses of what was freed.
  if (!kFramesArePooled || block->capacity != kBlock || spare.count == SpareBlocks::kMost ||
      spare.ended) {
    ::operator delete(block);
    return;
  }
  blocks_return.Arm();
  spare.blocks[spare.count++] = block;
}

void ByteBuffer::Append(absl::Span<const char> bytes) {
  if (bytes.empty()) return;
  std::memcpy(Room(bytes.size()).data(), bytes.data(), bytes.size());
  block_->end += bytes.size();
}

void ByteBuffer::Consume(size_t count) noexcept {
  if (block_ == nullptr) return;
  block_->begin += count;
  if (empty()) Clear();
}

size_t ByteBuffer::TakeInto(absl::Span<char> into) noexcept {
  const size_t count = std::min(into.size(), size());
  if (count == 0) return 0;
  std::memcpy(into.data(), view().data(), count);
  Consume(count);
  return count;
}

absl::Span<char> ByteBuffer::Room(size_t at_least) {
  if (block_ == nullptr) {
    if (at_least == 0) return {};
    MoveTo(at_least);
  } else if (block_->capacity - block_->end < at_least) {
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
  return absl::MakeSpan(block_->bytes() + block_->end, block_->capacity - block_->end);
}

void ByteBuffer::Commit(size_t count) noexcept {
  if (block_ == nullptr) return;
  block_->end += count;
  if (empty()) Clear();
}

void ByteBuffer::MoveTo(size_t capacity) {
  Block* const block = NewBlock(capacity);
  if (block_ != nullptr) {
    block->end = size();
    std::memcpy(block->bytes(), view().data(), block->end);
    FreeBlock(block_);
  }
  block_ = block;
}

void ByteBuffer::Trim() {
  if (!empty() && capacity() > 2 * size()) MoveTo(size());
}

void ByteBuffer::Clear() noexcept {
  if (block_ != nullptr) FreeBlock(std::exchange(block_, nullptr));
}

}  // namespace plait::internal
