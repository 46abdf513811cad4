// What the compiler calls at each access to memory in code that is built with -fsanitize=thread.
//
// ThreadSanitizer's own runtime is not linked: these take its place, and tell the explorer of the
// plain accesses of the code under test, so that data races and uses of freed memory are found in
// every execution without a mark in the code. Operations of std::atomic's, which Abseil and the C++
// library have inside, come here too; ours go through Atomic<T>.
#if defined(PLAIT_EXPLORE)

#include <malloc.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/testing/explorer/execution.h"

namespace {

using plait::explorer::Execution;
using plait::explorer::InsideExplorer;
using plait::explorer::PlainMemory;
using plait::internal::MemoryOrder;

inline void Note(const void* at, size_t size, PlainMemory::Kind kind, const void* code) noexcept {
  if (Execution::Current() == nullptr || size == 0) return;
  InsideExplorer().execution().Access(at, size, kind, code);
}

inline void NoteAtomic(const volatile void* at, size_t size, bool writes, int order,
                       const void* code) noexcept {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().RawAtomic(const_cast<const void*>(at), size, writes,
                                         static_cast<MemoryOrder>(order), code);
}

}  // namespace

#define PLAIT_CODE __builtin_return_address(0)

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void** at, void*) {
  Note(at, sizeof(*at), PlainMemory::kWrite, PLAIT_CODE);
}
void __tsan_vptr_read(void** at) { Note(at, sizeof(*at), PlainMemory::kRead, PLAIT_CODE); }

#define PLAIT_ACCESSES(bytes)                                                                      \
  void __tsan_read##bytes(void* at) { Note(at, bytes, PlainMemory::kRead, PLAIT_CODE); }           \
  void __tsan_write##bytes(void* at) { Note(at, bytes, PlainMemory::kWrite, PLAIT_CODE); }         \
  void __tsan_volatile_read##bytes(void* at) { Note(at, bytes, PlainMemory::kRead, PLAIT_CODE); }  \
  void __tsan_volatile_write##bytes(void* at) {                                                    \
    Note(at, bytes, PlainMemory::kWrite, PLAIT_CODE);                                              \
  }                                                                                                \
  void __tsan_unaligned_read##bytes(void* at) { Note(at, bytes, PlainMemory::kRead, PLAIT_CODE); } \
  void __tsan_unaligned_write##bytes(void* at) {                                                   \
    Note(at, bytes, PlainMemory::kWrite, PLAIT_CODE);                                              \
  }                                                                                                \
  void __tsan_read_write##bytes(void* at) { Note(at, bytes, PlainMemory::kWrite, PLAIT_CODE); }    \
  void __tsan_unaligned_read_write##bytes(void* at) {                                              \
    Note(at, bytes, PlainMemory::kWrite, PLAIT_CODE);                                              \
  }
PLAIT_ACCESSES(1)
PLAIT_ACCESSES(2)
PLAIT_ACCESSES(4)
PLAIT_ACCESSES(8)
PLAIT_ACCESSES(16)
#undef PLAIT_ACCESSES

void __tsan_read_range(void* at, size_t size) { Note(at, size, PlainMemory::kRead, PLAIT_CODE); }
void __tsan_write_range(void* at, size_t size) { Note(at, size, PlainMemory::kWrite, PLAIT_CODE); }

void* __tsan_memcpy(void* to, const void* from, size_t size) {
  Note(from, size, PlainMemory::kRead, PLAIT_CODE);
  Note(to, size, PlainMemory::kWrite, PLAIT_CODE);
  return std::memcpy(to, from, size);
}
void* __tsan_memmove(void* to, const void* from, size_t size) {
  Note(from, size, PlainMemory::kRead, PLAIT_CODE);
  Note(to, size, PlainMemory::kWrite, PLAIT_CODE);
  return std::memmove(to, from, size);
}
void* __tsan_memset(void* to, int value, size_t size) {
  Note(to, size, PlainMemory::kWrite, PLAIT_CODE);
  return std::memset(to, value, size);
}

#define PLAIT_MODIFY(bits, name, builtin)                                                        \
  uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t* at, uint##bits##_t value, \
                                              int order) {                                       \
    NoteAtomic(at, bits / 8, true, order, PLAIT_CODE);                                           \
    return builtin(at, value, __ATOMIC_SEQ_CST);                                                 \
  }
#define PLAIT_COMPARE(bits, name)                                                           \
  int __tsan_atomic##bits##_compare_exchange_##name(volatile uint##bits##_t* at,            \
                                                    uint##bits##_t* expected,               \
                                                    uint##bits##_t value, int order, int) { \
    NoteAtomic(at, bits / 8, true, order, PLAIT_CODE);                                      \
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST,        \
                                       __ATOMIC_SEQ_CST);                                   \
  }
#define PLAIT_ATOMICS(bits)                                                                        \
  uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t* at, int order) {        \
    NoteAtomic(at, bits / 8, false, order, PLAIT_CODE);                                            \
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                  \
  }                                                                                                \
  void __tsan_atomic##bits##_store(volatile uint##bits##_t* at, uint##bits##_t value, int order) { \
    NoteAtomic(at, bits / 8, true, order, PLAIT_CODE);                                             \
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                 \
  }                                                                                                \
  PLAIT_MODIFY(bits, exchange, __atomic_exchange_n)                                                \
  PLAIT_MODIFY(bits, fetch_add, __atomic_fetch_add)                                                \
  PLAIT_MODIFY(bits, fetch_sub, __atomic_fetch_sub)                                                \
  PLAIT_MODIFY(bits, fetch_and, __atomic_fetch_and)                                                \
  PLAIT_MODIFY(bits, fetch_or, __atomic_fetch_or)                                                  \
  PLAIT_MODIFY(bits, fetch_xor, __atomic_fetch_xor)                                                \
  PLAIT_MODIFY(bits, fetch_nand, __atomic_fetch_nand)                                              \
  PLAIT_COMPARE(bits, strong)                                                                      \
  PLAIT_COMPARE(bits, weak)                                                                        \
  uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                                       \
      volatile uint##bits##_t* at, uint##bits##_t expected, uint##bits##_t value, int order,       \
      int) {                                                                                       \
    NoteAtomic(at, bits / 8, true, order, PLAIT_CODE);                                             \
    __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
    return expected;                                                                               \
  }
PLAIT_ATOMICS(8)
PLAIT_ATOMICS(16)
PLAIT_ATOMICS(32)
PLAIT_ATOMICS(64)
#undef PLAIT_ATOMICS
#undef PLAIT_COMPARE
#undef PLAIT_MODIFY

void __tsan_atomic_thread_fence(int order) {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().Fence(static_cast<MemoryOrder>(order), nullptr);
}
void __tsan_atomic_signal_fence(int) {}

}  // extern "C"

// --- the heap ---

namespace {

void* Allocate(size_t size, size_t alignment = 0) noexcept {
  void* memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size == 0 ? 1 : size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}

void Free(void* memory, const void* code) noexcept {
  if (memory == nullptr) return;
  if (Execution::Current() == nullptr) {
    std::free(memory);
    return;
  }
  InsideExplorer().execution().Free(memory, malloc_usable_size(memory), code);
}

}  // namespace

void* operator new(size_t size) { return Allocate(size); }
void* operator new[](size_t size) { return Allocate(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { Free(memory, PLAIT_CODE); }
void operator delete[](void* memory) noexcept { Free(memory, PLAIT_CODE); }
void operator delete(void* memory, size_t) noexcept { Free(memory, PLAIT_CODE); }
void operator delete[](void* memory, size_t) noexcept { Free(memory, PLAIT_CODE); }
void operator delete(void* memory, std::align_val_t) noexcept { Free(memory, PLAIT_CODE); }
void operator delete[](void* memory, std::align_val_t) noexcept { Free(memory, PLAIT_CODE); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { Free(memory, PLAIT_CODE); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept {
  Free(memory, PLAIT_CODE);
}

#endif  // defined(PLAIT_EXPLORE)
