#include "plait/runtime/core/check.h"

#include <string>

#include "gtest/gtest.h"

namespace plait {
namespace {

TEST(CheckTest, ACheckThatHoldsCostsNoMessage) {
  int messages = 0;
  const auto message = [&] {
    ++messages;
    return std::string("not wanted");
  };
  PLAIT_CHECK(true, message());
  EXPECT_EQ(messages, 0);
}

TEST(CheckDeathTest, ACheckThatFailsSaysWhatTheConditionAndWhere) {
  EXPECT_DEATH(
      PLAIT_CHECK(1 + 1 == 3, std::string("sums ") + "do not add up"),
      "plait: sums do not add up \\(check failed: 1 \\+ 1 == 3\\) at .*check_test.cc:[0-9]+");
}

TEST(CheckDeathTest, ACheckIsOneStatement) {
  const auto check = [](bool first, bool second) {
    if (first)
      PLAIT_CHECK(second, "both");
    else
      return 1;
    return 2;
  };
  EXPECT_EQ(check(false, false), 1);
  EXPECT_EQ(check(true, true), 2);
  EXPECT_DEATH(check(true, false), "plait: both");
}

#ifdef NDEBUG
TEST(CheckTest, ADebugCheckIsLeftOutOfOptimisedBuilds) { PLAIT_DCHECK(false, "left out"); }
#else
TEST(CheckDeathTest, ADebugCheckHoldsInDebugBuilds) {
  EXPECT_DEATH(PLAIT_DCHECK(false, "kept"), "plait: kept");
}
#endif

}  // namespace
}  // namespace plait
