// ForEach over an AsyncGenerator. Traps faced here: a lambda coroutine that outlives its captures.
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/async_generator_fixture.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(AsyncGenerator, ForEachCallsTheFunctionWithEveryItem) {
  std::vector<int> seen;
  const absl::Status status = RunBody([&]() -> Task<absl::Status> {
    co_await OrReturn(ForEach(Count(0, 3), [&](int n) { seen.push_back(n); }));
    co_await OrReturn(ForEach(GiveMoveOnly(), [&](std::unique_ptr<int> n) {
      seen.push_back(*n);
      return absl::OkStatus();
    }));
    co_return co_await ForEach(Count(5, 7), [&](int n) -> Task<void> {
      co_await Yield();
      seen.push_back(n);
    });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 0, 1, 2, 5, 6));
}

TEST(AsyncGenerator, ForEachUnwrapsItemsAndEndsWithTheFirstErrorAmongThem) {
  Log log;
  std::vector<int> seen;
  const absl::Status status =
      plait::Run(ForEach(FailAfterTwo(&log), [&](int n) { seen.push_back(n); }));
  EXPECT_EQ(status, absl::DataLossError("torn"));
  EXPECT_THAT(seen, ElementsAre(0, 1));
}

TEST(AsyncGenerator, ForEachEndsAndClosesTheGeneratorWhenTheFunctionFails) {
  Log log;
  TestClock clock;
  const absl::Status status = plait::Run(ForEach(CountWithCleanup(&log),
                                                 [](int n) -> Task<absl::Status> {
                                                   co_await Yield();
                                                   if (n < 2) co_return absl::OkStatus();
                                                   co_return absl::OutOfRangeError("enough");
                                                 }),
                                         {.clock = &clock});
  EXPECT_EQ(status, absl::OutOfRangeError("enough"));
  EXPECT_THAT(log, ElementsAre(HasSubstr("CANCELLED"), "cleaned up: OK"));
}

TEST(AsyncGenerator, ForEachGivesReferencesAsTheyAre) {
  std::vector<int> numbers = {1, 2};
  const absl::Status status = plait::Run(ForEach(Each(&numbers), [](int& n) { n += 5; }));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(numbers, ElementsAre(6, 7));
}

#if defined(__cpp_exceptions)
TEST(AsyncGenerator, ForEachClosesTheGeneratorBeforeItRethrows) {
  for (const bool waits : {false, true}) {
    Log log;
    TestClock clock;
    auto body = [&]() -> Task<absl::Status> {
      if (!waits) {
        co_return co_await ForEach(CountWithCleanup(&log),
                                   [](int) { throw std::runtime_error("oh"); });
      }
      co_return co_await ForEach(CountWithCleanup(&log), [](int) -> Task<void> {
        co_await Yield();
        throw std::runtime_error("oh");
      });
    };
    EXPECT_THROW(plait::Run(body(), {.clock = &clock}).IgnoreError(), std::runtime_error);
    EXPECT_THAT(log, ElementsAre(HasSubstr("CANCELLED"), "cleaned up: OK"));
  }
}
#endif

// Trap: a lambda coroutine that outlives its captures. ForEach keeps its function, captures and
// all, until the end.
TEST(AsyncGenerator, ForEachKeepsItsFunctionAliveUntilTheEnd) {
  auto sum = std::make_shared<int>(0);
  Task<absl::Status> loop = [&] {
    auto captured = sum;
    return ForEach(Count(0, 5), [captured](int n) -> Task<void> {
      co_await Turns(2);
      *captured += n;
    });
  }();
  const absl::Status status = plait::Run(std::move(loop));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(*sum, 10);
  EXPECT_EQ(sum.use_count(), 1);
}

}  // namespace
}  // namespace plait
