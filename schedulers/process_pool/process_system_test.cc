#include "plait/schedulers/process_pool/process_system.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <latch>
#include <string>

#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::internal::pool_system {
namespace {

TEST(ProcessSystemTest, ThreadsAreCountedWhileTheyRun) {
  EXPECT_EQ(ThreadCount(), 1);
  std::latch started(3);
  std::latch enough(1);
  const auto body = [&] {
    started.count_down();
    enough.wait();
  };
  // With a name that is hard to read.
  Thread one = StartThread("a) R 1 (", body);
  Thread other = StartThread("other", body);
  started.arrive_and_wait();
  EXPECT_EQ(ThreadCount(), 3);
  enough.count_down();
  one.join();
  other.join();
  EXPECT_EQ(ThreadCount(), 1);
}

// The system lists a thread for a moment more, and a pool could not be forked after it.
TEST(ProcessSystemTest, AThreadThatWasJoinedIsNotCounted) {
  for (int i = 0; i < Repeats(2000); ++i) {
    StartThread("joined", [] {}).join();
    ASSERT_EQ(ThreadCount(), 1) << "after " << i;
  }
}

// Fills it.
void Fill(int fd) {
  while (WriteWithoutWaiting(fd, std::string(4096, 'x')) > 0) continue;
}

TEST(ProcessSystemTest, WhatIsOpenedWithoutWaitingDoesNotWaitAndTheOtherStaysAsItIs) {
  int ends[2];
  ASSERT_EQ(CreatePipe(ends), 0);
  const int writer = OpenWithoutWaiting(ends[1]);
  ASSERT_GE(writer, 0);
  EXPECT_EQ(::fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(writer, F_GETFD), FD_CLOEXEC);
  Fill(writer);
  EXPECT_EQ(WriteWithoutWaiting(writer, "x"), -EAGAIN);
  char byte = 0;
  EXPECT_EQ(Read(ends[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  ::close(ends[1]);
  ::close(writer);
  ::close(ends[0]);
}

TEST(ProcessSystemTest, NorDoesASocketThatIsFullOrGone) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const int writer = OpenWithoutWaiting(ends[1]);
  ASSERT_GE(writer, 0);
  Fill(writer);
  EXPECT_EQ(WriteWithoutWaiting(writer, "x"), -EAGAIN);
  ::close(ends[0]);
  EXPECT_EQ(WriteWithoutWaiting(writer, "x"), -EPIPE);
  ::close(ends[1]);
  ::close(writer);
}

TEST(ProcessSystemTest, AFileIsWrittenToWhereItsOtherWritersAre) {
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(::write(::fileno(file), "ab", 2), 2);
  const int copy = OpenWithoutWaiting(::fileno(file));
  EXPECT_EQ(WriteWithoutWaiting(copy, "cd"), 2);
  char text[8];
  EXPECT_EQ(::pread(::fileno(file), text, sizeof text, 0), 4);
  EXPECT_EQ(std::string(text, 4), "abcd");
  ::close(copy);
  std::fclose(file);
  EXPECT_EQ(OpenWithoutWaiting(-1), -EBADF);
}

}  // namespace
}  // namespace plait::internal::pool_system
