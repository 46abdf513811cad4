#include "plait/examples/wordcount/words.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace examples {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(WordCountsTest, AWordIsARunOfLettersDigitsApostrophesAndWhatIsNotAscii) {
  WordCounts counts;
  counts.Add("It's 2 words-or 3? na\xC3\xAFve; (it's)\n\tIT'S\r\n");
  EXPECT_EQ(counts.total(), 8);
  EXPECT_THAT(counts.Top(100),
              ElementsAre(Pair("it's", 3), Pair("2", 1), Pair("3", 1), Pair("na\xC3\xAFve", 1),
                          Pair("or", 1), Pair("words", 1)));
  EXPECT_EQ(counts.distinct(), 6u);
}

TEST(WordCountsTest, NothingHasNoWords) {
  WordCounts counts;
  counts.Add("");
  counts.Add(" \n--- ");
  EXPECT_EQ(counts.total(), 0);
  EXPECT_THAT(counts.Top(5), IsEmpty());
}

TEST(WordCountsTest, PartsThatAreMergedCountLikeTheWhole) {
  const std::string text = "the cat and the dog and the end";
  WordCounts whole;
  whole.Add(text);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const size_t end = WholeWords(text.substr(0, cut));
    WordCounts first;
    first.Add(text.substr(0, end));
    WordCounts second;
    second.Add(text.substr(end));
    first.Merge(second);
    EXPECT_EQ(first, whole) << cut;
    EXPECT_EQ(first.total(), 8);
  }
  EXPECT_THAT(whole.Top(2), ElementsAre(Pair("the", 3), Pair("and", 2)));
}

TEST(WordCountsTest, ATextIsCutBehindAByteThatIsOfNoWord) {
  EXPECT_EQ(WholeWords("one two"), 4u);
  EXPECT_EQ(WholeWords("one two "), 8u);
  EXPECT_EQ(WholeWords("one"), 0u);
  EXPECT_EQ(WholeWords(""), 0u);
}

}  // namespace
}  // namespace examples
