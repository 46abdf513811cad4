#include "plait/runtime/core/frame_allocator.h"

#if PLAIT_POOL_FRAMES

#include <algorithm>

namespace plait::internal {
namespace {

// Its destructor is the thread's end.
struct PoolReturn {
  bool ended = false;

  ~PoolReturn() {
    ended = true;
    for (FramePool::List& list : frame_pool.lists) {
      while (FreeFrameBlock* block = list.first) {
        list.first = block->next;
        ::operator delete(block);
      }
      list = FramePool::List();  // with a limit of 0: nothing is kept any more
    }
  }
};
thread_local PoolReturn pool_return;

}  // namespace

constinit thread_local FramePool frame_pool;

void FreeFrameSlow(void* frame, size_t index) noexcept {
  FramePool::List& list = frame_pool.lists[index];
  if (list.limit != 0 || pool_return.ended) return ::operator delete(frame);
  const size_t size = FrameBlockSize(index);
  list.limit = static_cast<uint32_t>(std::max<size_t>(1, kMaxCachedBytes / size));
  FreeFrame(frame, size);
}

}  // namespace plait::internal

#endif
