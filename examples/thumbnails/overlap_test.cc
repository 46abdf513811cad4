#include "plait/examples/thumbnails/overlap.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace examples {
namespace {

Span Between(int begin, int end) { return {absl::Seconds(begin), absl::Seconds(end)}; }

void Expect(std::vector<Span> first, std::vector<Span> second, int first_seconds,
            int second_seconds, int both_seconds) {
  const Overlap overlap = MeasureOverlap(std::move(first), std::move(second));
  EXPECT_EQ(overlap.first, absl::Seconds(first_seconds));
  EXPECT_EQ(overlap.second, absl::Seconds(second_seconds));
  EXPECT_EQ(overlap.both, absl::Seconds(both_seconds));
}

TEST(MeasureOverlap, NothingTakesNoTime) {
  Expect({}, {}, 0, 0, 0);
  Expect({Between(1, 4)}, {}, 3, 0, 0);
  Expect({}, {Between(1, 4)}, 0, 3, 0);
}

TEST(MeasureOverlap, OneAfterTheOtherIsNotBoth) {
  Expect({Between(0, 2), Between(5, 6)}, {Between(2, 5), Between(6, 8)}, 3, 5, 0);
}

TEST(MeasureOverlap, WhatLastsAtOnceIsBoth) {
  Expect({Between(0, 4)}, {Between(1, 3)}, 4, 2, 2);
  Expect({Between(1, 3)}, {Between(0, 4)}, 2, 4, 2);
  Expect({Between(0, 3)}, {Between(2, 5)}, 3, 3, 1);
  Expect({Between(0, 10)}, {Between(1, 2), Between(4, 6), Between(9, 12)}, 10, 6, 4);
}

TEST(MeasureOverlap, SpansOfOneKindCountOnceInWhateverOrderTheyCome) {
  Expect({Between(4, 6), Between(0, 3), Between(1, 2), Between(2, 5)},
         {Between(5, 7), Between(5, 6)}, 6, 2, 1);
}

TEST(MeasureOverlap, SpansWithTheSameEndsAllCount) {
  Expect({Between(0, 2), Between(2, 4)}, {Between(0, 2), Between(3, 4)}, 4, 3, 3);
}

}  // namespace
}  // namespace examples
