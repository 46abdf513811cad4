#include "plait/examples/support/flags.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace examples {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class FlagsTest : public ::testing::Test {
 protected:
  FlagsTest() {
    flags_.Bool("loud", &loud_, "says more");
    flags_.Int("count", &count_, 1, 256, "how many");
    flags_.Int("any", &any_, std::numeric_limits<int64_t>::min(),
               std::numeric_limits<int64_t>::max(), "any number");
    flags_.Text("name", &name_, "what it is called");
    flags_.Choice("color", &color_, {"red", "blue"}, "which");
    flags_.Time("pause", &pause_, "how long");
  }

  // Parses; keeps what is printed.
  std::optional<int> Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "program");
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const std::optional<int> status =
        flags_.Parse(static_cast<int>(arguments.size()), arguments.data());
    output_ = ::testing::internal::GetCapturedStdout();
    error_ = ::testing::internal::GetCapturedStderr();
    return status;
  }

  void ExpectRefused(std::vector<const char*> arguments, const std::string& words) {
    SCOPED_TRACE(words);
    EXPECT_EQ(Parse(std::move(arguments)), kUsageError);
    EXPECT_EQ(output_, "");
    EXPECT_THAT(error_, HasSubstr(words));
    EXPECT_THAT(error_, MatchesRegex("program: [^\n]+\\.\n"));
  }

  bool loud_ = false;
  int64_t count_ = 5;
  int64_t any_ = 0;
  std::string name_ = "anna";
  std::string color_ = "red";
  std::optional<absl::Duration> pause_;
  Flags flags_{"program", "Does things."};
  std::string output_;
  std::string error_;
};

TEST_F(FlagsTest, DefaultsStayWithoutArguments) {
  EXPECT_EQ(Parse({}), std::nullopt);
  EXPECT_FALSE(loud_);
  EXPECT_EQ(count_, 5);
  EXPECT_EQ(name_, "anna");
  EXPECT_EQ(color_, "red");
  EXPECT_EQ(pause_, std::nullopt);
  EXPECT_EQ(output_ + error_, "");
}

TEST_F(FlagsTest, ValuesComeAfterAnEqualsSignOrASpace) {
  EXPECT_EQ(Parse({"--count=7", "--name", "otto", "--color", "blue", "--pause=1.5s", "--loud"}),
            std::nullopt);
  EXPECT_TRUE(loud_);
  EXPECT_EQ(count_, 7);
  EXPECT_EQ(name_, "otto");
  EXPECT_EQ(color_, "blue");
  EXPECT_EQ(pause_, absl::Milliseconds(1500));
}

TEST_F(FlagsTest, TheLastOfTwoValuesCounts) {
  EXPECT_EQ(Parse({"--count=7", "--loud", "--count=9", "--loud=false"}), std::nullopt);
  EXPECT_EQ(count_, 9);
  EXPECT_FALSE(loud_);
}

TEST_F(FlagsTest, AValueMayHoldAnEqualsSignOrBeEmpty) {
  EXPECT_EQ(Parse({"--name=a=b"}), std::nullopt);
  EXPECT_EQ(name_, "a=b");
  EXPECT_EQ(Parse({"--name="}), std::nullopt);
  EXPECT_EQ(name_, "");
}

TEST_F(FlagsTest, NumbersMayBeAsLargeAsTheyAllow) {
  EXPECT_EQ(Parse({"--any=9223372036854775807", "--count", "256"}), std::nullopt);
  EXPECT_EQ(any_, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(count_, 256);
  EXPECT_EQ(Parse({"--any", "-9223372036854775808"}), std::nullopt);
  EXPECT_EQ(any_, std::numeric_limits<int64_t>::min());
}

TEST_F(FlagsTest, WhatIsNotANumberInRangeIsRefused) {
  for (const char* bad : {"0", "-5", "257", "", " 5", "5 ", "5x", "1e2", "0x10", "nan", "inf",
                          "5.0", "99999999999999999999999", "--", "+-5"}) {
    ExpectRefused({"--count", bad}, "--count");
    ExpectRefused({(std::string("--count=") + bad).c_str()},
                  std::string("--count: \"") + bad + "\" is not a whole number from 1 to 256");
  }
  ExpectRefused({"--any=9223372036854775808"}, "is not a whole number");
  EXPECT_EQ(count_, 5);
}

TEST_F(FlagsTest, WhatIsNotALengthOfTimeIsRefused) {
  for (const char* bad : {"-1s", "nan", "inf", "-inf", "5", "", "1 s", "s", "1e3s", "1y"}) {
    ExpectRefused({(std::string("--pause=") + bad).c_str()},
                  std::string("--pause: \"") + bad + "\" is not a length of time");
  }
  // Abseil calls it infinite: longer than it can count.
  ExpectRefused({"--pause=99999999999999999999h"}, "is not a length of time");
  EXPECT_EQ(pause_, std::nullopt);
}

TEST_F(FlagsTest, ZeroIsALengthOfTime) {
  EXPECT_EQ(Parse({"--pause=0"}), std::nullopt);
  EXPECT_EQ(pause_, absl::ZeroDuration());
}

TEST_F(FlagsTest, WhatIsNotAChoiceIsRefused) {
  ExpectRefused({"--color=green"}, "--color: \"green\" is not one of red, blue");
  ExpectRefused({"--color=Red"}, "is not one of red, blue");
  ExpectRefused({"--loud=maybe"}, "--loud: \"maybe\" is not true or false");
}

TEST_F(FlagsTest, AMissingValueIsRefused) {
  ExpectRefused({"--count"}, "--count needs a value: --count=N");
  ExpectRefused({"--count", "--loud"}, "--count needs a value");
}

TEST_F(FlagsTest, UnknownFlagsAndStrayWordsAreRefused) {
  ExpectRefused({"--size=3"}, "there is no flag \"--size\"");
  ExpectRefused({"-count=3"}, "\"-count=3\" is not a flag");
  ExpectRefused({"--loud", "very"}, "\"very\" is not a flag");
  ExpectRefused({"--\x1b[31m"}, "there is no flag \"--\\x1b[31m\"");
}

TEST_F(FlagsTest, HelpExplainsEveryFlagWithItsDefault) {
  EXPECT_EQ(Parse({"--count=7", "--help"}), 0);
  EXPECT_EQ(error_, "");
  EXPECT_THAT(output_, HasSubstr("Does things.\n\nUsage: program [flags]\n"));
  EXPECT_THAT(output_, HasSubstr("  --loud\n      says more\n"));
  EXPECT_THAT(output_, HasSubstr("  --count=N\n      how many (default: 5)\n"));
  EXPECT_THAT(output_, HasSubstr("  --color=red|blue\n      which (default: red)\n"));
  EXPECT_THAT(output_, HasSubstr("  --pause=TIME\n      how long\n"));
  EXPECT_THAT(output_, HasSubstr("  --help\n"));
}

TEST_F(FlagsTest, HelpIsOfferedForWhatItCanHelpWith) {
  ExpectRefused({"--count=0"}, "; --help tells more.");
  flags_.Check([] { return absl::ResourceExhaustedError("no memory"); });
  ExpectRefused({}, "program: no memory.\n");
}

TEST_F(FlagsTest, AFailedCheckRefusesWithItsMessage) {
  flags_.Check([this] {
    return count_ == 13 ? absl::InvalidArgumentError("not that number") : absl::OkStatus();
  });
  EXPECT_EQ(Parse({"--count=12"}), std::nullopt);
  ExpectRefused({"--count=13"}, "not that number");
  EXPECT_EQ(Parse({"--count=13", "--help"}), 0);
}

}  // namespace
}  // namespace examples
