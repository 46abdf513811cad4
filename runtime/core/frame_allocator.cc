#include "plait/runtime/core/frame_allocator.h"

#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIT_POOL_FRAMES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PLAIT_POOL_FRAMES 0
#endif
#endif
#ifndef PLAIT_POOL_FRAMES
#define PLAIT_POOL_FRAMES 1
#endif

namespace plait::internal {
#if PLAIT_POOL_FRAMES
namespace {

constexpr size_t kGranule = 16;
constexpr size_t kClasses = kMaxPooledFrame / kGranule;
constexpr size_t kMaxCachedBytes = 256 * 1024;  // per size class and thread

struct FreeBlock {
  FreeBlock* next;
};

struct Pool {
  FreeBlock* free[kClasses] = {};
  uint32_t count[kClasses] = {};
  bool ended = false;  // the thread is ending: nothing is kept any more
};

// Plain data, so that it is reached without a guard and stays usable while other thread-locals are destroyed.
constinit thread_local Pool pool;

// Its destructor is the thread's end. Touched only where a block is kept for the first time after a list was empty.
struct PoolReturn {
  ~PoolReturn() {
    pool.ended = true;
    for (size_t c = 0; c < kClasses; ++c) {
      while (FreeBlock* block = pool.free[c]) {
        pool.free[c] = block->next;
        ::operator delete(block);
      }
      pool.count[c] = 0;
    }
  }
  void Touch() {}
};
thread_local PoolReturn pool_return;

constexpr size_t ClassOf(size_t size) { return (size + kGranule - 1) / kGranule - 1; }

}  // namespace

void* AllocateFrame(size_t size) {
  if (size == 0 || size > kMaxPooledFrame) return ::operator new(size);
  const size_t c = ClassOf(size);
  FreeBlock* block = pool.free[c];
  if (block != nullptr) [[likely]] {
    pool.free[c] = block->next;
    --pool.count[c];
    return block;
  }
  return ::operator new((c + 1) * kGranule);
}

void FreeFrame(void* frame, size_t size) noexcept {
  if (size == 0 || size > kMaxPooledFrame) return ::operator delete(frame);
  const size_t c = ClassOf(size);
  const uint32_t count = pool.count[c];
  if (count == 0) [[unlikely]] {
    if (pool.ended) return ::operator delete(frame);
    pool_return.Touch();
  } else if (count * (c + 1) * kGranule >= kMaxCachedBytes) [[unlikely]] {
    return ::operator delete(frame);
  }
  auto* block = static_cast<FreeBlock*>(frame);
  block->next = pool.free[c];
  pool.free[c] = block;
  pool.count[c] = count + 1;
}

#else

void* AllocateFrame(size_t size) { return ::operator new(size); }
void FreeFrame(void* frame, size_t) noexcept { ::operator delete(frame); }

#endif
}  // namespace plait::internal
