// The stack stays bounded whatever the compiler makes of symmetric transfer. Built and run in every
// configuration.

#include <cstdint>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

Task<int64_t> Ready(int64_t n) { co_return n; }

Task<int64_t> AwaitReadyTasks(int64_t count) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += co_await Ready(i);
  co_return sum;
}

TEST(StackDepth, TenMillionAwaitsOfReadyTasksDoNotOverflow) {
  constexpr int64_t kCount = 10'000'000;
  EXPECT_EQ(plait::Run(AwaitReadyTasks(kCount)), kCount * (kCount - 1) / 2);
}

Task<int64_t> Nest(int64_t depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await Nest(depth - 1);
}

TEST(StackDepth, AMillionNestedAwaitsDescendAndUnwindWithoutOverflow) {
  EXPECT_EQ(plait::Run(Nest(1'000'000)), 1'000'000);
}

Task<int64_t> NestAroundASuspension(int64_t depth) {
  if (depth == 0) {
    co_await Yield();
    co_return 0;
  }
  co_return 1 + co_await NestAroundASuspension(depth - 1);
}

TEST(StackDepth, AMillionNestedAwaitsUnwindAfterASuspension) {
  EXPECT_EQ(plait::Run(NestAroundASuspension(1'000'000)), 1'000'000);
}

Task<absl::Status> NestAroundAnError(int64_t depth) {
  if (depth == 0) co_return absl::InternalError("from below");
  co_await OrReturn(NestAroundAnError(depth - 1));
  co_return absl::OkStatus();
}

TEST(StackDepth, AMillionOrReturnsUnwindAnErrorWithoutOverflow) {
  EXPECT_EQ(plait::Run(NestAroundAnError(1'000'000)), absl::InternalError("from below"));
}

Task<int64_t> ForkReadyTasks(int64_t count) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    auto [a, b] = co_await Fork(Ready(i), Ready(1));
    sum += a + b;
  }
  co_return sum;
}

TEST(StackDepth, AMillionForksOfReadyTasksDoNotOverflow) {
  constexpr int64_t kCount = 1'000'000;
  EXPECT_EQ(plait::Run(ForkReadyTasks(kCount)), kCount * (kCount + 1) / 2);
}

// The first child is the deep one, or the second.
Task<int64_t> NestForks(int64_t depth, bool first, bool suspends) {
  if (depth == 0) {
    if (suspends) co_await Yield();
    co_return 0;
  }
  if (first) {
    auto [a, b] = co_await Fork(NestForks(depth - 1, first, suspends), Ready(1));
    co_return a + b;
  }
  auto [a, b] = co_await Fork(Ready(1), NestForks(depth - 1, first, suspends));
  co_return a + b;
}

TEST(StackDepth, AHundredThousandNestedForksDescendAndUnwindWithoutOverflow) {
  for (const bool first : {true, false}) {
    for (const bool suspends : {true, false}) {
      EXPECT_EQ(plait::Run(NestForks(100'000, first, suspends)), 100'000);
    }
  }
}

}  // namespace
}  // namespace plait
