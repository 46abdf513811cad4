#include "plait/runtime/core/frame_allocator.h"

#if PLAIT_POOL_FRAMES

#include <algorithm>
#include <iterator>

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

}  // namespace

constinit thread_local FramePool frame_pool;

void FreeFrameSlow(void* frame, size_t index) noexcept {
  FramePool::List& list = frame_pool.lists[index];
  list.room = 0;
  const bool full = list.first != nullptr;
  if (full || pool_return.ended) return ::operator delete(frame);
  list.room = Limit(index);
  frame_pool.in_use = true;
  FreeFrame(frame, FrameBlockSize(index));
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
  for (FramePool::List& list : frame_pool.lists) {
    while (FreeFrameBlock* const block = list.first) {
      list.first = block->next;
      ::operator delete(block);
    }
    list = FramePool::List();  // not in use: the next free begins it anew
  }
  frame_pool.in_use = false;
}

}  // namespace plait::internal

#endif
