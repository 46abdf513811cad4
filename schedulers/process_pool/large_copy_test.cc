#include "plait/schedulers/process_pool/large_copy.h"

#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/test_clock.h"

namespace plait::internal {
namespace {

TEST(LargeCopyTest, EveryItemIsCopiedOnce) {
  constexpr size_t kStep = LargePages::kStep / sizeof(uint64_t);
  for (const size_t count : {size_t{0}, size_t{1}, kStep - 1, kStep, kStep + 1, 5 * kStep + 7}) {
    std::vector<uint64_t> numbers(count);
    std::iota(numbers.begin(), numbers.end(), 0);
    EXPECT_EQ(CopyLarge<std::vector<uint64_t>>(numbers.begin(), count), numbers);
  }
  const std::string text(3 * LargePages::kStep + 1, 'x');
  EXPECT_EQ(CopyLarge<std::string>(text.data(), text.size()), text);
}

class LargePagesTest : public ::testing::Test {
 protected:
  static constexpr size_t kSteps = 100;

  // How many steps it takes on large pages until it gives up, of which each takes so long, and each
  // on small pages `small`; kSteps: it does not.
  size_t StepsUntilItGivesUp(absl::Duration step, absl::Duration small = absl::Milliseconds(1)) {
    TestClock clock;
    LargePages pages(memory_.get(), kSteps * LargePages::kStep, clock);
    for (size_t done = 1; done <= kSteps; ++done) {
      clock.AdvanceTo(clock.Now() + (done <= LargePages::kMeasured ? small : step));
      pages.Wrote(done * LargePages::kStep);
      if (pages.gave_up()) return done - LargePages::kMeasured;
    }
    return kSteps;
  }

  // Of which no byte is touched.
  const std::unique_ptr<char[]> memory_{new char[kSteps * LargePages::kStep]};
};

TEST_F(LargePagesTest, WhatIsNotSlowerThanSmallPagesGoesOn) {
  EXPECT_EQ(StepsUntilItGivesUp(absl::Microseconds(200)), kSteps);
  EXPECT_EQ(StepsUntilItGivesUp(absl::Milliseconds(1)), kSteps);
}

TEST_F(LargePagesTest, WhatIsSlowerIsGivenUpTheSoonerTheSlowerItIs) {
  // Of 100 steps 25 ms may be lost.
  EXPECT_EQ(StepsUntilItGivesUp(absl::Milliseconds(100)), 1u);
  EXPECT_EQ(StepsUntilItGivesUp(absl::Milliseconds(6)), 6u);
  EXPECT_EQ(StepsUntilItGivesUp(absl::Milliseconds(2)), 26u);
}

TEST_F(LargePagesTest, WhereSmallPagesAreSlowLargeOnesMayBeTheSame) {
  EXPECT_EQ(StepsUntilItGivesUp(absl::Milliseconds(4), absl::Milliseconds(4)), kSteps);
  EXPECT_EQ(StepsUntilItGivesUp(absl::Milliseconds(8), absl::Milliseconds(4)), 26u);
  // Memory that was used before is fast, and says nothing of the rest.
  EXPECT_EQ(StepsUntilItGivesUp(absl::Milliseconds(1), absl::Microseconds(100)), kSteps);
}

}  // namespace
}  // namespace plait::internal
