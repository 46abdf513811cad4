// What the system says of threads.
#include "plait/runtime/core/environment.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/testing/until.h"

namespace plait::internal {
namespace {

TEST(EnvironmentTest, AThreadThatWaitsIsSeenToAndDoesNotRunMeanwhile) {
  Atomic<int64_t> number{0};
  absl::Notification release;
  Thread thread = StartThread("waits", [&] {
    number.store(ThreadNumber());
    release.WaitForNotification();
  });
  // What it waits for first may be a page.
  ThreadActivity before;
  Until([&] {
    const ThreadActivity now = ActivityOf(number.load());
    const bool waits_still = before.waits && now.waits && now.ran == before.ran;
    before = now;
    return waits_still;
  });
  EXPECT_TRUE(ThreadIsThere(number.load()));
  release.Notify();
  thread.join();
  Until([&] { return !ThreadIsThere(number.load()); });
}

TEST(EnvironmentTest, AThreadThatComputesIsSeenToRun) {
  Atomic<int64_t> number{0};
  Atomic<bool> enough{false};
  Thread thread = StartThread("computes", [&] {
    number.store(ThreadNumber());
    while (!enough.load()) {
    }
  });
  Until([&] { return number.load() != 0 && !ActivityOf(number.load()).waits; });
  EXPECT_TRUE(ThreadIsThere(number.load()));
  enough.store(true);
  thread.join();
}

// As under taskset: two threads on one processor would wait for each other's time slices.
TEST(EnvironmentTest, AProcessThatMayUseOneProcessorHasOne) {
  const int before = HardwareThreads();
  StartThread("pinned", [before] {
    EXPECT_TRUE(PinThread(0));
    EXPECT_EQ(HardwareThreads(), before) << "others are not pinned";
  }).join();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(PinThread(0) && HardwareThreads() == 1 ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(EnvironmentTest, OfWhatIsNoThreadNothingIsKnown) {
  EXPECT_FALSE(ThreadIsThere(INT32_MAX));
  EXPECT_FALSE(ActivityOf(INT32_MAX).waits);
  EXPECT_EQ(ActivityOf(INT32_MAX).ran, absl::ZeroDuration());
}

}  // namespace
}  // namespace plait::internal
