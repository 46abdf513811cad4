#include "plait/runtime/testing/guarded_buffer.h"

#include <errno.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace plait {
namespace {

TEST(GuardedBufferTest, HoldsItsContent) {
  const GuardedBuffer buffer("abc");
  EXPECT_EQ(buffer.size(), 3u);
  EXPECT_EQ(buffer.text(3), "abc");
}

TEST(GuardedBufferTest, OneByteTooManyIsAFault) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const GuardedBuffer buffer(10);
  EXPECT_EQ(::write(ends[1], buffer.data() + 10, 1), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(::write(ends[1], buffer.data(), 10), 10);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(GuardedBufferTest, TheKernelCannotWriteToAReleasedBuffer) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  GuardedBuffer buffer(10);
  char* const data = buffer.data();
  buffer.Release();
  buffer.Release();
  EXPECT_EQ(::read(ends[0], data, 10), -1);
  EXPECT_EQ(errno, EFAULT);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace plait
