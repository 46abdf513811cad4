#include "plait/schedulers/process_pool/process_system.h"

#include <latch>

#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"

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
  for (int i = 0; i < 2000; ++i) {
    StartThread("joined", [] {}).join();
    ASSERT_EQ(ThreadCount(), 1) << "after " << i;
  }
}

}  // namespace
}  // namespace plait::internal::pool_system
