// ByteBuffer: bytes that wait, first in, first out, in one piece. Without bytes it is one word, and
// has no memory.
//
//   buffer.Append(absl::MakeConstSpan(data, size));
//   buffer.Consume(Use(buffer.view()));
//
// Room and Commit let somebody else write the bytes, the kernel say. What view and Room give is
// valid until the next call of anything that is not const. Cost: each byte is moved a constant
// number of times, however the calls are mixed. Blocks of kBlock bytes, which is what to ask Room
// for where nobody knows how much will come, are kept by the thread that gave the last ones back:
// one connection after another reads into the same few, which are in the cache.
#ifndef PLAIT_IO_NET_BYTE_BUFFER_H_
#define PLAIT_IO_NET_BYTE_BUFFER_H_

#include <cstddef>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace plait::internal {

class ByteBuffer {
 public:
  static constexpr size_t kBlock = size_t{16} << 10;

  ByteBuffer() = default;
  ~ByteBuffer() { Clear(); }
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;

  bool empty() const noexcept { return size() == 0; }
  size_t size() const noexcept { return block_ == nullptr ? 0 : block_->end - block_->begin; }
  // Memory that it has now for bytes.
  size_t capacity() const noexcept { return block_ == nullptr ? 0 : block_->capacity; }
  absl::string_view view() const noexcept {
    if (block_ == nullptr) return {};
    return {block_->bytes() + block_->begin, block_->end - block_->begin};
  }

  void Append(absl::Span<const char> bytes);
  // Takes the first `count` bytes away; there are so many.
  void Consume(size_t count) noexcept {
    if (block_ == nullptr) return;
    block_->begin += count;
    if (empty()) Clear();
  }
  // Moves up to `into.size()` bytes there; how many.
  size_t TakeInto(absl::Span<char> into) noexcept;

  // At least `at_least` bytes behind those that are here.
  absl::Span<char> Room(size_t at_least) {
    if (block_ == nullptr) {
      if (at_least == 0) return {};
      block_ = NewBlock(at_least);
    } else if (block_->capacity - block_->end < at_least) {
      MakeRoom(at_least);
    }
    return absl::MakeSpan(block_->bytes() + block_->end, block_->capacity - block_->end);
  }
  // The first `count` bytes of the room are filled. 0 gives the memory of an empty buffer back.
  void Commit(size_t count) noexcept {
    if (block_ == nullptr) return;
    block_->end += count;
    if (empty()) Clear();
  }

  // Gives back memory that it does not need for what it has.
  void Trim();

  void Clear() noexcept {
    if (block_ != nullptr) FreeBlock(std::exchange(block_, nullptr));
  }
  void Swap(ByteBuffer& other) noexcept { std::swap(block_, other.block_); }

 private:
  // What stands in front of the bytes.
  struct Block {
    size_t begin;  // of those that are here
    size_t end;
    size_t capacity;

    // In the same block of memory, right behind this.
    char* bytes() noexcept { return reinterpret_cast<char*>(this + 1); }
  };

  // Blocks of kBlock bytes that nobody has. Plain data, and so usable while a thread ends.
  struct Spare {
    static constexpr int kMost = 4;
    static constexpr int kEnded = -1;
    Block* blocks[kMost] = {};
    int count = 0;
    int most = 0;  // that it keeps: 0 before the first, kEnded once the thread ends
  };
  [[gnu::tls_model("initial-exec")]] static constinit thread_local Spare spare_;
  struct SpareReturn;

  static Block* NewBlock(size_t capacity) {
    if (capacity == kBlock && spare_.count > 0) [[likely]] {
      Block* const block = spare_.blocks[--spare_.count];
      block->begin = block->end = 0;
      return block;
    }
    return AllocateBlock(capacity);
  }
  static void FreeBlock(Block* block) noexcept {
    if (block->capacity == kBlock && spare_.count < spare_.most) [[likely]] {
      spare_.blocks[spare_.count++] = block;
    } else {
      FreeBlockSlow(block);
    }
  }
  static Block* AllocateBlock(size_t capacity);
  static void FreeBlockSlow(Block* block) noexcept;
  // Of a block that has less.
  void MakeRoom(size_t at_least);
  // Moves what it has, in a block, to memory of that size.
  void MoveTo(size_t capacity);

  Block* block_ = nullptr;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_BYTE_BUFFER_H_
