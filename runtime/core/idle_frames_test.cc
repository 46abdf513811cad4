#include "plait/runtime/core/idle_frames.h"

#include <cstddef>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace plait::internal {
namespace {

class SetClock final : public Clock {
 public:
  explicit SetClock(bool is_virtual) : virtual_(is_virtual) {}

  Deadline Now() noexcept override { return now; }
  absl::Time WallTime() noexcept override { return absl::UnixEpoch(); }
  bool is_virtual() const noexcept override { return virtual_; }

  Deadline now = Deadline::AtNanos(0);

 private:
  const bool virtual_;
};

class IdleFramesTest : public testing::Test {
 protected:
  IdleFramesTest() { GiveBackFrames(); }
};

// A sleep of `duration`, as a thread's loop has it; how long it was to be.
absl::Duration Sleep(SetClock& clock, absl::Duration duration) {
  const Deadline since = clock.Now();
  const Deadline until = SleepUntilFramesGo(clock, Deadline::Infinite(), since);
  clock.now = since + duration;
  SleptInVain(clock, since, clock.Now());
  return until.Since(since);
}

TEST_F(IdleFramesTest, AThreadWithoutFramesSleepsForAsLongAsItWould) {
  SetClock clock(/*is_virtual=*/false);
  EXPECT_EQ(Sleep(clock, absl::Hours(1)), absl::InfiniteDuration());
  const Deadline soon = clock.Now() + absl::Nanoseconds(1);
  EXPECT_EQ(SleepUntilFramesGo(clock, soon, clock.Now()), soon);
}

#if PLAIT_POOL_FRAMES

void UseFrames(int count) {
  constexpr size_t kSize = 200;
  std::vector<void*> frames;
  for (int i = 0; i < count; ++i) frames.push_back(AllocateFrame(kSize));
  for (void* frame : frames) FreeFrame(frame, kSize);
}

TEST_F(IdleFramesTest, AThreadThatHasBeenIdleForAWhileKeepsNothing) {
  SetClock clock(/*is_virtual=*/false);
  UseFrames(100);
  EXPECT_GE(KeptFrameBytes(), 100u * 200);
  EXPECT_EQ(Sleep(clock, kIdleUntilFramesGo), kIdleUntilFramesGo);
  EXPECT_EQ(KeptFrameBytes(), 0u);
  EXPECT_EQ(Sleep(clock, absl::Hours(1)), absl::InfiniteDuration());
  // And has its lists again when it has work again.
  UseFrames(100);
  EXPECT_GE(KeptFrameBytes(), 100u * 200);
}

TEST_F(IdleFramesTest, AThreadThatParksTenThousandTimesASecondKeepsWhatItHas) {
  SetClock clock(/*is_virtual=*/false);
  UseFrames(100);
  const size_t kept = KeptFrameBytes();
  for (int i = 0; i < 20'000; ++i) {
    EXPECT_EQ(Sleep(clock, absl::Microseconds(100)), kIdleUntilFramesGo);
  }
  EXPECT_EQ(KeptFrameBytes(), kept);
}

TEST_F(IdleFramesTest, ASleepThatEndsSoonerIsNoLonger) {
  SetClock clock(/*is_virtual=*/false);
  UseFrames(1);
  const Deadline soon = clock.Now() + (kIdleUntilFramesGo - absl::Nanoseconds(1));
  EXPECT_EQ(SleepUntilFramesGo(clock, soon, clock.Now()), soon);
}

TEST_F(IdleFramesTest, ByAVirtualClockNobodyIsIdle) {
  SetClock clock(/*is_virtual=*/true);
  UseFrames(100);
  const size_t kept = KeptFrameBytes();
  EXPECT_EQ(Sleep(clock, absl::Hours(1)), absl::InfiniteDuration());
  EXPECT_EQ(KeptFrameBytes(), kept);
}

#endif

}  // namespace
}  // namespace plait::internal
