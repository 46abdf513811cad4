// What a burst of tasks has taken goes back to the system when the pool has nothing to do. By real
// time, in which alone a worker is idle.
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/idle_frames.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

constexpr int kSpawners = 8;
constexpr int kTasks = 20'000;  // of each
constexpr int kStays = 1000;    // of so many tasks one

size_t ResidentBytes() {
  size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<size_t>(getpagesize());
}

Task<void> WaitFor(Event& event) {
  const absl::Status waited = co_await event.Wait();
  EXPECT_TRUE(waited.ok()) << waited;
}

// Some of its tasks stay, so that what lies between them is to go.
Task<void> RunBurst(Event& go, Latch& waiting, std::vector<JoinHandle<void>>& stay, Event& end) {
  std::vector<JoinHandle<void>> tasks;
  tasks.reserve(kTasks);
  for (int i = 0; i < kTasks; ++i) {
    if (i % kStays == 0) stay.push_back(Spawn(WaitFor(end)));
    tasks.push_back(Spawn(WaitFor(go)));
    if (i % 100 == 0) co_await Yield();
  }
  waiting.CountDown();
  for (JoinHandle<void>& task : tasks) co_await task;
}

class IdleMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!internal::kFramesArePooled) GTEST_SKIP() << "a sanitizer keeps what is freed";
  }
};

TEST_F(IdleMemoryTest, ABurstOfTasksLeavesTheSystemItsMemory) {
  WorkStealingPool pool({.threads = 4});
  Event end;
  std::vector<std::vector<JoinHandle<void>>> stay(kSpawners);
  const size_t before = ResidentBytes();
  size_t peak = 0;
  {
    Event go;
    Latch waiting(kSpawners);
    const auto burst = [&]() -> Task<void> {
      std::vector<JoinHandle<void>> spawners;
      for (int i = 0; i < kSpawners; ++i) {
        spawners.push_back(Spawn(RunBurst(go, waiting, stay[static_cast<size_t>(i)], end)));
      }
      const absl::Status waited = co_await waiting.Wait();
      EXPECT_TRUE(waited.ok()) << waited;
      peak = ResidentBytes();
      go.Set();
      for (JoinHandle<void>& each : spawners) co_await each;
    };
    BlockOn(pool, burst());
  }
  const size_t burst = peak - before;
  EXPECT_GT(burst, 30'000'000u);
  // It must not take for ever, but may take as long as the machine is busy.
  const auto idle = [&]() -> Task<void> {
    for (int i = 0; i < 100 && ResidentBytes() > before + burst / 4; ++i) {
      const absl::Status slept = co_await Sleep(2 * internal::kIdleUntilFramesGo);
      EXPECT_TRUE(slept.ok()) << slept;
    }
  };
  BlockOn(pool, idle());
  EXPECT_LT(ResidentBytes(), before + burst / 4);
  const auto end_all = [&]() -> Task<void> {
    end.Set();
    for (auto& some : stay) {
      for (JoinHandle<void>& one : some) co_await one;
    }
  };
  BlockOn(pool, end_all());
}

}  // namespace
}  // namespace plait
