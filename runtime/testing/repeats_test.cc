#include "plait/runtime/testing/repeats.h"

#include <numeric>
#include <vector>

#include "gtest/gtest.h"

namespace plait {
namespace {

std::vector<int> Numbers(const Share& share) {
  std::vector<int> numbers;
  for (const int i : share) numbers.push_back(i);
  return numbers;
}

// How often all runs together do each of the numbers below `whole`.
std::vector<int> DoneByAll(int runs, int whole) {
  std::vector<int> done(static_cast<size_t>(whole));
  for (int number = 0; number < runs; ++number) {
    const TestRun run = {.runs = runs, .number = number};
    for (const int i : run.ShareOf(whole)) ++done[static_cast<size_t>(i)];
  }
  return done;
}

TEST(RepeatsTest, OneRunDoesTheWhole) {
  const TestRun alone;
  std::vector<int> all(100);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(Numbers(alone.ShareOf(100)), all);
  EXPECT_EQ(Numbers(alone.ShareOf(0)), std::vector<int>());
  EXPECT_EQ(alone.ShareOf(2'000'000'000).size, 2'000'000'000);
  for (const int index : all) EXPECT_TRUE(alone.Takes(index));
}

TEST(RepeatsTest, ManyRunsTogetherDoTheWholeFourTimes) {
  EXPECT_EQ(DoneByAll(200, 20'000), std::vector<int>(20'000, 4));
  EXPECT_EQ((TestRun{.runs = 200}.ShareOf(2'000'000'000).size), 40'000'000);
}

TEST(RepeatsTest, EachRunDoesAFewButNeverMoreThanTheWhole) {
  const TestRun fifth_of_many = {.runs = 200, .number = 4};
  EXPECT_EQ(Numbers(fifth_of_many.ShareOf(10)), (std::vector<int>{6, 7, 8, 9}));
  EXPECT_EQ(Numbers(fifth_of_many.ShareOf(9)), (std::vector<int>{7, 8, 0, 1}));
  EXPECT_EQ(Numbers(fifth_of_many.ShareOf(3)), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(DoneByAll(200, 10), std::vector<int>(10, 80));
  EXPECT_EQ(DoneByAll(2, 100), std::vector<int>(100, 2));
}

TEST(RepeatsTest, ManyRunsTogetherTryEachCaseFourTimes) {
  std::vector<int> tried(130);
  for (int number = 0; number < 200; ++number) {
    const TestRun run = {.runs = 200, .number = number};
    for (int index = 0; index < 130; ++index) tried[static_cast<size_t>(index)] += run.Takes(index);
  }
  EXPECT_EQ(tried, std::vector<int>(130, 4));
}

}  // namespace
}  // namespace plait
