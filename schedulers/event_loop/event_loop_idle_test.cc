// What an event loop does when it has nothing to do for a while: it gives back the memory of
// coroutines that have ended. By real time, in which alone a loop is idle.
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/idle_frames.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

class EventLoopIdleTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  EventLoop loop_{GetParam().make(nullptr)};
};

Task<void> RunTasks(int count) {
  std::vector<JoinHandle<void>> tasks;
  for (int i = 0; i < count; ++i)
    tasks.push_back(Spawn([]() -> Task<void> { co_await Yield(); }()));
  for (auto& task : tasks) co_await task;
  if (internal::kFramesArePooled) {
    EXPECT_GT(internal::KeptFrameBytes(), 50'000u);
  }
}

Task<void> SleepUntilNothingIsKept() {
  while (internal::KeptFrameBytes() > 0) {  // or for ever
    const absl::Status slept = co_await Sleep(2 * internal::kIdleUntilFramesGo);
    EXPECT_TRUE(slept.ok()) << slept;
  }
}

TEST_P(EventLoopIdleTest, ALoopThatIsIdleForAWhileKeepsNoFrames) {
  for (int burst = 0; burst < 2; ++burst) {
    BlockOn(loop_, []() -> Task<void> {
      co_await RunTasks(1000);
      co_await SleepUntilNothingIsKept();
    }());
  }
}

// An operation in flight stays there: the loop wakes for the frames and waits for it again.
TEST_P(EventLoopIdleTest, AnOperationInFlightDoesNotNoticeThat) {
  FdPair pair = MakeSocketPair();
  const GuardedBuffer byte(1);
  const auto read = [&]() -> Task<absl::StatusOr<size_t>> {
    co_return co_await io::Read(pair.first.get(), byte.span());
  };
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::StatusOr<size_t>> reading = Spawn(read());
    co_await RunTasks(1000);
    co_await SleepUntilNothingIsKept();
    EXPECT_FALSE(reading.done());
    WriteAll(pair.second.get(), "x");
    const absl::StatusOr<size_t> size = co_await reading;
    EXPECT_TRUE(size.ok()) << size.status();
    EXPECT_EQ(byte.text(1), "x");
  };
  BlockOn(loop_, body());
}

INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopIdleTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
