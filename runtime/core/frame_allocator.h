// Memory for coroutine frames and task states: per-thread free lists by size, so that in the steady state a task costs a
// pop and a push instead of two trips to malloc.
//
// Any thread may free what another allocated; the block then serves the thread that freed it. A thread keeps at most
// kMaxCachedBytes per size and gives them back to the system when it ends. Sizes above kMaxSize go to operator new.
// Under AddressSanitizer and ThreadSanitizer everything does, so that they see every use after free.
#ifndef PLAIT_RUNTIME_CORE_FRAME_ALLOCATOR_H_
#define PLAIT_RUNTIME_CORE_FRAME_ALLOCATOR_H_

#include <cstddef>

namespace plait::internal {

inline constexpr size_t kMaxPooledFrame = 1024;

// Never null: out of memory ends in std::bad_alloc, or std::terminate without exceptions. Aligned for any scalar.
[[nodiscard]] void* AllocateFrame(size_t size);
// `size` is what AllocateFrame was given.
void FreeFrame(void* frame, size_t size) noexcept;

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_FRAME_ALLOCATOR_H_
