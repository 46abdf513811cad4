// Memory for coroutine frames and task states: per-thread free lists by size, so that in the steady
// state a task costs a pop and a push, inline, instead of two trips to malloc.
//
// Any thread may free what another allocated; the block then serves the thread that freed it. A
// thread keeps about kMaxCachedBytes per size, and gives them back to the allocator when it has
// been idle for a while (idle_frames.h, which gives what is free there back to the system too) and
// when it ends.
//
// Where threads steal from each other, the first kApartBlocks of a size that such a thread takes
// from the allocator share no cache line with others: stolen work is freed by the thief, in whose
// lists its block then lies between those of its owner's, and two threads that write to one line
// slow each other down (with two threads fib(39) is 1.9 times as fast as with one, else 1.6 times).
// Forks need few blocks, again and again; so many tasks that those are used up do not pay for it,
// which with glibc is 100 bytes and more a block.
//
// Blocks come from malloc and posix_memalign, and go to free. Sizes above kMaxPooledFrame go to
// operator new. Under AddressSanitizer and ThreadSanitizer everything does, so that they see every
// use after free.
#ifndef PLAIT_RUNTIME_CORE_FRAME_ALLOCATOR_H_
#define PLAIT_RUNTIME_CORE_FRAME_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIT_POOL_FRAMES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PLAIT_POOL_FRAMES 0
#endif
#endif
#ifndef PLAIT_POOL_FRAMES
#define PLAIT_POOL_FRAMES 1
#endif

namespace plait::internal {

inline constexpr size_t kMaxPooledFrame = 1016;
inline constexpr bool kFramesArePooled = PLAIT_POOL_FRAMES != 0;

#if PLAIT_POOL_FRAMES

// Block sizes are 8, 24, 40, ...: with malloc's header of 8 bytes they fill its units of 16.
inline constexpr size_t kFrameGranule = 16;
constexpr size_t FrameList(size_t size) { return (size + 7) / kFrameGranule; }
constexpr size_t FrameBlockSize(size_t list) { return list * kFrameGranule + 8; }
inline constexpr size_t kMaxCachedBytes = 256 * 1024;  // per size and thread
inline constexpr int32_t kApartBlocks = 256;           // the same

struct FreeFrameBlock {
  FreeFrameBlock* next;
};

struct FramePool {
  struct List {
    FreeFrameBlock* first = nullptr;
    int32_t room = 0;   // how many more it keeps; 0 also where it is not in use
    int32_t apart = 0;  // how many new blocks are yet to share no cache line
  };
  List lists[FrameList(kMaxPooledFrame) + 1];
  bool in_use = false;  // one of them is, or something was freed
  bool steals = false;  // its thread does, and is stolen from
  size_t freed = 0;     // bytes, to the allocator
};

// Plain data, so that it is reached without a guard and stays usable while other thread-locals are
// destroyed.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local FramePool frame_pool;

// A new block for the list. As AllocateFrame, never null.
[[nodiscard, gnu::returns_nonnull]] void* NewFrameBlock(size_t list);
// Called by NewFrameBlock, where it is not null: for tests that count. To be set before there are
// threads.
using FrameBlockObserver = void (*)() noexcept;
extern constinit FrameBlockObserver frame_block_observer;

// With the list's room at -1. Keeps the block where the list was not in use; gives it to the
// allocator where it is full or the thread is ending.
void FreeFrameSlow(void* frame, size_t list) noexcept;

void FreeLargeFrame(void* frame, size_t size) noexcept;

// Said by executors whose threads steal, on each of these.
void KeepFramesApart(bool steals) noexcept;

// What the calling thread keeps, in bytes.
size_t KeptFrameBytes() noexcept;
// Whether that may be more than nothing, or the thread has given something to the allocator since
// GiveBackFrames. A load.
inline bool KeepsFrames() noexcept { return frame_pool.in_use; }
// Gives back all that the calling thread keeps.
void GiveBackFrames() noexcept;
// Whether threads have given so many bytes to the allocator, by their last GiveBackFrames, since
// this was true.
bool FramesWereFreed(size_t at_least) noexcept;

// Never null: out of memory ends in std::bad_alloc, or in std::terminate without exceptions.
// Aligned for any scalar.
[[nodiscard]] inline void* AllocateFrame(size_t size) {
  if (size > kMaxPooledFrame) [[unlikely]]
    return ::operator new(size);
  const size_t index = FrameList(size);
  FramePool::List& list = frame_pool.lists[index];
  FreeFrameBlock* const block = list.first;
  if (block == nullptr) [[unlikely]]
    return NewFrameBlock(index);
  list.first = block->next;
  ++list.room;
  return block;
}

// `size` is what AllocateFrame was given.
inline void FreeFrame(void* frame, size_t size) noexcept {
  if (size > kMaxPooledFrame) [[unlikely]]
    return FreeLargeFrame(frame, size);
  const size_t index = FrameList(size);
  FramePool::List& list = frame_pool.lists[index];
  if (--list.room < 0) [[unlikely]]
    return FreeFrameSlow(frame, index);
  auto* const block = static_cast<FreeFrameBlock*>(frame);
  block->next = list.first;
  list.first = block;
}

#else

[[nodiscard]] inline void* AllocateFrame(size_t size) { return ::operator new(size); }
inline void FreeFrame(void* frame, size_t) noexcept { ::operator delete(frame); }
inline void KeepFramesApart(bool) noexcept {}
inline size_t KeptFrameBytes() noexcept { return 0; }
inline bool KeepsFrames() noexcept { return false; }
inline void GiveBackFrames() noexcept {}
inline bool FramesWereFreed(size_t) noexcept { return false; }

#endif

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_FRAME_ALLOCATOR_H_
