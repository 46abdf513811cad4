#include "plait/schedulers/process_pool/codec_fuzz_target.h"

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "google/protobuf/descriptor.pb.h"
#include "plait/runtime/core/check.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/codec_protobuf.h"

namespace plait::fuzz {

// Its bytes are its value.
struct Point {
  int32_t x = 0;
  float weights[2] = {};
};

// By its fields, and holding itself.
struct Node {
  std::string name;
  std::vector<Node> children;
  std::map<std::string, std::optional<int>> numbers;
  std::unique_ptr<Node> next;
};

// By a codec written out, which refuses some values.
struct Even {
  uint16_t value = 0;

  friend bool operator<(Even a, Even b) { return a.value < b.value; }
};

}  // namespace plait::fuzz

template <>
struct plait::Codec<plait::fuzz::Node>
    : plait::FieldsCodec<plait::fuzz::Node, &plait::fuzz::Node::name, &plait::fuzz::Node::children,
                         &plait::fuzz::Node::numbers, &plait::fuzz::Node::next> {};

template <>
struct plait::Codec<plait::fuzz::Even> {
  static void Encode(const plait::fuzz::Even& even, Encoder& out) {
    Codec<uint16_t>::Encode(even.value, out);
  }
  static std::optional<plait::fuzz::Even> Decode(Decoder& in) {
    const std::optional<uint16_t> value = Codec<uint16_t>::Decode(in);
    if (!value.has_value()) return std::nullopt;
    if (*value % 2 != 0) return in.Fail("odd");
    return plait::fuzz::Even{*value};
  }
};

namespace plait {
namespace {

using fuzz::Even;
using fuzz::Node;
using fuzz::Point;
using Nested = std::map<std::string, std::vector<std::pair<bool, std::string>>>;
using Choice = std::variant<std::monostate, std::vector<bool>, std::set<uint16_t>, std::string>;
using Everything = std::tuple<std::vector<int16_t>, std::deque<bool>, std::array<std::string, 2>,
                              std::vector<std::array<char, 3>>, std::vector<std::tuple<>>>;
using Hashed = absl::flat_hash_map<std::string, std::list<Point>>;
using Times = std::vector<std::pair<absl::Duration, absl::Time>>;
using google::protobuf::DescriptorProto;

// What is tried: each kind of codec that there is.
template <class... Ts>
struct TypeList {};
using Types = TypeList<std::string, std::vector<int64_t>, std::vector<std::string>, Nested, Choice,
                       Everything, Node, absl::Status, absl::StatusOr<std::vector<std::string>>,
                       Times, std::optional<std::optional<bool>>, std::vector<Point>, Hashed,
                       std::multiset<Even>, DescriptorProto, std::map<int16_t, DescriptorProto>>;

template <class T, class... Ts>
constexpr size_t IndexOf(TypeList<Ts...>) {
  size_t index = 0;
  static_cast<void>(((std::is_same_v<T, Ts> ? false : (++index, true)) && ...));
  return index;
}

// Whether an encoding that decodes has one form: not in maps and sets, which sort, or shuffle.
template <class T>
inline constexpr bool kOneForm = true;
template <>
inline constexpr bool kOneForm<Node> = false;
template <>
inline constexpr bool kOneForm<Nested> = false;
template <>
inline constexpr bool kOneForm<Choice> = false;
template <>
inline constexpr bool kOneForm<Hashed> = false;
template <>
inline constexpr bool kOneForm<std::multiset<Even>> = false;
// Nor of statuses, whose payloads come in any order, and infinities, which have any seconds.
template <>
inline constexpr bool kOneForm<absl::Status> = false;
template <>
inline constexpr bool kOneForm<absl::StatusOr<std::vector<std::string>>> = false;
template <>
inline constexpr bool kOneForm<Times> = false;
// Nor of messages, whose fields may come in any order and more than once.
template <>
inline constexpr bool kOneForm<DescriptorProto> = false;
template <>
inline constexpr bool kOneForm<std::map<int16_t, DescriptorProto>> = false;

template <class T>
std::string MustEncode(const T& value) {
  absl::StatusOr<std::string> bytes = Encode(value);
  PLAIT_CHECK(bytes.ok(), "a value that was decoded cannot be encoded");
  return *std::move(bytes);
}

template <class T>
bool Try(absl::string_view bytes) {
  Decoder in(bytes);
  std::optional<T> value = Codec<T>::Decode(in);
  if (!in.Finish().ok()) return false;
  PLAIT_CHECK(value.has_value(), "a codec decoded nothing and did not say why");
  const std::string again = MustEncode(*value);
  PLAIT_CHECK(!kOneForm<T> || again == bytes, "an encoding has two forms");
  Decoder second(again);
  value = Codec<T>::Decode(second);
  PLAIT_CHECK(second.Finish().ok() && value.has_value(), "what was encoded does not decode");
  PLAIT_CHECK(MustEncode(*value).size() == again.size(), "a round trip changes a value");
  return true;
}

template <class... Ts>
uint32_t TryAll(absl::string_view bytes, TypeList<Ts...>) {
  static_assert(sizeof...(Ts) <= 32, "a bit for each");
  uint32_t values = 0;
  uint32_t bit = 1;
  static_cast<void>(((values |= Try<Ts>(bytes) ? bit : 0, bit <<= 1), ...));
  return values;
}

template <class T>
void AddTo(std::vector<CodecFuzzInput>& corpus, const T& value) {
  corpus.push_back({MustEncode(value), IndexOf<T>(Types())});
}

// With fields of every kind, some of them required.
DescriptorProto Message() {
  DescriptorProto message;
  message.set_name("m");
  message.add_nested_type()->add_field()->set_number(7);
  message.add_extension_range()->set_start(1);
  auto& option = *message.mutable_options()->add_uninterpreted_option();
  option.set_double_value(0.5);
  option.add_name()->set_name_part("n");
  option.mutable_name(0)->set_is_extension(true);
  return message;
}

}  // namespace

const std::vector<std::string>& CodecFuzzTypes() {
  static const auto* const names =
      new std::vector<std::string>{"a string",   "numbers",    "strings",     "a map",
                                   "a variant",  "a tuple",    "a tree",      "a status",
                                   "a result",   "times",      "an optional", "plain structs",
                                   "a hash map", "a multiset", "a message",   "a map of messages"};
  return *names;
}

uint32_t FuzzCodec(absl::string_view bytes) { return TryAll(bytes, Types()); }

std::vector<CodecFuzzInput> CodecFuzzCorpus() {
  std::vector<CodecFuzzInput> corpus;
  AddTo(corpus, std::string(300, 'x'));
  AddTo(corpus, std::vector<int64_t>{1, -1, 1 << 30});
  AddTo(corpus, std::vector<std::string>{"", "abc", std::string(130, 'y')});
  AddTo(corpus, Nested{{"a", {}}, {"b", {{true, "x"}, {false, "yy"}}}});
  AddTo(corpus, Choice(std::vector<bool>{true, false}));
  AddTo(corpus, Choice(std::set<uint16_t>{1, 2, 300}));
  AddTo(corpus, Everything({1, 2}, {true}, {"a", "b"}, {{'a', 'b', 'c'}}, {{}, {}}));
  Node node{"root", {}, {{"one", 1}, {"none", std::nullopt}}, std::make_unique<Node>()};
  node.children.push_back(Node{"child", {}, {}, nullptr});
  AddTo(corpus, node);
  absl::Status status = absl::InternalError("it broke");
  status.SetPayload("a", absl::Cord("payload"));
  AddTo(corpus, status);
  AddTo(corpus, absl::StatusOr<std::vector<std::string>>({"a", "b"}));
  AddTo(corpus, Times{{absl::Milliseconds(-1500), absl::UnixEpoch() + absl::Nanoseconds(1)},
                      {absl::InfiniteDuration(), absl::InfinitePast()}});
  AddTo(corpus, std::optional<std::optional<bool>>(std::optional<bool>(true)));
  AddTo(corpus, std::vector<Point>{{1, {2, 3}}, {-4, {5, 6}}});
  AddTo(corpus, Hashed{{"a", {{1, {}}}}, {"b", {}}});
  AddTo(corpus, std::multiset<Even>{{2}, {2}, {40'000}});
  AddTo(corpus, Message());
  AddTo(corpus, std::map<int16_t, DescriptorProto>{{-1, DescriptorProto()}, {7, Message()}});
  return corpus;
}

}  // namespace plait
