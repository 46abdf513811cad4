#include "plait/schedulers/process_pool/codec_fuzz_target.h"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "plait/runtime/core/check.h"
#include "plait/schedulers/process_pool/codec.h"

namespace plait::fuzz {

struct Node {
  std::string name;
  std::vector<Node> children;
  std::map<std::string, std::optional<int>> numbers;
  std::unique_ptr<Node> next;
};

}  // namespace plait::fuzz

template <>
struct plait::Codec<plait::fuzz::Node>
    : plait::FieldsCodec<plait::fuzz::Node, &plait::fuzz::Node::name, &plait::fuzz::Node::children,
                         &plait::fuzz::Node::numbers, &plait::fuzz::Node::next> {};

namespace plait {
namespace {

using fuzz::Node;
using Nested = std::map<std::string, std::vector<std::pair<bool, std::string>>>;
using Choice = std::variant<std::monostate, std::vector<bool>, std::set<uint16_t>, std::string>;
using Everything = std::tuple<std::vector<int16_t>, std::deque<bool>, std::array<std::string, 2>,
                              std::vector<std::array<char, 3>>, std::vector<std::tuple<>>>;

// Whether an encoding that decodes has one form: not in maps, which sort.
template <class T>
inline constexpr bool kOneForm = true;
template <>
inline constexpr bool kOneForm<Node> = false;
template <>
inline constexpr bool kOneForm<Nested> = false;
template <>
inline constexpr bool kOneForm<Choice> = false;
// Nor of statuses, whose payloads come in any order, and infinities, which have any seconds.
template <>
inline constexpr bool kOneForm<absl::Status> = false;
template <>
inline constexpr bool kOneForm<absl::StatusOr<std::vector<std::string>>> = false;
template <>
inline constexpr bool kOneForm<std::vector<absl::Duration>> = false;

template <class T>
std::string MustEncode(const T& value) {
  absl::StatusOr<std::string> bytes = Encode(value);
  PLAIT_CHECK(bytes.ok(), "a value that was decoded cannot be encoded");
  return *std::move(bytes);
}

template <class T>
int Try(absl::string_view bytes) {
  Decoder in(bytes);
  std::optional<T> value = Codec<T>::Decode(in);
  if (!in.Finish().ok()) return 0;
  PLAIT_CHECK(value.has_value(), "a codec decoded nothing and did not say why");
  const std::string again = MustEncode(*value);
  PLAIT_CHECK(!kOneForm<T> || again == bytes, "an encoding has two forms");
  Decoder second(again);
  value = Codec<T>::Decode(second);
  PLAIT_CHECK(second.Finish().ok() && value.has_value(), "what was encoded does not decode");
  PLAIT_CHECK(MustEncode(*value).size() == again.size(), "a round trip changes a value");
  return 1;
}

}  // namespace

int FuzzCodec(absl::string_view bytes) {
  return Try<std::string>(bytes) + Try<std::vector<int64_t>>(bytes) +
         Try<std::vector<std::string>>(bytes) + Try<Nested>(bytes) + Try<Choice>(bytes) +
         Try<Everything>(bytes) + Try<Node>(bytes) + Try<absl::Status>(bytes) +
         Try<absl::StatusOr<std::vector<std::string>>>(bytes) +
         Try<std::vector<absl::Duration>>(bytes) + Try<std::optional<std::optional<bool>>>(bytes);
}

std::vector<std::string> CodecFuzzCorpus() {
  std::vector<std::string> corpus;
  corpus.push_back(MustEncode(std::string(300, 'x')));
  corpus.push_back(MustEncode(std::vector<int64_t>{1, -1, 1 << 30}));
  corpus.push_back(MustEncode(std::vector<std::string>{"", "abc", std::string(130, 'y')}));
  corpus.push_back(MustEncode(Nested{{"a", {}}, {"b", {{true, "x"}, {false, "yy"}}}}));
  corpus.push_back(MustEncode(Choice(std::vector<bool>{true, false})));
  corpus.push_back(MustEncode(Choice(std::set<uint16_t>{1, 2, 300})));
  corpus.push_back(MustEncode(Everything({1, 2}, {true}, {"a", "b"}, {{'a', 'b', 'c'}}, {{}, {}})));
  Node node{"root", {}, {{"one", 1}, {"none", std::nullopt}}, std::make_unique<Node>()};
  node.children.push_back(Node{"child", {}, {}, nullptr});
  corpus.push_back(MustEncode(node));
  absl::Status status = absl::InternalError("it broke");
  status.SetPayload("a", absl::Cord("payload"));
  corpus.push_back(MustEncode(status));
  corpus.push_back(MustEncode(absl::StatusOr<std::vector<std::string>>({"a", "b"})));
  corpus.push_back(
      MustEncode(std::vector<absl::Duration>{absl::Milliseconds(-1500), absl::InfiniteDuration()}));
  corpus.push_back(MustEncode(std::optional<std::optional<bool>>(std::optional<bool>(true))));
  return corpus;
}

}  // namespace plait
