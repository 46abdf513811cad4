// Traps faced here: a lambda coroutine that outlives its captures, a reference parameter of a lazy
// coroutine.
#include "plait/runtime/task/generator.h"

#include <concepts>
#include <cstdint>
#include <iterator>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/task_programs.h"

namespace plait {
namespace {

using ::testing::ElementsAre;
using testing_programs::Leaving;

using Log = std::vector<std::string>;

Generator<int64_t> Fibonacci() {
  for (int64_t a = 0, b = 1;; b += std::exchange(a, b)) co_yield a;
}

Generator<int> Count(int from, int to) {
  for (int n = from; n < to; ++n) co_yield n;
}

template <class T>
std::vector<std::remove_cvref_t<T>> Collect(Generator<T> generator) {
  std::vector<std::remove_cvref_t<T>> items;
  for (auto&& item : generator) items.push_back(std::forward<decltype(item)>(item));
  return items;
}

static_assert(std::ranges::input_range<Generator<int>>);
static_assert(std::ranges::view<Generator<int>>);
static_assert(std::same_as<std::ranges::range_reference_t<Generator<int>>, int&&>);
static_assert(std::same_as<std::ranges::range_reference_t<Generator<const int&>>, const int&>);
static_assert(std::same_as<std::ranges::range_value_t<Generator<const int&>>, int>);

TEST(Generator, ItGivesItsItemsInOrder) {
  EXPECT_THAT(Collect(Count(2, 5)), ElementsAre(2, 3, 4));
  EXPECT_THAT(Collect(Count(0, 0)), ElementsAre());
}

TEST(Generator, AnInfiniteOneIsLeftByBreaking) {
  std::vector<int64_t> below_hundred;
  for (const int64_t n : Fibonacci()) {
    if (n >= 100) break;
    below_hundred.push_back(n);
  }
  EXPECT_THAT(below_hundred, ElementsAre(0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89));
}

TEST(Generator, ItWorksWithTheStandardViews) {
  std::vector<int64_t> even;
  auto is_even = [](int64_t n) { return n % 2 == 0; };
  for (const int64_t n : Fibonacci() | std::views::filter(is_even) | std::views::take(4)) {
    even.push_back(n);
  }
  EXPECT_THAT(even, ElementsAre(0, 2, 8, 34));
}

TEST(Generator, NothingRunsBeforeTheLoop) {
  bool ran = false;
  auto set = [](bool* flag) -> Generator<int> {
    *flag = true;
    co_yield 1;
  };
  Generator<int> generator = set(&ran);
  EXPECT_FALSE(ran);
  for (const int n : generator) EXPECT_EQ(n, 1);
  EXPECT_TRUE(ran);
}

Generator<int> CountForever(Log* log) {
  Leaving first(*log, "first local");
  Leaving second(*log, "second local");
  for (int n = 0;; ++n) co_yield n;
}

TEST(Generator, LeavingEarlyDestroysTheFrameAndItsLocalsInOrder) {
  Log log;
  for (const int n : CountForever(&log)) {
    if (n == 3) break;
  }
  log.push_back("after the loop");
  EXPECT_THAT(log, ElementsAre("second local", "first local", "after the loop"));
}

TEST(Generator, OneThatIsNeverIteratedNeverRunsAndFreesItsArguments) {
  auto argument = std::make_shared<int>(1);
  auto hold = [](std::shared_ptr<int> held) -> Generator<int> { co_yield *held; };
  {
    const Generator<int> generator = hold(argument);
    EXPECT_EQ(argument.use_count(), 2);
  }
  EXPECT_EQ(argument.use_count(), 1);
}

Generator<std::unique_ptr<int>> GiveMoveOnly() {
  for (int n = 0; n < 3; ++n) co_yield std::make_unique<int>(n);
}

TEST(Generator, MoveOnlyItemsMoveOutOfTheLoop) {
  std::vector<std::unique_ptr<int>> owned;
  for (auto item : GiveMoveOnly()) owned.push_back(std::move(item));
  ASSERT_EQ(owned.size(), 3u);
  EXPECT_EQ(*owned[2], 2);
}

Generator<int&> Each(std::vector<int>* numbers) {
  for (int& number : *numbers) co_yield number;
}

TEST(Generator, ReferencesAreToTheObjectsThemselves) {
  std::vector<int> numbers = {1, 2, 3};
  for (int& number : Each(&numbers)) number *= 10;
  EXPECT_THAT(numbers, ElementsAre(10, 20, 30));
}

Generator<std::string> Words() {
  co_yield "a literal";
  const std::string kept = "a local";
  co_yield kept;
  EXPECT_EQ(kept, "a local");
  co_yield std::string(3, 'x');
}

TEST(Generator, WhatIsYieldedIsConvertedAndALocalIsCopied) {
  EXPECT_THAT(Collect(Words()), ElementsAre("a literal", "a local", "xxx"));
}

// Trap: a reference parameter of a lazy coroutine. One that is taken by value is the generator's.
Generator<char> Letters(std::string text) {
  for (const char letter : text) co_yield letter;
}

TEST(Generator, AnArgumentTakenByValueLivesAsLongAsTheGenerator) {
  auto make = [] {
    std::string text(100, 'x');  // gone before the generator starts
    return Letters(text);
  };
  int count = 0;
  for (const char letter : make()) {
    EXPECT_EQ(letter, 'x');
    ++count;
  }
  EXPECT_EQ(count, 100);
}

// Trap: a lambda coroutine that outlives its captures: what it needs later is an argument.
TEST(Generator, ALambdaWithoutCapturesMayBeGone) {
  auto make = [] {
    auto lambda = [](int to) -> Generator<int> {
      for (int n = 0; n < to; ++n) co_yield n;
    };
    return lambda(3);
  };
  EXPECT_THAT(Collect(make()), ElementsAre(0, 1, 2));
}

TEST(Generator, AMovedGeneratorTakesItsCoroutineAlong) {
  Log log;
  Generator<int> generator = Count(0, 2);
  generator = CountForever(&log);
  Generator<int> other = std::move(generator);
  auto at = other.begin();
  ++at;
  EXPECT_EQ(*at, 1);
  EXPECT_FALSE(at == other.end());
  other = Count(5, 6);
  EXPECT_THAT(log, ElementsAre("second local", "first local"));
  EXPECT_THAT(Collect(std::move(other)), ElementsAre(5));
}

TEST(GeneratorDeathTest, IteratingTwiceIsAProgrammingError) {
  Generator<int> generator = Count(0, 3);
  EXPECT_EQ(*generator.begin(), 0);
  EXPECT_DEATH(generator.begin(), "a Generator can be iterated over only once");
}

TEST(GeneratorDeathTest, IteratingOverWhatWasMovedFromIsAProgrammingError) {
  Generator<int> generator = Count(0, 3);
  const Generator<int> other = std::move(generator);
  EXPECT_DEATH(generator.begin(), "iterating over a Generator that was moved from");
}

// --- ElementsOf ---

Generator<int> Twice() {
  co_yield -1;
  co_yield ElementsOf(Count(0, 2));
  co_yield ElementsOf(Count(0, 0));
  co_yield ElementsOf(Count(7, 9));
  co_yield -2;
}

TEST(Generator, ElementsOfGivesTheItemsOfAnotherGeneratorInPlace) {
  EXPECT_THAT(Collect(Twice()), ElementsAre(-1, 0, 1, 7, 8, -2));
}

Generator<int> Down(int depth) {
  if (depth > 0) co_yield ElementsOf(Down(depth - 1));
  co_yield depth;
}

TEST(Generator, AHundredThousandNestedGeneratorsDoNotGrowTheStack) {
  constexpr int kDepth = 100'000;
  int expected = 0;
  for (const int depth : Down(kDepth)) EXPECT_EQ(depth, expected++);
  EXPECT_EQ(expected, kDepth + 1);
}

TEST(Generator, LeavingAHundredThousandNestedGeneratorsDoesNotGrowTheStack) {
  for (const int depth : Down(100'000)) {
    if (depth == 10) break;
  }
}

Generator<int> ManyEmpties(int count) {
  for (int i = 0; i < count; ++i) co_yield ElementsOf(Count(0, 0));
  co_yield count;
}

TEST(Generator, AMillionEmptyGeneratorsInARowDoNotGrowTheStack) {
  EXPECT_THAT(Collect(ManyEmpties(1'000'000)), ElementsAre(1'000'000));
}

Generator<int> Nested(Log* log, int depth) {
  Leaving leaving(*log, "depth " + std::to_string(depth));
  if (depth > 0) co_yield ElementsOf(Nested(log, depth - 1));
  for (int n = 0; n < 10; ++n) co_yield n;
}

TEST(Generator, LeavingEarlyDestroysNestedGeneratorsFromTheInside) {
  Log log;
  for (const int n : Nested(&log, 2)) {
    if (n == 1) break;
  }
  EXPECT_THAT(log, ElementsAre("depth 0", "depth 1", "depth 2"));
}

// --- exceptions ---

#if defined(__cpp_exceptions)

Generator<int> ThrowAfterOne(Log* log) {
  Leaving leaving(*log, "the generator's local");
  co_yield 1;
  throw std::runtime_error("oh");
}

TEST(Generator, AnExceptionComesOutOfTheLoop) {
  Log log;
  int items = 0;
  std::string caught;
  try {
    for (const int n : ThrowAfterOne(&log)) items += n;
  } catch (const std::runtime_error& error) {
    caught = error.what();
  }
  EXPECT_EQ(caught, "oh");
  EXPECT_EQ(items, 1);
  EXPECT_THAT(log, ElementsAre("the generator's local"));
}

TEST(Generator, AfterAnExceptionItHasEnded) {
  Log log;
  Generator<int> generator = ThrowAfterOne(&log);
  auto at = generator.begin();
  EXPECT_THROW(++at, std::runtime_error);
  EXPECT_TRUE(at == generator.end());
}

Generator<int> CatchInner(Log* log, std::string* caught) {
  try {
    co_yield ElementsOf(ThrowAfterOne(log));
  } catch (const std::runtime_error& error) {
    *caught = error.what();
  }
  co_yield 2;
}

TEST(Generator, AnExceptionOfANestedGeneratorReachesTheOneAroundIt) {
  Log log;
  std::string caught;
  EXPECT_THAT(Collect(CatchInner(&log, &caught)), ElementsAre(1, 2));
  EXPECT_EQ(caught, "oh");
}

Generator<int> PassOn(Log* log, int depth) {
  if (depth == 0) {
    co_yield ElementsOf(ThrowAfterOne(log));
  } else {
    co_yield ElementsOf(PassOn(log, depth - 1));
  }
}

TEST(Generator, AnExceptionPassesThroughEveryGeneratorToTheLoop) {
  Log log;
  EXPECT_THROW(Collect(PassOn(&log, 10)), std::runtime_error);
}

#endif

// --- cost ---

TEST(Generator, AnItemAllocatesNothing) {
  Generator<int64_t> generator = Fibonacci();
  auto at = generator.begin();
  const int64_t before = AllocationCount();
  for (int i = 0; i < 50; ++i) ++at;
  EXPECT_EQ(AllocationCount(), before);
}

}  // namespace
}  // namespace plait
