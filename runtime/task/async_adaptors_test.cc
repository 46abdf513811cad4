// Traps faced here: a lambda that outlives its captures.
#include "plait/runtime/task/async_adaptors.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing_programs::Leaving;
using testing_programs::Turns;

using Log = std::vector<std::string>;

AsyncGenerator<int> CountForever(Log* log) {
  Leaving leaving(*log, "gone");
  for (int n = 0;; ++n) {
    co_await Yield();
    if (!(co_yield n)) break;
  }
  co_await Uncancellable(Turns(3));
  log->push_back("cleaned up");
}

template <class T>
Task<std::vector<T>> Collect(AsyncGenerator<T> generator) {
  std::vector<T> items;
  while (auto item = co_await generator.Next()) items.push_back(*std::move(item));
  co_return items;
}

TEST(AsyncAdaptors, TakeGivesTheFirstItemsAndClosesTheSource) {
  Log log;
  EXPECT_THAT(plait::Run(Collect(Take(CountForever(&log), 3))), ElementsAre(0, 1, 2));
  EXPECT_THAT(log, ElementsAre("cleaned up", "gone"));
}

AsyncGenerator<int> Two() {
  co_yield 1;
  co_yield 2;
}

TEST(AsyncAdaptors, TakeEndsWithItsSourceAndTakesNothingWhenAskedForNone) {
  Log log;
  EXPECT_THAT(plait::Run(Collect(Take(Two(), 5))), ElementsAre(1, 2));
  EXPECT_THAT(plait::Run(Collect(Take(CountForever(&log), 0))), IsEmpty());
  EXPECT_THAT(log, IsEmpty());  // it never began
}

TEST(AsyncAdaptors, MapCallsAFunctionThatMayWait) {
  Log log;
  auto text = [](int n) { return absl::StrCat("<", n, ">"); };
  EXPECT_THAT(plait::Run(Collect(Take(Map(CountForever(&log), text), 2))),
              ElementsAre("<0>", "<1>"));
  auto slowly = [](int n) -> Task<int> {
    co_await Yield();
    co_return 10 * n;
  };
  EXPECT_THAT(plait::Run(Collect(Map(Two(), slowly))), ElementsAre(10, 20));
  EXPECT_THAT(log, ElementsAre("cleaned up", "gone"));
}

TEST(AsyncAdaptors, FilterGivesTheItemsForWhichAFunctionHolds) {
  Log log;
  auto odd = [](int n) { return n % 2 == 1; };
  EXPECT_THAT(plait::Run(Collect(Take(Filter(CountForever(&log), odd), 3))), ElementsAre(1, 3, 5));
  auto slowly = [](const int& n) -> Task<bool> {
    const bool two = n == 2;
    co_await Yield();
    co_return two;
  };
  EXPECT_THAT(plait::Run(Collect(Filter(Two(), slowly))), ElementsAre(2));
}

AsyncGenerator<std::unique_ptr<int>> Owned() {
  for (int n = 0; n < 4; ++n) co_yield std::make_unique<int>(n);
}

TEST(AsyncAdaptors, MoveOnlyItemsPassThrough) {
  auto even = [](const std::unique_ptr<int>& n) { return *n % 2 == 0; };
  auto value = [](std::unique_ptr<int> n) { return *n; };
  EXPECT_THAT(plait::Run(Collect(Map(Take(Filter(Owned(), even), 2), value))), ElementsAre(0, 2));
}

AsyncGenerator<int&> Each(std::vector<int>* numbers) {
  for (int& number : *numbers) co_yield number;
}

TEST(AsyncAdaptors, ReferencesPassThrough) {
  std::vector<int> numbers = {1, 2, 3};
  auto body = [&]() -> Task<void> {
    auto from_two = Filter(Each(&numbers), [](int n) { return n >= 2; });
    while (int* n = co_await from_two.Next()) *n = 0;
  };
  plait::Run(body());
  EXPECT_THAT(numbers, ElementsAre(1, 0, 0));
}

// Trap: a lambda that outlives its captures. The adaptor keeps its function.
TEST(AsyncAdaptors, TheFunctionLivesWithTheGenerator) {
  auto captured = std::make_shared<int>(5);
  {
    auto make = [&] {
      auto add = [also = captured](int n) { return n + *also; };
      return Map(Two(), add);
    };
    AsyncGenerator<int> sums = make();
    EXPECT_EQ(captured.use_count(), 2);
    EXPECT_THAT(plait::Run(Collect(std::move(sums))), ElementsAre(6, 7));
  }
  EXPECT_EQ(captured.use_count(), 1);
}

}  // namespace
}  // namespace plait
