#include "plait/examples/parallelism/comparison.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace examples {
namespace {

using ::testing::ElementsAre;

Measurement Cell(Workload workload, const std::string& backend, double total, double sum) {
  return {workload, backend, 5, absl::Seconds(total), absl::Seconds(sum), 0};
}

TEST(ComparisonTest, AmdahlsLawBoundsTheSpeedUp) {
  EXPECT_DOUBLE_EQ(AmdahlBound(1, 5), 5);
  EXPECT_DOUBLE_EQ(AmdahlBound(0, 5), 1);
  EXPECT_DOUBLE_EQ(AmdahlBound(0.5, 2), 1 / 0.75);
  // The articles' program: 20 % at most, on any number of cores.
  EXPECT_NEAR(AmdahlBound(1.0 / 6, 1e12), 1.2, 1e-9);
}

TEST(ComparisonTest, WaitingNeedsNoCoreAndComputingDoes) {
  for (const char* backend : {"threads", "processes", "async", "pool"}) {
    EXPECT_EQ(Overlap(Workload::kSleep, backend, 5, 2), 5);
  }
  EXPECT_EQ(Overlap(Workload::kSleep, "sync", 5, 2), 1);
  EXPECT_EQ(Overlap(Workload::kHardWork, "sync", 5, 2), 1);
  EXPECT_EQ(Overlap(Workload::kHardWork, "threads", 5, 2), 2);
  EXPECT_EQ(Overlap(Workload::kHardWork, "processes", 5, 8), 5);
  EXPECT_EQ(Overlap(Workload::kHardWork, "async", 5, 8), 1);
  EXPECT_EQ(Overlap(Workload::kHardWork, "pool", 5, 2), 2);
}

TEST(ComparisonTest, TheTableHasARowForTheSecondsTheSpeedUpsAndTheirBounds) {
  using enum Workload;
  EXPECT_THAT(
      ComparisonTable({Cell(kSleep, "sync", 10, 10), Cell(kSleep, "threads", 2, 10),
                       Cell(kSleep, "processes", 2.5, 10), Cell(kSleep, "async", 2, 10),
                       Cell(kSleep, "pool", 2, 10), Cell(kHardWork, "sync", 12, 9),
                       Cell(kHardWork, "threads", 8, 16), Cell(kHardWork, "processes", 8, 16),
                       Cell(kHardWork, "async", 12, 9), Cell(kHardWork, "pool", 8, 16)},
                      2),
      ElementsAre(
          "|                        |    sync | threads | processes |   async |    pool |",
          "|:-----------------------|--------:|--------:|----------:|--------:|--------:|",
          "| sleep, seconds         |   10.00 |    2.00 |      2.50 |    2.00 |    2.00 |",
          "|     times faster       |    1.00 |    5.00 |      4.00 |    5.00 |    5.00 |",
          "|     at most            |    1.00 |    5.00 |      5.00 |    5.00 |    5.00 |",
          "| hard_work, seconds     |   12.00 |    8.00 |      8.00 |   12.00 |    8.00 |",
          "|     times faster       |    1.00 |    1.50 |      1.50 |    1.00 |    1.50 |",
          "|     at most            |    1.00 |    1.60 |      1.60 |    1.00 |    1.60 |"));
}

TEST(ComparisonTest, WhatWasNotMeasuredIsLeftOut) {
  EXPECT_THAT(
      ComparisonTable({Cell(Workload::kSleep, "async", 2, 10)}, 2),
      ElementsAre(
          "|                        |    sync | threads | processes |   async |    pool |",
          "|:-----------------------|--------:|--------:|----------:|--------:|--------:|",
          "| sleep, seconds         |       - |       - |         - |    2.00 |       - |",
          "|     times faster       |       - |       - |         - |       - |       - |",
          "|     at most            |       - |       - |         - |       - |       - |"));
}

TEST(ComparisonTest, TimesOfZeroDivideNothing) {
  EXPECT_THAT(ComparisonTable({Cell(Workload::kSleep, "sync", 0, 0)}, 2)[3],
              "|     times faster       |       - |       - |         - |       - |       - |");
}

TEST(ComparisonTest, AProgramReadsOneLineACell) {
  Measurement cell = Cell(Workload::kHardWork, "threads", 1.2341, 2);
  EXPECT_EQ(MachineLine(cell),
            "parallelism workload=hard_work backend=threads tasks=5 seconds=1.234");
  cell.failed = 2;
  EXPECT_EQ(MachineLine(cell),
            "parallelism workload=hard_work backend=threads tasks=5 seconds=1.234 failed=2");
}

}  // namespace
}  // namespace examples
