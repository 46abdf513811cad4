#include "plait/runtime/core/frame_allocator.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"

namespace plait::internal {
namespace {

TEST(FrameAllocatorTest, EveryBlockIsItsOwnersFromEndToEnd) {
  struct Block {
    unsigned char* memory;
    size_t size;
  };
  std::vector<Block> blocks;
  for (int round = 0; round < 3; ++round) {
    for (size_t size = 0; size < 3 * kMaxPooledFrame; size += 7) {
      auto* const memory = static_cast<unsigned char*>(AllocateFrame(size));
      ASSERT_NE(memory, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % alignof(std::max_align_t), 0u);
      std::memset(memory, static_cast<int>(blocks.size() % 251), size);
      blocks.push_back({memory, size});
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      for (size_t at = 0; at < blocks[i].size; ++at) ASSERT_EQ(blocks[i].memory[at], i % 251);
      FreeFrame(blocks[i].memory, blocks[i].size);
    }
    blocks.clear();
  }
}

#if PLAIT_POOL_FRAMES

TEST(FrameAllocatorTest, AFreedBlockServesTheNextOfItsSize) {
  for (const size_t size : {size_t{1}, size_t{64}, size_t{200}, kMaxPooledFrame}) {
    void* const first = AllocateFrame(size);
    FreeFrame(first, size);
    void* const second = AllocateFrame(size);
    EXPECT_EQ(second, first) << size;
    FreeFrame(second, size);
  }
}

TEST(FrameAllocatorTest, AThreadKeepsSoMuchOfASizeAndNoMore) {
  for (const size_t size : {size_t{1}, size_t{64}, size_t{200}, kMaxPooledFrame}) {
    SCOPED_TRACE(size);
    const size_t block = FrameBlockSize(FrameList(size));
    std::vector<void*> blocks;
    for (size_t i = 0; i < 2 * kMaxCachedBytes / block; ++i) blocks.push_back(AllocateFrame(size));
    GiveBackFrames();
    EXPECT_EQ(KeptFrameBytes(), 0u);
    size_t freed = 0;
    for (void* one : blocks) {
      FreeFrame(one, size);
      freed += block;
      ASSERT_EQ(KeptFrameBytes(), std::min(freed, kMaxCachedBytes / block * block));
    }
    // What is taken makes room again.
    FreeFrame(AllocateFrame(size), size);
    EXPECT_EQ(KeptFrameBytes(), kMaxCachedBytes / block * block);
    GiveBackFrames();
    EXPECT_EQ(KeptFrameBytes(), 0u);
    EXPECT_FALSE(KeepsFrames());
  }
}

constexpr size_t kLine = 64;

TEST(FrameAllocatorTest, WhereThreadsStealTheFirstBlocksShareNoCacheLine) {
  Thread thread = StartThread("stealing", [] {
    KeepFramesApart(true);
    std::set<uintptr_t> lines;
    std::vector<std::pair<void*, size_t>> blocks;
    for (int round = 0; round < 3; ++round) {
      for (size_t size = 1; size <= kMaxPooledFrame; size += 5) {
        void* const block = AllocateFrame(size);
        blocks.emplace_back(block, size);
        const auto begin = reinterpret_cast<uintptr_t>(block);
        EXPECT_EQ(begin % kLine, 0u) << size;
        for (uintptr_t line = begin / kLine; line <= (begin + size - 1) / kLine; ++line) {
          EXPECT_TRUE(lines.insert(line).second) << size;
        }
        std::memset(block, 1, size);
      }
    }
    for (const auto& [block, size] : blocks) FreeFrame(block, size);
    EXPECT_GT(KeptFrameBytes(), 0u);
  });
  thread.join();
}

// Of so many new blocks, how many do not begin with a cache line.
int BlocksInsideALine(int count) {
  constexpr size_t kSize = 88;
  std::vector<void*> blocks;
  for (int i = 0; i < count; ++i) blocks.push_back(AllocateFrame(kSize));
  const auto inside = std::count_if(blocks.begin(), blocks.end(), [](const void* block) {
    return reinterpret_cast<uintptr_t>(block) % kLine != 0;
  });
  for (void* const block : blocks) FreeFrame(block, kSize);
  return static_cast<int>(inside);
}

TEST(FrameAllocatorTest, TheManyBlocksOfManyTasksLieSideBySide) {
  Thread thread = StartThread("stealing", [] {
    KeepFramesApart(true);
    EXPECT_EQ(BlocksInsideALine(kApartBlocks), 0);
    GiveBackFrames();  // and begins anew
    EXPECT_EQ(BlocksInsideALine(kApartBlocks), 0);
    EXPECT_GT(BlocksInsideALine(3 * kApartBlocks), kApartBlocks);
    GiveBackFrames();
    KeepFramesApart(false);
    EXPECT_GT(BlocksInsideALine(kApartBlocks), kApartBlocks / 4);
  });
  thread.join();
}

#if defined(__linux__)  // others do not keep to the limit

TEST(FrameAllocatorTest, OutOfMemoryTheNewHandlerIsAsked) {
  static int asked = 0;
  static void (*before)() = nullptr;
  asked = 0;
  GiveBackFrames();
  // All that this process may have.
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &limit), 0);
  before = std::set_new_handler([] {
    ++asked;
    rlimit more;
    getrlimit(RLIMIT_AS, &more);
    more.rlim_cur = more.rlim_max;
    setrlimit(RLIMIT_AS, &more);
  });
  rlimit none = limit;
  none.rlim_cur = 1;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0);
  constexpr size_t kSize = 1000;
  FreeFrameBlock* all = nullptr;
  while (asked == 0) {
    auto* const block = static_cast<FreeFrameBlock*>(AllocateFrame(kSize));
    block->next = all;
    all = block;
  }
  std::set_new_handler(before);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  EXPECT_EQ(asked, 1);
  while (all != nullptr) FreeFrame(std::exchange(all, all->next), kSize);
}

#endif

TEST(FrameAllocatorTest, ABlockServesTheThreadThatFreedIt) {
  constexpr size_t kSize = 96;
  void* const block = AllocateFrame(kSize);
  bool reused = false;
  Thread thread = StartThread("other", [&] {
    FreeFrame(block, kSize);
    void* const again = AllocateFrame(kSize);
    reused = again == block;
    FreeFrame(again, kSize);
  });
  thread.join();
  EXPECT_TRUE(reused);
}

#endif

TEST(FrameAllocatorTest, AThreadThatEndsGivesItsBlocksBack) {
  // What it kept would be reported as a leak, or be found in use: the blocks are freed here, after
  // its end.
  std::vector<void*> blocks;
  Thread thread = StartThread("ending", [&] {
    for (int i = 0; i < 100; ++i) FreeFrame(AllocateFrame(64), 64);
    for (int i = 0; i < 100; ++i) blocks.push_back(AllocateFrame(64));
  });
  thread.join();
  EXPECT_EQ(std::set<void*>(blocks.begin(), blocks.end()).size(), blocks.size());
  for (void* block : blocks) FreeFrame(block, 64);
}

}  // namespace
}  // namespace plait::internal
