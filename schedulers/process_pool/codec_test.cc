#include "plait/schedulers/process_pool/codec.h"

#include <array>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace codec_test {

enum class Colour : uint8_t { kRed = 1, kBlue = 200 };

struct Point {
  int32_t x = 0;
  int64_t y = 0;
  double weight[3] = {};
  friend bool operator==(const Point& a, const Point& b) {
    return a.x == b.x && a.y == b.y && a.weight[0] == b.weight[0] && a.weight[2] == b.weight[2];
  }
};

// By its fields, and holding itself.
struct Tree {
  std::string name;
  std::vector<Tree> children;
  std::unique_ptr<Tree> twin;
};

// By a codec written out, which accepts only some values.
class Money {
 public:
  explicit Money(int64_t cents) : cents_(cents) {}
  int64_t cents() const { return cents_; }

 private:
  int64_t cents_;
};

// Its codec breaks the rule that something must be written.
struct Silent {};

}  // namespace codec_test

template <>
struct plait::Codec<codec_test::Tree>
    : plait::FieldsCodec<codec_test::Tree, &codec_test::Tree::name, &codec_test::Tree::children,
                         &codec_test::Tree::twin> {};

template <>
struct plait::Codec<codec_test::Money> {
  static void Encode(const codec_test::Money& money, Encoder& out) {
    Codec<int64_t>::Encode(money.cents(), out);
  }
  static std::optional<codec_test::Money> Decode(Decoder& in) {
    const std::optional<int64_t> cents = Codec<int64_t>::Decode(in);
    if (!cents.has_value()) return std::nullopt;
    if (*cents < 0) return in.Fail("money is negative");
    return codec_test::Money(*cents);
  }
};

template <>
struct plait::Codec<codec_test::Silent> {
  static void Encode(const codec_test::Silent&, Encoder&) {}
  static std::optional<codec_test::Silent> Decode(Decoder&) { return codec_test::Silent(); }
};

namespace plait {
namespace {

using codec_test::Colour;
using codec_test::Money;
using codec_test::Point;
using codec_test::Silent;
using codec_test::Tree;
using testing::HasSubstr;

// Encodes and decodes, and tries every prefix of the encoding and one byte too many on the way:
// each must fail, and cleanly.
template <class T>
std::optional<T> RoundTrip(const T& value) {
  const absl::StatusOr<std::string> bytes = Encode(value);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  if (!bytes.ok()) return std::nullopt;
  const auto decode = [](absl::string_view text) {
    // On the heap and of exactly that size, so that ASan sees a byte too many.
    const std::vector<char> exact(text.begin(), text.end());
    Decoder in(absl::string_view(exact.data(), exact.size()));
    std::optional<T> back = Codec<T>::Decode(in);
    if (const absl::Status status = in.Finish(); !status.ok()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
      back.reset();
    }
    return back;
  };
  for (size_t size = 0; size < bytes->size(); ++size) {
    EXPECT_FALSE(decode(absl::string_view(*bytes).substr(0, size)).has_value())
        << size << " of " << bytes->size() << " bytes";
  }
  EXPECT_FALSE(decode(*bytes + '\0').has_value());
  return decode(*bytes);
}

template <class T>
void ExpectSame(const T& value) {
  const std::optional<T> back = RoundTrip(value);
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(*back == value);
}

TEST(CodecTest, NumbersEnumsAndPlainStructsComeBackAsTheyWere) {
  ExpectSame(std::numeric_limits<int64_t>::min());
  ExpectSame(std::numeric_limits<uint64_t>::max());
  ExpectSame(int8_t{-1});
  ExpectSame('x');
  ExpectSame(3.25f);
  ExpectSame(-0.0);
  ExpectSame(true);
  ExpectSame(false);
  ExpectSame(Colour::kBlue);
  ExpectSame(Point{-7, int64_t{1} << 60, {0.5, 1, 2}});
  EXPECT_TRUE(std::isnan(*RoundTrip(std::nan(""))));
}

TEST(CodecTest, StringsOfEveryLengthAtWhichTheLengthGrowsComeBack) {
  for (const size_t size : {0, 1, 127, 128, 129, 255, 256}) {
    ExpectSame(std::string(size, '\0'));
    ExpectSame(std::string(size, '\xff'));
  }
  for (const size_t size : {16383, 16384, 100'000}) {
    const std::string text(size, 'a');
    EXPECT_EQ(*Decode<std::string>(*Encode(text)), text);
  }
}

TEST(CodecTest, SequencesComeBackWhateverTheirKindAndTheirItems) {
  ExpectSame(std::vector<int>{});
  ExpectSame(std::vector<int>{1, -2, 3});
  ExpectSame(std::vector<char>{'a', '\0'});
  ExpectSame(std::vector<std::byte>{std::byte{0}, std::byte{255}});
  ExpectSame(std::vector<bool>{true, false, true});
  ExpectSame(std::vector<Colour>{Colour::kRed, Colour::kBlue});
  ExpectSame(std::vector<Point>{{1, 2, {}}, {3, 4, {5, 0, 6}}});
  ExpectSame(std::vector<std::string>{"", "a", std::string(200, 'b')});
  ExpectSame(std::vector<std::vector<std::string>>{{}, {"a"}, {"b", "c"}});
  ExpectSame(std::deque<int16_t>{1, 2, 3});
  ExpectSame(std::list<std::string>{"x", "y"});
  ExpectSame(absl::InlinedVector<int, 2>{1, 2, 3});
  ExpectSame(std::vector<std::tuple<>>(3));
  ExpectSame(std::array<int, 3>{1, 2, 3});
  ExpectSame(std::array<std::string, 2>{"a", ""});
}

TEST(CodecTest, VeryLargeStringsAndSequencesComeBack) {
  std::string text(internal::kLargeCopyBytes + 1, 'x');
  text.back() = 'y';
  EXPECT_TRUE(*Decode<std::string>(*Encode(text)) == text);
  std::vector<int32_t> numbers(internal::kLargeCopyBytes / sizeof(int32_t) + 1);
  std::iota(numbers.begin(), numbers.end(), 0);
  EXPECT_TRUE(*Decode<std::vector<int32_t>>(*Encode(numbers)) == numbers);
}

TEST(CodecTest, MapsAndSetsComeBack) {
  ExpectSame(std::map<std::string, std::vector<int>>{{"a", {1}}, {"", {}}});
  ExpectSame(std::unordered_map<int, std::string>{{1, "one"}, {2, "two"}});
  ExpectSame(absl::flat_hash_map<std::string, double>{{"pi", 3.14}});
  ExpectSame(std::set<std::pair<int, bool>>{{1, true}, {2, false}});
  ExpectSame(std::multiset<int>{1, 1, 2});
  ExpectSame(std::multimap<int, std::string>{{1, "a"}, {1, "b"}});
}

TEST(CodecTest, PairsTuplesOptionalsPointersAndVariantsComeBack) {
  ExpectSame(std::pair<std::string, int>("a", 1));
  ExpectSame(std::tuple<>());
  ExpectSame(std::tuple<int, std::string, std::vector<bool>>(1, "two", {true}));
  ExpectSame(std::tuple<std::optional<int>>(std::nullopt));
  ExpectSame(std::optional<int>());
  ExpectSame(std::optional<int>(0));
  ExpectSame(std::optional<std::optional<std::string>>(std::optional<std::string>()));
  ExpectSame(std::variant<std::monostate, int, std::string, int>());
  ExpectSame(std::variant<std::monostate, int, std::string, int>(std::in_place_index<3>, 7));
  ExpectSame(std::variant<int, std::string>("text"));
  const auto pointer = RoundTrip(std::make_unique<std::string>("owned"));
  ASSERT_TRUE(pointer.has_value());
  EXPECT_EQ(**pointer, "owned");
  EXPECT_EQ(*RoundTrip(std::unique_ptr<int>()), nullptr);
}

TEST(CodecTest, AStatusComesBackWithItsCodeItsMessageAndItsPayloads) {
  ExpectSame(absl::OkStatus());
  absl::Status status = absl::UnavailableError("the peer\0is gone");
  ExpectSame(status);
  const std::string more(5000, 'x');
  absl::Cord payload("one ");
  payload.Append(absl::string_view(more));
  status.SetPayload("type.example/one", payload);
  status.SetPayload("type.example/two", absl::Cord());
  ExpectSame(status);
  ExpectSame(absl::StatusOr<std::string>("value"));
  ExpectSame(absl::StatusOr<std::string>(status));
  // Of these the error is the result, or says why there is none.
  EXPECT_EQ(Decode<absl::Status>(*Encode(status)), status);
  EXPECT_EQ(Decode<absl::StatusOr<int>>(*Encode(absl::StatusOr<int>(5))).value(), 5);
  EXPECT_EQ(Decode<absl::Status>("").code(), absl::StatusCode::kDataLoss);
}

TEST(CodecTest, AStatusWithACodeThatAbseilDoesNotKnowArrivesAsUnknown) {
  const absl::Status odd(static_cast<absl::StatusCode>(77), "odd");
  EXPECT_EQ(Decode<absl::Status>(*Encode(odd)), absl::UnknownError("odd"));
  EXPECT_THAT(Decode<absl::Status>(absl::string_view("\x11\0\0", 3)).message(),
              HasSubstr("a code that there is not"));
}

TEST(CodecTest, TimesAndDurationsComeBackExactly) {
  const absl::Duration tick = absl::Nanoseconds(1) / 4;
  for (const absl::Duration duration :
       {absl::ZeroDuration(), tick, -tick, absl::Seconds(1) - tick, absl::Seconds(-1) + tick,
        absl::Seconds(-1), absl::Seconds(std::numeric_limits<int64_t>::max()),
        absl::Seconds(std::numeric_limits<int64_t>::min()), absl::InfiniteDuration(),
        absl::Seconds(std::numeric_limits<int64_t>::min()) + tick, -absl::InfiniteDuration()}) {
    SCOPED_TRACE(absl::FormatDuration(duration));
    ExpectSame(duration);
  }
  ExpectSame(absl::UnixEpoch());
  ExpectSame(absl::FromUnixNanos(-1));
  ExpectSame(absl::InfiniteFuture());
  ExpectSame(absl::InfinitePast());
}

TEST(CodecTest, UserTypesGoThroughTheirOwnCodecsAlsoInContainers) {
  Tree tree{"root", {}, nullptr};
  tree.children.push_back(Tree{"leaf", {}, std::make_unique<Tree>()});
  tree.children[0].twin->name = "twin";
  const std::optional<Tree> back = RoundTrip(tree);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->name, "root");
  ASSERT_EQ(back->children.size(), 1u);
  EXPECT_EQ(back->children[0].twin->name, "twin");
  EXPECT_EQ(back->twin, nullptr);

  const auto map = RoundTrip(std::map<int, Money>{{1, Money(5)}});
  ASSERT_TRUE(map.has_value());
  EXPECT_EQ(map->at(1).cents(), 5);
  const absl::StatusOr<Money> negative = Decode<Money>(*Encode(int64_t{-1}));
  EXPECT_EQ(negative.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(negative.status().message(), HasSubstr("money is negative"));
}

TEST(CodecTest, ACodecThatWritesNothingIsFoundOutByTheEncoderOfItsList) {
  EXPECT_EQ(Encode(std::vector<Silent>(3)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Encode(std::vector<Silent>()).ok());
}

TEST(CodecTest, AViewEncodesLikeWhatItViews) {
  char bytes[16];
  const auto encoded = [&](auto&& write) {
    Encoder out{absl::MakeSpan(bytes)};
    write(out);
    EXPECT_TRUE(out.fits());
    return std::string(bytes, out.needed());
  };
  const std::string text = encoded([](Encoder& out) { Codec<std::string>::Encode("abc", out); });
  EXPECT_EQ(text, *Encode(std::string("abc")));
  EXPECT_EQ(text, encoded([](Encoder& out) {
              Codec<std::string>::Encode(absl::string_view("abc"), out);
            }));
  EXPECT_EQ(text, encoded([](Encoder& out) {
              Codec<std::string>::Encode(std::string_view("abc"), out);
            }));
  const std::vector<int16_t> numbers = {1, 2, 3};
  const std::string list = *Encode(numbers);
  EXPECT_EQ(list, encoded([&](Encoder& out) {
              Codec<std::vector<int16_t>>::Encode(absl::MakeConstSpan(numbers), out);
            }));
  // All at once or one by one: the same bytes.
  EXPECT_EQ(list, *Encode(std::list<int16_t>{1, 2, 3}));
}

TEST(CodecTest, ABufferThatIsTooSmallIsLeftAloneBehindItsEndAndTheNeedIsCounted) {
  const std::vector<std::string> value = {"one", "two", std::string(300, 'x')};
  const std::string whole = *Encode(value);
  for (size_t size = 0; size < whole.size(); ++size) {
    std::vector<char> exact(size);
    Encoder out{absl::MakeSpan(exact)};
    Codec<std::vector<std::string>>::Encode(value, out);
    EXPECT_FALSE(out.fits());
    EXPECT_EQ(out.needed(), whole.size());
    EXPECT_TRUE(out.status().ok());
  }
}

// What follows are encodings that nobody but an enemy or a broken process makes.

template <class T>
absl::Status WhyNot(absl::string_view bytes, CodecLimits limits = {}) {
  return internal::StatusOf(Decode<T>(bytes, limits));
}

TEST(CodecTest, LengthsThatAreNotThereAreRefusedBeforeAnyMemoryIsTaken) {
  const std::string huge("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);  // 2^64 - 1
  const std::string rest(100, 'x');
  EXPECT_THAT(WhyNot<std::string>(huge + rest).message(), HasSubstr("are announced"));
  EXPECT_THAT(WhyNot<std::vector<Point>>(huge + rest).message(), HasSubstr("are announced"));
  EXPECT_THAT(WhyNot<std::vector<std::string>>(huge + rest).message(), HasSubstr("are announced"));
  EXPECT_EQ((WhyNot<std::map<int, int>>(huge + rest).code()), absl::StatusCode::kDataLoss);
  EXPECT_EQ(WhyNot<std::set<int>>(huge + rest).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ((WhyNot<std::variant<int>>(huge + rest).code()), absl::StatusCode::kDataLoss);
  // So that times the size of an item it wraps to 8.
  const std::string wraps("\x81\x80\x80\x80\x80\x80\x80\x80\x20", 9);  // 2^61 + 1
  EXPECT_EQ(WhyNot<std::vector<int64_t>>(wraps + rest).code(), absl::StatusCode::kDataLoss);
  // One more than there are.
  EXPECT_EQ(WhyNot<std::string>("\x05"
                                "abcd")
                .code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(*Decode<std::string>("\x05"
                                 "abcde"),
            "abcde");
}

TEST(CodecTest, ALengthHasOneForm) {
  EXPECT_THAT(WhyNot<std::string>(absl::string_view("\x80\x00", 2)).message(),
              HasSubstr("needless bytes"));
  EXPECT_THAT(WhyNot<std::string>("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").message(),
              HasSubstr("more than 64 bits"));
  EXPECT_THAT(WhyNot<std::string>("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01").message(),
              HasSubstr("more than 64 bits"));
  EXPECT_THAT(WhyNot<std::string>("\xff\xff").message(), HasSubstr("too early"));
}

TEST(CodecTest, BytesThatAreNoValueOfTheirTypeAreRefused) {
  EXPECT_THAT(WhyNot<bool>("\x02").message(), HasSubstr("neither true nor false"));
  EXPECT_THAT(WhyNot<std::vector<bool>>("\x01\x7f").message(), HasSubstr("byte 2 of 2"));
  EXPECT_THAT(WhyNot<std::optional<int>>("\x02xxxx").message(), HasSubstr("neither"));
  EXPECT_THAT((WhyNot<std::variant<int, bool>>("\x02xxxx").message()),
              HasSubstr("no such alternative"));
  EXPECT_THAT((WhyNot<std::map<char, char>>("\x02"
                                            "a1"
                                            "a2")
                   .message()),
              HasSubstr("a key twice"));
  EXPECT_THAT(WhyNot<std::set<char>>("\x02"
                                     "aa")
                  .message(),
              HasSubstr("a key twice"));
  EXPECT_THAT(WhyNot<std::tuple<>>("\x01").message(), HasSubstr("nothing should be"));
  EXPECT_THAT(WhyNot<absl::Duration>("12345678\xfe\xff\xff\xff").message(),
              HasSubstr("more than a second"));
  EXPECT_THAT(
      WhyNot<absl::Status>(absl::string_view("\x02\x00\x02\x01x\x00\x01x\x00", 9)).message(),
      HasSubstr("a payload twice"));
}

TEST(CodecTest, NestingThatWouldOverflowTheStackIsRefusedOnBothSides) {
  Tree tree;
  for (int i = 0; i < 100'000; ++i) {
    Tree parent;
    parent.children.push_back(std::move(tree));
    tree = std::move(parent);
  }
  EXPECT_THAT(Encode(tree).status().message(), HasSubstr("nested deeper"));
  // Taken apart from the top, as the destructor would overflow too.
  while (!tree.children.empty()) {
    Tree child = std::move(tree.children[0]);
    tree = std::move(child);
  }
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) bytes += std::string("\x00\x01", 2);
  const absl::Status status = WhyNot<Tree>(bytes);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("nested deeper"));
}

TEST(CodecTest, MoreThanTheLimitIsRefusedOnBothSides) {
  const CodecLimits limits{.max_bytes = 100};
  EXPECT_TRUE(Encode(std::string(99, 'x'), limits).ok());
  EXPECT_EQ(Encode(std::string(100, 'x'), limits).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(WhyNot<std::string>(*Encode(std::string(100, 'x')), limits).code(),
            absl::StatusCode::kResourceExhausted);
}

template <class T>
constexpr uint64_t kOf = internal::TypeFingerprint<T>();

TEST(TypeFingerprintTest, TypesThatReadEachOthersBytesAlikeAreOneAndOthersAreNot) {
  EXPECT_EQ(kOf<long>, kOf<long long>);
  EXPECT_EQ(kOf<std::vector<int>>, kOf<std::deque<int>>);
  EXPECT_EQ((kOf<std::pair<int, bool>>), (kOf<std::tuple<int, bool>>));
  const std::set<uint64_t> different = {
      kOf<int>,
      kOf<unsigned>,
      kOf<float>,
      kOf<int64_t>,
      kOf<bool>,
      kOf<Colour>,
      kOf<Point>,
      kOf<Tree>,
      kOf<Money>,
      kOf<std::string>,
      kOf<std::vector<int>>,
      kOf<std::vector<std::vector<int>>>,
      kOf<std::optional<int>>,
      kOf<std::set<int>>,
      kOf<std::map<int, bool>>,
      kOf<std::map<bool, int>>,
      kOf<std::tuple<int, bool>>,
      kOf<std::tuple<bool, int>>,
      kOf<std::array<int, 2>>,
      kOf<std::array<int, 3>>,
      kOf<absl::Status>,
      kOf<absl::StatusOr<int>>,
      kOf<absl::Duration>,
      kOf<absl::Time>,
  };
  EXPECT_EQ(different.size(), 24u);
}

struct NamesSomething {
  int size = 0;
  const char* name = nullptr;
};
struct PointsFarIn {
  int a = 0;
  struct {
    double b[4] = {};
    int* pointer = nullptr;
  } inner;
};
struct Views {
  int a = 0;
  std::string_view text;
};
struct ViewsBehindAClass {
  absl::Duration duration;
  absl::Span<const int> numbers;
};
struct Refers {
  std::reference_wrapper<int> number;
};
struct ArrayOfPointers {
  std::array<const char*, 2> names;
};
struct NoPointer {
  int a = 0;
  Point points[2];
  Colour colour = Colour::kRed;
};
struct NoPointerEither {
  absl::Duration duration;
  std::array<Point, 2> points;
  std::complex<double> number;
  std::chrono::nanoseconds nanos{0};
};

TEST(PlainValueTest, PointersAndViewsDoNotPassForPlainValues) {
  EXPECT_FALSE(internal::PlainValue<int*>);
  EXPECT_FALSE(internal::PlainValue<void (*)()>);
  EXPECT_FALSE(internal::PlainValue<int Point::*>);
  EXPECT_FALSE(internal::PlainValue<std::nullptr_t>);
  EXPECT_FALSE(internal::PlainValue<absl::string_view>);
  EXPECT_FALSE(internal::PlainValue<std::string_view>);
  EXPECT_FALSE(internal::PlainValue<absl::Span<int>>);
  EXPECT_FALSE(internal::PlainValue<std::reference_wrapper<int>>);
  EXPECT_FALSE(internal::PlainValue<NamesSomething>);
  EXPECT_FALSE(internal::PlainValue<PointsFarIn>);
  EXPECT_FALSE(internal::PlainValue<Views>);
  EXPECT_FALSE(internal::PlainValue<ViewsBehindAClass>);
  EXPECT_FALSE(internal::PlainValue<Refers>);
  EXPECT_FALSE(internal::PlainValue<ArrayOfPointers>);
  EXPECT_FALSE(internal::PlainValue<std::string>);
  EXPECT_TRUE(internal::PlainValue<Point>);
  EXPECT_TRUE(internal::PlainValue<NoPointer>);
  EXPECT_TRUE(internal::PlainValue<NoPointerEither>);
  EXPECT_TRUE(internal::PlainValue<Colour>);
}

}  // namespace
}  // namespace plait
