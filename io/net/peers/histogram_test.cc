#include "plait/io/net/peers/histogram.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace peers {
namespace {

TEST(HistogramTest, NothingHasQuantilesOfZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.Quantile(0.5), 0);
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram histogram;
  for (int64_t value = 1; value <= 100; ++value) histogram.Add(value);
  EXPECT_EQ(histogram.count(), 100);
  EXPECT_EQ(histogram.Quantile(0), 1);
  EXPECT_EQ(histogram.Quantile(0.01), 1);
  EXPECT_EQ(histogram.Quantile(0.5), 50);
  EXPECT_EQ(histogram.Quantile(1), 100);
}

TEST(HistogramTest, AQuantileIsAtMostOnePartIn64TooHigh) {
  for (int64_t value = 1; value < std::numeric_limits<int64_t>::max() / 3; value = value * 3 + 1) {
    Histogram histogram;
    histogram.Add(value);
    EXPECT_GE(histogram.Quantile(0.5), value);
    EXPECT_LE(histogram.Quantile(0.5) - value, value / 64);
  }
}

TEST(HistogramTest, TheLargestValueHasABucket) {
  Histogram histogram;
  histogram.Add(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(histogram.Quantile(1), std::numeric_limits<int64_t>::max());
}

TEST(HistogramTest, OneSlowRequestInAThousandIsBeyondP99AndNotBeyondP9995) {
  Histogram histogram;
  for (int i = 0; i < 999; ++i) histogram.Add(10);
  histogram.Add(50);
  EXPECT_EQ(histogram.Quantile(0.99), 10);
  EXPECT_EQ(histogram.Quantile(0.9995), 50);
}

}  // namespace
}  // namespace peers
