#include "plait/schedulers/work_stealing/peers/workloads.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace peers {
namespace {

int64_t Fib(int n) { return n < 2 ? n : Fib(n - 1) + Fib(n - 2); }

int64_t Skynet(int64_t first, int levels) {
  if (levels == 0) return first;
  int64_t sum = 0;
  for (int i = 0; i < kSkynetChildren; ++i) {
    sum += Skynet(first + i * SkynetStep(levels), levels - 1);
  }
  return sum;
}

int64_t NQueens(const Board& board, int row, int n) {
  if (row == n) return 1;
  int64_t solutions = 0;
  for (int column = 0; column < n; ++column) {
    if (!IsLegal(board, row, column)) continue;
    Board next = board;
    next[static_cast<size_t>(row)] = static_cast<char>(column);
    solutions += NQueens(next, row + 1, n);
  }
  return solutions;
}

TEST(WorkloadsTest, TheAnswersAreWhatTheDefinitionsComeTo) {
  for (int n = 0; n <= 20; ++n) EXPECT_EQ(FibAnswer(n), Fib(n)) << n;
  for (int n = 0; n <= 4; ++n) EXPECT_EQ(SkynetAnswer(n), Skynet(0, n)) << n;
  for (int n = 0; n <= 9; ++n) EXPECT_EQ(NQueensAnswer(n), NQueens({}, 0, n)) << n;
}

TEST(WorkloadsTest, TheComparisonsSizesHaveItsAnswers) {
  EXPECT_EQ(FibAnswer(kFibSize), 63'245'986);
  EXPECT_EQ(SkynetAnswer(kSkynetSize), 4'999'999'950'000'000);
  EXPECT_EQ(NQueensAnswer(kNQueensSize), 365'596);
  EXPECT_EQ(MatmulAnswer(kMatmulSize), 8'589'934'592);
}

TEST(WorkloadsTest, ABlockIsAddedToWhatIsThereAndNothingBesideItIsTouched) {
  constexpr int kStride = 40;
  for (const int n : {1, 2, 7, kMatmulBlock}) {
    std::vector<int> a(kStride * kStride), b(kStride * kStride), c(kStride * kStride);
    for (int i = 0; i < kStride * kStride; ++i) {
      a[i] = i % 7 - 3;
      b[i] = i % 11 - 5;
      c[i] = i;
    }
    std::vector<int> expected = c;
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) {
        for (int k = 0; k < n; ++k) {
          expected[i * kStride + j] += a[i * kStride + k] * b[k * kStride + j];
        }
      }
    }
    MultiplyBlock(a.data(), b.data(), c.data(), n, kStride);
    EXPECT_EQ(c, expected) << n;
  }
}

TEST(WorkloadsTest, AMatrixWithOneWrongElementIsNoProduct) {
  Matrices matrices(4);
  EXPECT_EQ(matrices.Check(), -1);
  MultiplyBlock(matrices.a.data(), matrices.b.data(), matrices.c.data(), 4, 4);
  EXPECT_EQ(matrices.Check(), MatmulAnswer(4));
  ++matrices.c[5];
  EXPECT_EQ(matrices.Check(), -1);
}

TEST(WorkloadsTest, ThePeakOfMemoryGrowsWithWhatIsUsed) {
  const double before = PeakMib();
  const std::vector<char> used(64 << 20, 'x');
  EXPECT_GE(PeakMib(), before + 32);
  EXPECT_EQ(used.back(), 'x');
}

}  // namespace
}  // namespace peers
