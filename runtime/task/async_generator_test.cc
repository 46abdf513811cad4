// What an AsyncGenerator gives, where it runs and what it costs. Traps faced here: a lambda
// coroutine that outlives its captures, a cancel that races completion.
#include "plait/runtime/task/async_generator.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/task/async_generator_fixture.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// --- items ---

TEST(AsyncGenerator, ItGivesItsItemsInOrderAndThenNothing) {
  EXPECT_THAT(plait::Run(Collect(Count(3, 7))), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(plait::Run(Collect(Count(0, 0))), IsEmpty());
}

TEST(AsyncGenerator, AfterTheEndEveryNextGivesNothing) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<int> generator = Count(0, 1);
    const std::optional<int> item = co_await generator.Next();
    EXPECT_EQ(item, 0);
    EXPECT_TRUE(generator.valid());
    for (int i = 0; i < 3; ++i) {
      const std::optional<int> nothing = co_await generator.Next();
      EXPECT_EQ(nothing, std::nullopt);
      EXPECT_FALSE(generator.valid());
    }
  });
}

TEST(AsyncGenerator, NothingRunsBeforeTheFirstNext) {
  RunBody([]() -> Task<void> {
    bool ran = false;
    AsyncGenerator<int> generator = SetFlagThenYield(&ran);
    co_await Turns(3);
    EXPECT_FALSE(ran);
    static_cast<void>(co_await generator.Next());
    EXPECT_TRUE(ran);
  });
}

TEST(AsyncGenerator, ItemsMayBeMoveOnly) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<std::unique_ptr<int>> generator = GiveMoveOnly();
    int expected = 0;
    while (auto item = co_await generator.Next()) {
      const std::unique_ptr<int> owned = *std::move(item);
      EXPECT_EQ(*owned, expected++);
    }
    EXPECT_EQ(expected, 3);
  });
}

TEST(AsyncGenerator, ReferencesAreToTheObjectsThemselves) {
  std::vector<int> numbers = {1, 2, 3};
  RunBody([&]() -> Task<void> {
    AsyncGenerator<int&> generator = Each(&numbers);
    while (int* item = co_await generator.Next()) *item *= 10;
  });
  EXPECT_THAT(numbers, ElementsAre(10, 20, 30));
}

AsyncGenerator<std::string> Words() {
  co_yield "a literal";
  const std::string kept = "a copy of a local";
  co_yield kept;
  EXPECT_EQ(kept, "a copy of a local");
  co_yield std::string(3, 'x');
}

TEST(AsyncGenerator, WhatIsYieldedIsConvertedAndALocalIsCopied) {
  EXPECT_THAT(plait::Run(Collect(Words())), ElementsAre("a literal", "a copy of a local", "xxx"));
}

AsyncGenerator<std::optional<int>> GiveOptionals() {
  co_yield std::nullopt;
  co_yield 1;
}

TEST(AsyncGenerator, AnItemThatIsAnEmptyOptionalIsNotTheEnd) {
  EXPECT_THAT(plait::Run(Collect(GiveOptionals())), ElementsAre(std::nullopt, 1));
}

// Trap: a reference parameter of a lazy coroutine. One that is taken by value is the generator's.
AsyncGenerator<char> Letters(std::string text) {
  for (const char letter : text) {
    co_await Yield();
    co_yield letter;
  }
}

TEST(AsyncGenerator, AnArgumentTakenByValueLivesUntilTheGeneratorEnds) {
  RunBody([]() -> Task<void> {
    std::unique_ptr<AsyncGenerator<char>> letters;
    {
      std::string text(100, 'x');  // gone before the generator starts
      letters = std::make_unique<AsyncGenerator<char>>(Letters(text));
    }
    int count = 0;
    while (auto letter = co_await letters->Next()) {
      EXPECT_EQ(*letter, 'x');
      ++count;
    }
    EXPECT_EQ(count, 100);
  });
}

TEST(AsyncGenerator, AMovedGeneratorGoesOnAndWhatItWasMovedFromGivesNothing) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<int> first = Count(0, 3);
    static_cast<void>(co_await first.Next());
    AsyncGenerator<int> second = std::move(first);
    const std::optional<int> one = co_await second.Next();
    EXPECT_EQ(one, 1);
    const std::optional<int> nothing =
        co_await first.Next();  // NOLINT: moved from, it gives nothing
    EXPECT_EQ(nothing, std::nullopt);
    first = std::move(second);
    const std::optional<int> two = co_await first.Next();
    EXPECT_EQ(two, 2);
  });
}

TEST(AsyncGenerator, AssigningToAGeneratorDestroysWhatItWas) {
  Log log;
  RunBody([&]() -> Task<void> {
    AsyncGenerator<int> generator = CountForever(&log);
    static_cast<void>(co_await generator.Next());
    generator = Count(7, 8);
    EXPECT_THAT(log, ElementsAre("the generator's local"));
    const std::optional<int> seven = co_await generator.Next();
    EXPECT_EQ(seven, 7);
  });
}

// --- where it runs, and cancellation ---

AsyncGenerator<const TaskContext*> Contexts() {
  for (;;) {
    co_yield TaskContext::Current();
    co_await Yield();
  }
}

TEST(AsyncGenerator, EachNextRunsInTheContextOfTheTaskThatAwaitsIt) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<const TaskContext*> contexts = Contexts();
    auto next = [](AsyncGenerator<const TaskContext*>* from) -> Task<bool> {
      const auto seen = co_await from->Next();
      co_return seen.has_value() && *seen == TaskContext::Current();
    };
    for (int i = 0; i < 3; ++i) {
      const bool here = co_await next(&contexts);
      EXPECT_TRUE(here);
      const bool there = co_await Spawn(next(&contexts));
      EXPECT_TRUE(there);
    }
  });
}

// Sleeps between items and tells how each sleep ended.
AsyncGenerator<absl::Status> Slumbers() {
  for (;;) {
    const absl::Status slept = co_await Sleep(absl::Hours(1));
    co_yield slept;
  }
}

TEST(AsyncGenerator, ACancelOfTheAwaitingTaskEndsTheGeneratorsWait) {
  TestClock clock;
  auto use = [](AsyncGenerator<absl::Status>* generator) -> Task<absl::Status> {
    co_return *co_await generator->Next();
  };
  auto body = [&]() -> Task<void> {
    AsyncGenerator<absl::Status> generator = Slumbers();
    JoinHandle<absl::Status> handle = Spawn(use(&generator));
    co_await Turns(3);
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_EQ(clock.elapsed(), absl::ZeroDuration());
    // The generator itself is as good as before: this task is not cancelled.
    const auto slept = co_await generator.Next();
    EXPECT_TRUE(slept.has_value() && slept->ok());
    EXPECT_EQ(clock.elapsed(), absl::Hours(1));
  };
  plait::Run(body(), {.clock = &clock});
}

TEST(AsyncGenerator, ATimeoutBoundsOneNext) {
  TestClock clock;
  auto body = [&]() -> Task<void> {
    AsyncGenerator<absl::Status> generator = Slumbers();
    const auto late = co_await Timeout(absl::Minutes(1), generator.Next());
    EXPECT_TRUE(absl::IsDeadlineExceeded(late.status())) << late.status();
    EXPECT_EQ(clock.elapsed(), absl::Minutes(1));
    const auto in_time = co_await Timeout(absl::Hours(2), generator.Next());
    EXPECT_TRUE(in_time.ok() && in_time->has_value() && (*in_time)->ok()) << in_time.status();
    EXPECT_EQ(clock.elapsed(), absl::Minutes(61));
  };
  plait::Run(body(), {.clock = &clock});
}

// Trap: a cancel that races completion. Whatever the turn in which the cancel comes, an item that
// was made is either given or still there: none is lost, none comes twice.
TEST(AsyncGenerator, ACancelThatRacesAnItemLosesNone) {
  RunBody([]() -> Task<void> {
    auto use = [](Queue<int>* queue, std::vector<int>* got) -> Task<void> {
      AsyncGenerator<absl::StatusOr<int>> items = Drain(*queue);
      while (auto item = co_await items.Next()) {
        if (item->ok()) got->push_back(**item);
      }
    };
    for (int cancel_turn = 0; cancel_turn < 12; ++cancel_turn) {
      Queue<int> queue(1);
      std::vector<int> got;
      JoinHandle<void> user = Spawn(use(&queue, &got));
      int put = 0;
      for (int turn = 0; turn < 12; ++turn) {
        if (turn == cancel_turn) user.Cancel();
        if (queue.TryPut(put).ok()) ++put;
        co_await Yield();
      }
      queue.Close();
      co_await user;
      while (true) {
        const absl::StatusOr<int> left = queue.TryGet();
        if (!left.ok()) break;
        got.push_back(*left);
      }
      EXPECT_EQ(got.size(), static_cast<size_t>(put)) << "cancelled in turn " << cancel_turn;
      for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<int>(i));
    }
  });
}

// --- misuse ---

AsyncGenerator<int> WaitForever() {
  static_cast<void>(co_await Forever());
  co_yield 1;
}

Task<void> AwaitNext(AsyncGenerator<int>* generator) {
  static_cast<void>(co_await generator->Next());
}

TEST(AsyncGeneratorDeathTest, TwoNextsAtOnceAreAProgrammingError) {
  EXPECT_DEATH(RunBody([]() -> Task<void> {
                 AsyncGenerator<int> generator = WaitForever();
                 co_await Gather(AwaitNext(&generator), AwaitNext(&generator));
               }),
               "an AsyncGenerator was resumed while another Next or Close of it is in flight");
}

TEST(AsyncGeneratorDeathTest, DestroyingAGeneratorWhoseNextIsInFlightIsAProgrammingError) {
  EXPECT_DEATH(RunBody([]() -> Task<void> {
                 auto generator = std::make_unique<AsyncGenerator<int>>(WaitForever());
                 JoinHandle<void> user = Spawn(AwaitNext(generator.get()));
                 co_await Turns(3);
                 generator = nullptr;
               }),
               "an AsyncGenerator was destroyed while a Next of it is in flight");
}

TEST(AsyncGeneratorDeathTest, MovingAGeneratorWhoseNextIsInFlightIsAProgrammingError) {
  EXPECT_DEATH(RunBody([]() -> Task<void> {
                 AsyncGenerator<int> generator = WaitForever();
                 JoinHandle<void> user = Spawn(AwaitNext(&generator));
                 co_await Turns(3);
                 AsyncGenerator<int> moved = std::move(generator);
               }),
               "an AsyncGenerator was moved while a Next of it is in flight");
}

// --- cost ---

TEST(AsyncGenerator, AnItemAllocatesNothing) {
  const int64_t allocations = RunBody([]() -> Task<int64_t> {
    AsyncGenerator<int> generator = Count(0, 1'000);
    static_cast<void>(co_await generator.Next());
    const int64_t before = AllocationCount();
    while (auto item = co_await generator.Next()) continue;
    co_return AllocationCount() - before;
  });
  EXPECT_EQ(allocations, 0);
}

TEST(AsyncGenerator, AMillionItemsThatNeedNoWaitDoNotGrowTheStack) {
  const int64_t sum = RunBody([]() -> Task<int64_t> {
    AsyncGenerator<int> generator = CountWithoutWaiting(1'000'000);
    int64_t total = 0;
    while (auto item = co_await generator.Next()) total += *item;
    co_return total;
  });
  EXPECT_EQ(sum, int64_t{1'000'000} * 999'999 / 2);
}

AsyncGenerator<int> Nested(int depth) {
  if (depth == 0) {
    for (int n = 0; n < 10; ++n) co_yield n;
    co_return;
  }
  AsyncGenerator<int> inner = Nested(depth - 1);
  while (auto item = co_await inner.Next()) co_yield *item;
}

TEST(AsyncGenerator, GeneratorsNestThousandsDeepWithoutOverflow) {
  const std::vector<int> items = plait::Run(Collect(Nested(10'000)));
  EXPECT_THAT(items, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

}  // namespace
}  // namespace plait
