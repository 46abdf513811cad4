#include "plait/examples/support/show.h"

#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace examples {
namespace {

TEST(ShowTest, BytesAreShownInTheUnitThatFits) {
  EXPECT_EQ(ShowBytes(0), "0 bytes");
  EXPECT_EQ(ShowBytes(1023), "1023 bytes");
  EXPECT_EQ(ShowBytes(1024), "1.0 KiB");
  EXPECT_EQ(ShowBytes(1536), "1.5 KiB");
  EXPECT_EQ(ShowBytes(5 * 1024 * 1024 / 2), "2.5 MiB");
}

TEST(ShowTest, TextThatPeopleWriteStaysAsItIs) {
  for (const char* const text :
       {"", "it's \"here\".jpg", "back\\slash", "Grüße.png", "写真.jpg", "🙂"}) {
    EXPECT_EQ(ShowText(text), text);
  }
}

TEST(ShowTest, WhatMovesTheCursorIsSpelledOut) {
  EXPECT_EQ(ShowText("\x1b[2Jgone"), "\\x1b[2Jgone");
  EXPECT_EQ(ShowText("two\nlines\r"), "two\\x0alines\\x0d");
  EXPECT_EQ(ShowText(absl::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(ShowText("\x7f"), "\\x7f");
  EXPECT_EQ(ShowText("\xc2\x9b"
                     "31m"),
            "\\xc2\\x9b31m");
  EXPECT_EQ(ShowText("\xc2\xa0"), "\xc2\xa0") << "a space that does not break is a character";
}

TEST(ShowTest, WhatIsNoUtf8IsSpelledOut) {
  EXPECT_EQ(ShowText("\x9b"
                     "31m"),
            "\\x9b31m");
  EXPECT_EQ(ShowText("caf\xe9"), "caf\\xe9");
  EXPECT_EQ(ShowText("\xc3(\xff"), "\\xc3(\\xff");
  EXPECT_EQ(ShowText("\xf0\x9f\x99"), "\\xf0\\x9f\\x99") << "it was cut off";
}

}  // namespace
}  // namespace examples
