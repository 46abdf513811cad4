#include "plait/io/net/byte_buffer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/allocations.h"

namespace plait::internal {
namespace {

absl::Span<const char> Bytes(absl::string_view text) {
  return absl::MakeConstSpan(text.data(), text.size());
}

TEST(ByteBufferTest, WithoutBytesItHasNoMemory) {
  ByteBuffer buffer;
  EXPECT_EQ(buffer.capacity(), 0u);
  buffer.Append({});
  EXPECT_EQ(buffer.capacity(), 0u);
  buffer.Append(Bytes("abc"));
  EXPECT_GE(buffer.capacity(), 3u);
  buffer.Consume(3);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.capacity(), 0u);
  EXPECT_GE(buffer.Room(10).size(), 10u);
  buffer.Commit(0);
  EXPECT_EQ(buffer.capacity(), 0u);
}

TEST(ByteBufferTest, RoomKeepsWhatIsThere) {
  ByteBuffer buffer;
  buffer.Append(Bytes("abcdef"));
  buffer.Consume(4);
  const absl::Span<char> room = buffer.Room(100);
  ASSERT_GE(room.size(), 100u);
  std::fill_n(room.begin(), 3, 'x');
  buffer.Commit(3);
  EXPECT_EQ(buffer.view(), "efxxx");
}

TEST(ByteBufferTest, TakesAsMuchAsThereIsAndAsFits) {
  ByteBuffer buffer;
  char into[4];
  EXPECT_EQ(buffer.TakeInto(absl::MakeSpan(into)), 0u);
  buffer.Append(Bytes("abcdef"));
  EXPECT_EQ(buffer.TakeInto(absl::MakeSpan(into)), 4u);
  EXPECT_EQ(absl::string_view(into, 4), "abcd");
  EXPECT_EQ(buffer.TakeInto(absl::MakeSpan(into)), 2u);
  EXPECT_EQ(absl::string_view(into, 2), "ef");
}

TEST(ByteBufferTest, BytesComeOutInOrderHoweverTheCallsAreMixed) {
  std::mt19937 generator(1);
  ByteBuffer buffer;
  std::string expected;
  char next = 0;
  for (int i = 0; i < 20'000; ++i) {
    const size_t count = generator() % 100;
    switch (generator() % 3) {
      case 0: {
        std::string bytes(count, '\0');
        for (char& byte : bytes) byte = next++;
        buffer.Append(Bytes(bytes));
        expected += bytes;
        break;
      }
      case 1: {
        const absl::Span<char> room = buffer.Room(count + 1);
        for (size_t k = 0; k < count; ++k) expected += room[k] = next++;
        buffer.Commit(count);
        break;
      }
      default: {
        const size_t taken = std::min<size_t>(3 * count / 2, buffer.size());
        buffer.Consume(taken);
        expected.erase(0, taken);
      }
    }
    ASSERT_TRUE(buffer.view() == expected) << "after " << i << " calls";
  }
}

TEST(ByteBufferTest, TrimKeepsWhatIsThereAndNoMoreMemoryThanThat) {
  ByteBuffer buffer;
  ASSERT_GE(buffer.Room(ByteBuffer::kBlock).size(), ByteBuffer::kBlock);
  buffer.Commit(0);
  std::fill_n(buffer.Room(ByteBuffer::kBlock).begin(), 10, 'x');
  buffer.Commit(10);
  buffer.Consume(3);
  buffer.Trim();
  EXPECT_EQ(buffer.view(), "xxxxxxx");
  EXPECT_EQ(buffer.capacity(), 7u);
  buffer.Append(Bytes("yz"));
  EXPECT_EQ(buffer.view(), "xxxxxxxyz");
}

TEST(ByteBufferTest, BlocksGoFromOneBufferToTheNext) {
  const int64_t before = AllocationCount();
  for (int i = 0; i < 10; ++i) {
    ByteBuffer first;
    ByteBuffer second;
    for (ByteBuffer* const buffer : {&first, &second}) {
      std::fill_n(buffer->Room(ByteBuffer::kBlock).begin(), 1, 'x');
      buffer->Commit(1);
    }
  }
  EXPECT_LE(AllocationCount() - before, FramesArePooled() ? 3 : 21);
}

TEST(ByteBufferTest, ManyBlocksAtOnceAreGivenBack) {
  std::vector<ByteBuffer> buffers(100);
  for (ByteBuffer& buffer : buffers) {
    std::fill_n(buffer.Room(ByteBuffer::kBlock).begin(), 1, 'x');
    buffer.Commit(1);
  }
  for (ByteBuffer& buffer : buffers) buffer.Consume(1);
  for (const ByteBuffer& buffer : buffers) EXPECT_EQ(buffer.capacity(), 0u);
}

TEST(ByteBufferTest, MemoryFollowsTheBytesThatWaitNotThoseThatCameThrough) {
  ByteBuffer buffer;
  buffer.Append(Bytes("x"));
  for (int i = 0; i < 100'000; ++i) {
    buffer.Append(Bytes("0123456789"));
    buffer.Consume(10);
  }
  EXPECT_LT(buffer.capacity(), 100u);
}

}  // namespace
}  // namespace plait::internal
