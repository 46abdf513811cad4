#include "plait/runtime/testing/allocations.h"

#include <cstdlib>
#include <new>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/frame_allocator.h"

namespace plait {
namespace {

constinit internal::Atomic<int64_t> allocations{0};

void Count() noexcept { allocations.fetch_add(1, internal::kRelaxed); }

#if PLAIT_POOL_FRAMES
[[maybe_unused]] const bool counts_blocks = [] {
  internal::frame_block_observer = Count;
  return true;
}();
#endif

void* Allocate(std::size_t size) {
  Count();
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}

void* AllocateAligned(std::size_t size, std::align_val_t alignment) {
  Count();
  const auto align = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(align, (size + align - 1) / align * align);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

int64_t AllocationCount() noexcept { return allocations.load(internal::kRelaxed); }

bool FramesArePooled() {
  constexpr std::size_t kSize = 128;
  internal::FreeFrame(internal::AllocateFrame(kSize), kSize);
  const int64_t before = AllocationCount();
  internal::FreeFrame(internal::AllocateFrame(kSize), kSize);
  return AllocationCount() == before;
}

}  // namespace plait

void* operator new(std::size_t size) { return plait::Allocate(size); }
void* operator new[](std::size_t size) { return plait::Allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return plait::Allocate(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return plait::Allocate(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return plait::AllocateAligned(size, alignment);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return plait::AllocateAligned(size, alignment);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
