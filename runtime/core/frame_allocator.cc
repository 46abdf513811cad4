#include "plait/runtime/core/frame_allocator.h"

#if PLAIT_POOL_FRAMES

#include <algorithm>
#include <iterator>
#include <utility>

#include "plait/runtime/core/atomic.h"

namespace plait::internal {
namespace {

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

void FreeFor(size_t size, void* frame) noexcept {
  ::operator delete(frame);
  frame_pool.freed += size;
}

}  // namespace

constinit thread_local FramePool frame_pool;

void FreeFrameSlow(void* frame, size_t index) noexcept {
  FramePool::List& list = frame_pool.lists[index];
  list.room = 0;
  const bool full = list.first != nullptr;
  if (full || pool_return.ended) return FreeFor(FrameBlockSize(index), frame);
  list.room = Limit(index);
  frame_pool.in_use = true;
  FreeFrame(frame, FrameBlockSize(index));
}

void FreeLargeFrame(void* frame, size_t size) noexcept {
  FreeFor(size, frame);
  frame_pool.in_use = true;
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
      FreeFor(FrameBlockSize(i), block);
    }
    list = FramePool::List();  // not in use: the next free begins it anew
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
