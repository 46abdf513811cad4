#include "plait/schedulers/process_pool/call_codec.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"

namespace plait::internal {
namespace {

template <class Signature, class... Arguments>
std::string Encoded(const Arguments&... arguments) {
  Encoder counting({});
  CallCodec<Signature>::EncodeArguments(counting, arguments...);
  std::string bytes(counting.needed(), '\0');
  Encoder out(absl::MakeSpan(bytes));
  CallCodec<Signature>::EncodeArguments(out, arguments...);
  return bytes;
}

template <class Signature>
absl::Status WhyNot(absl::string_view bytes) {
  Decoder in(bytes);
  EXPECT_FALSE(CallCodec<Signature>::DecodeArguments(in).has_value());
  return in.status();
}

std::string Join(absl::string_view a, std::string_view b, const char* c, const std::string& d,
                 std::string e, absl::Span<const int> numbers, std::vector<int>&& more) {
  std::string joined =
      absl::StrCat(a, absl::string_view(b.data(), b.size()), c, d, e, numbers.size());
  for (const int number : more) absl::StrAppend(&joined, ",", number);
  return joined;
}

TEST(CallCodecTest, ViewsReferencesAndValuesArriveAsTheFunctionTakesThem) {
  using Codec = CallCodec<decltype(Join)>;
  const std::vector<int> numbers = {1, 2, 3};
  const std::string bytes = Encoded<decltype(Join)>("a", std::string_view("b"), "c", "d", "e",
                                                    absl::MakeConstSpan(numbers), numbers);
  Decoder in(bytes);
  std::optional<Codec::Arguments> arguments = Codec::DecodeArguments(in);
  ASSERT_TRUE(arguments.has_value()) << in.status();
  EXPECT_EQ(Codec::Invoke(&Join, *std::move(arguments)), "abcde3,1,2,3");
}

TEST(CallCodecTest, AParameterThatIsAViewOfBytesViewsTheEncoding) {
  using Bytes = absl::Span<const unsigned char>;
  using Signature = std::string(absl::string_view, const std::string_view&, Bytes);
  using Codec = CallCodec<Signature>;
  const std::vector<unsigned char> last = {'c'};
  const std::string bytes = Encoded<Signature>("a", std::string("b"), last);
  const auto inside = [&bytes](const void* byte) {
    return std::less_equal<>()(static_cast<const void*>(bytes.data()), byte) &&
           std::less<>()(byte, static_cast<const void*>(bytes.data() + bytes.size()));
  };
  Decoder in(bytes);
  std::optional<Codec::Arguments> arguments = Codec::DecodeArguments(in);
  ASSERT_TRUE(arguments.has_value()) << in.status();
  const std::string result = Codec::Invoke(
      [&](absl::string_view a, const std::string_view& b, Bytes c) {
        EXPECT_TRUE(inside(a.data()) && inside(b.data()) && inside(c.data()));
        return absl::StrCat(a, absl::string_view(b.data(), b.size()), static_cast<int>(c[0]));
      },
      *std::move(arguments));
  EXPECT_EQ(result, "ab99");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(WhyNot<Signature>(bytes.substr(0, size)).code(), absl::StatusCode::kDataLoss);
  }
}

TEST(CallCodecTest, AViewThatIsReturnedIsStored) {
  static_assert(std::is_same_v<CallCodec<absl::string_view()>::Result, std::string>);
  static_assert(std::is_same_v<CallCodec<void()>::Result, std::monostate>);
  using Codec = CallCodec<absl::Span<const int>(const std::vector<int>&)>;
  const std::vector<int> result =
      Codec::Invoke([](const std::vector<int>& all) { return absl::MakeConstSpan(all).subspan(1); },
                    Codec::Arguments(std::vector<int>{1, 2, 3}));
  EXPECT_EQ(result, (std::vector<int>{2, 3}));
}

TEST(CallCodecTest, AFunctionWithoutParametersHasAFingerprintAndNothingElse) {
  const std::string bytes = Encoded<void()>();
  EXPECT_EQ(bytes.size(), sizeof(uint64_t));
  Decoder in(bytes);
  EXPECT_TRUE(CallCodec<void()>::DecodeArguments(in).has_value());
  EXPECT_EQ(WhyNot<void()>(bytes + "x").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(WhyNot<void()>("").code(), absl::StatusCode::kDataLoss);
}

TEST(CallCodecTest, AnotherSignatureIsAnErrorAlsoWhereTheBytesWouldFit) {
  const std::string bytes = Encoded<int(int64_t)>(5);
  EXPECT_EQ(WhyNot<int(double)>(bytes).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(WhyNot<int(uint64_t)>(bytes).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(WhyNot<long(int64_t)>(bytes).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ((WhyNot<int(int32_t, int32_t)>(bytes).code()), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(WhyNot<int()>(bytes).code(), absl::StatusCode::kFailedPrecondition);
  // A view and what it views are one.
  EXPECT_EQ(CallCodec<int(absl::string_view)>::kFingerprint,
            CallCodec<int(const std::string&)>::kFingerprint);
}

TEST(CallCodecTest, GarbageBehindTheRightFingerprintIsDataLoss) {
  const std::string bytes =
      Encoded<void(std::map<int, std::string>)>(std::map<int, std::string>{{1, "one"}, {2, "two"}});
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(WhyNot<void(std::map<int, std::string>)>(bytes.substr(0, size)).code(),
              absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace plait::internal
