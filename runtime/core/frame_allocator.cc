#include "plait/runtime/core/frame_allocator.h"

#if PLAIT_POOL_FRAMES

#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <new>
#include <utility>

#include "plait/runtime/core/atomic.h"

namespace plait::internal {
namespace {

#if defined(__APPLE__) && defined(__aarch64__)
constexpr size_t kLine = 128;
#else
constexpr size_t kLine = 64;
#endif

void* TryNewBlock(size_t list) noexcept {
  const size_t size = FrameBlockSize(list);
  int32_t& apart = frame_pool.lists[list].apart;
  if (apart <= 0) return std::malloc(size);
  --apart;
  // Up to the end of a line, or almost: there malloc has its word for the block behind.
  constexpr size_t kWord = sizeof(size_t);
  const size_t whole = (size + kWord + kLine - 1) / kLine * kLine - kWord;
  void* block = nullptr;
  return ::posix_memalign(&block, kLine, whole) == 0 ? block : nullptr;
}

[[noreturn]] void OutOfMemory() {
#if defined(__cpp_exceptions)
  throw std::bad_alloc();
#else
  std::terminate();
#endif
}

constexpr int32_t Limit(size_t list) {
  return static_cast<int32_t>(std::max<size_t>(1, kMaxCachedBytes / FrameBlockSize(list)));
}

// Its destructor is the thread's end.
struct PoolReturn {
  bool ended = false;

  ~PoolReturn() {
    ended = true;  // from now on no list comes into use
    GiveBackFrames();
  }
};
thread_local PoolReturn pool_return;

// Relaxed: it only says when it is worth while to look for memory that is free.
constinit Atomic<size_t> bytes_freed{0};

void FreeBlock(size_t list, void* block) noexcept {
  std::free(block);
  frame_pool.freed += FrameBlockSize(list);
}

}  // namespace

constinit thread_local FramePool frame_pool;
constinit FrameBlockObserver frame_block_observer = nullptr;

void* NewFrameBlock(size_t list) {
  if (frame_block_observer != nullptr) [[unlikely]]
    frame_block_observer();
  for (;;) {
    if (void* const block = TryNewBlock(list)) [[likely]]
      return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) OutOfMemory();
    handler();
  }
}

void FreeFrameSlow(void* frame, size_t index) noexcept {
  FramePool::List& list = frame_pool.lists[index];
  list.room = 0;
  const bool full = list.first != nullptr;
  if (full || pool_return.ended) return FreeBlock(index, frame);
  list.room = Limit(index);
  frame_pool.in_use = true;
  FreeFrame(frame, FrameBlockSize(index));
}

void FreeLargeFrame(void* frame, size_t size) noexcept {
  ::operator delete(frame);
  frame_pool.freed += size;
  frame_pool.in_use = true;
}

void KeepFramesApart(bool steals) noexcept {
  frame_pool.steals = steals;
  for (FramePool::List& list : frame_pool.lists) list.apart = steals ? kApartBlocks : 0;
}

size_t KeptFrameBytes() noexcept {
  size_t bytes = 0;
  for (size_t i = 0; i < std::size(frame_pool.lists); ++i) {
    const FramePool::List& list = frame_pool.lists[i];
    if (list.first == nullptr) continue;
    bytes += static_cast<size_t>(Limit(i) - list.room) * FrameBlockSize(i);
  }
  return bytes;
}

void GiveBackFrames() noexcept {
  for (size_t i = 0; i < std::size(frame_pool.lists); ++i) {
    FramePool::List& list = frame_pool.lists[i];
    while (FreeFrameBlock* const block = list.first) {
      list.first = block->next;
      FreeBlock(i, block);
    }
    list = FramePool::List();  // not in use: the next free begins it anew
    if (frame_pool.steals) list.apart = kApartBlocks;
  }
  bytes_freed.fetch_add(std::exchange(frame_pool.freed, 0), kRelaxed);
  frame_pool.in_use = false;
}

bool FramesWereFreed(size_t at_least) noexcept {
  // Of two that ask at once, one is told so.
  return bytes_freed.load(kRelaxed) >= at_least && bytes_freed.exchange(0, kRelaxed) >= at_least;
}

}  // namespace plait::internal

#endif
