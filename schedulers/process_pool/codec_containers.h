// Codecs of the standard library's containers and of those that look like them. Include codec.h.
//
// Memory: a container grows with the items that have really been read, never by an announced
// length alone.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_CONTAINERS_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_CONTAINERS_H_

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "plait/schedulers/process_pool/codec_base.h"
#include "plait/schedulers/process_pool/large_copy.h"

namespace plait {
namespace internal {

template <class T>
concept KeyedLike = requires(T& value) {
  typename T::key_type;
  value.size();
  value.begin();
};
// std::map, absl::flat_hash_map, ...
template <class T>
concept MapLike = KeyedLike<T> && requires { typename T::mapped_type; };
// std::set, absl::btree_set, ...
template <class T>
concept SetLike = KeyedLike<T> && !MapLike<T>;
// std::vector, std::deque, absl::InlinedVector, ...
template <class T>
concept SequenceLike = !KeyedLike<T> && requires(T& value, typename T::value_type item) {
  value.push_back(std::move(item));
  value.size();
  value.begin();
};

// How much memory a container takes in advance of what has been read.
inline constexpr size_t kReserveBytes = size_t{64} << 10;

template <class T>
void ReserveSome(T& container, size_t count) {
  constexpr size_t kMost = std::max<size_t>(1, kReserveBytes / sizeof(typename T::value_type));
  if constexpr (requires { container.reserve(count); }) container.reserve(std::min(count, kMost));
}

// Reads values that may lie anywhere, aligned or not.
template <class T>
class UnalignedIterator {
 public:
  using iterator_category = std::random_access_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using pointer = const T*;
  using reference = T;

  explicit UnalignedIterator(const char* at) : at_(at) {}
  T operator*() const {
    std::array<char, sizeof(T)> bytes;
    std::memcpy(bytes.data(), at_, sizeof(T));
    return std::bit_cast<T>(bytes);
  }
  UnalignedIterator& operator++() { return *this += 1; }
  UnalignedIterator operator++(int) { return std::exchange(*this, *this + 1); }
  UnalignedIterator& operator--() { return *this += -1; }
  UnalignedIterator& operator+=(difference_type count) {
    at_ += count * static_cast<difference_type>(sizeof(T));
    return *this;
  }
  UnalignedIterator operator+(difference_type count) const {
    UnalignedIterator result = *this;
    return result += count;
  }
  difference_type operator-(const UnalignedIterator& other) const {
    return (at_ - other.at_) / static_cast<difference_type>(sizeof(T));
  }
  bool operator==(const UnalignedIterator&) const = default;
  auto operator<=>(const UnalignedIterator&) const = default;

 private:
  const char* at_;
};

// Fails where items took no bytes: a Decoder takes no item for less than one.
inline void CheckItemsTookBytes(Encoder& out, size_t before, size_t count) {
  if (out.needed() - before < count) out.Fail("a codec of its items writes nothing");
}

}  // namespace internal

template <class T>
  requires internal::SequenceLike<T>
struct Codec<T> {
  using Item = typename T::value_type;
  static constexpr uint64_t kFingerprint = internal::MixFingerprints(
      {internal::HashText("sequence"), internal::TypeFingerprint<Item>()});

  // Of anything that can be gone through and knows its size, a Span for example.
  template <class Range>
  static void Encode(const Range& items, Encoder& out) {
    const size_t count = items.size();
    out.WriteSize(count);
    if constexpr (internal::PlainCodec<Item> && std::ranges::contiguous_range<const Range> &&
                  std::same_as<std::ranges::range_value_t<const Range>, Item>) {
      out.Write(std::ranges::data(items), count * sizeof(Item));
    } else {
      const internal::CodecLevel level(out);
      if (!level.ok()) return;
      const size_t before = out.needed();
      for (const auto& item : items) Codec<Item>::Encode(item, out);
      internal::CheckItemsTookBytes(out, before, count);
    }
  }

  static std::optional<T> Decode(Decoder& in) {
    if constexpr (internal::PlainCodec<Item>) {
      const std::optional<size_t> count = in.ReadSize(sizeof(Item));
      if (!count.has_value()) return std::nullopt;
      const std::optional<absl::string_view> bytes = in.ReadView(*count * sizeof(Item));
      if (!bytes.has_value()) return std::nullopt;
      return AllAtOnce(*bytes);
    } else {
      const std::optional<size_t> count = in.ReadSize();
      const internal::CodecLevel level(in);
      if (!count.has_value() || !level.ok()) return std::nullopt;
      std::optional<T> items(std::in_place);
      internal::ReserveSome(*items, *count);
      for (size_t i = 0; i < *count; ++i) {
        std::optional<Item> item = Codec<Item>::Decode(in);
        if (!item.has_value()) return std::nullopt;
        items->push_back(*std::move(item));
      }
      return items;
    }
  }

 private:
  static T AllAtOnce(absl::string_view bytes) {
    if constexpr (std::same_as<Item, char> || std::same_as<Item, unsigned char> ||
                  std::same_as<Item, std::byte>) {
      return Copy(reinterpret_cast<const Item*>(bytes.data()), bytes.size());
    } else {
      return Copy(internal::UnalignedIterator<Item>(bytes.data()), bytes.size() / sizeof(Item));
    }
  }
  template <class Iterator>
  static T Copy(Iterator first, size_t count) {
    if constexpr (requires(T& items) { items.reserve(count), items.data(); }) {
      if (count >= internal::kLargeCopyBytes / sizeof(Item)) {
        return internal::CopyLarge<T>(first, count);
      }
    }
    return T(first, first + static_cast<std::ptrdiff_t>(count));
  }
};

template <class T>
  requires internal::MapLike<T>
struct Codec<T> {
  using Key = typename T::key_type;
  using Mapped = typename T::mapped_type;
  static constexpr uint64_t kFingerprint =
      internal::MixFingerprints({internal::HashText("map"), internal::TypeFingerprint<Key>(),
                                 internal::TypeFingerprint<Mapped>()});

  static void Encode(const T& entries, Encoder& out) {
    out.WriteSize(entries.size());
    const internal::CodecLevel level(out);
    if (!level.ok()) return;
    const size_t before = out.needed();
    for (const auto& [key, mapped] : entries) {
      Codec<Key>::Encode(key, out);
      Codec<Mapped>::Encode(mapped, out);
    }
    internal::CheckItemsTookBytes(out, before, entries.size());
  }

  static std::optional<T> Decode(Decoder& in) {
    const std::optional<size_t> count = in.ReadSize();
    const internal::CodecLevel level(in);
    if (!count.has_value() || !level.ok()) return std::nullopt;
    std::optional<T> entries(std::in_place);
    internal::ReserveSome(*entries, *count);
    for (size_t i = 0; i < *count; ++i) {
      std::optional<Key> key = Codec<Key>::Decode(in);
      if (!key.has_value()) return std::nullopt;
      std::optional<Mapped> mapped = Codec<Mapped>::Decode(in);
      if (!mapped.has_value()) return std::nullopt;
      entries->emplace(*std::move(key), *std::move(mapped));
    }
    if (entries->size() != *count) return in.Fail("a map has a key twice");
    return entries;
  }
};

template <class T>
  requires internal::SetLike<T>
struct Codec<T> {
  using Key = typename T::key_type;
  static constexpr uint64_t kFingerprint =
      internal::MixFingerprints({internal::HashText("set"), internal::TypeFingerprint<Key>()});

  static void Encode(const T& keys, Encoder& out) {
    out.WriteSize(keys.size());
    const internal::CodecLevel level(out);
    if (!level.ok()) return;
    const size_t before = out.needed();
    for (const auto& key : keys) Codec<Key>::Encode(key, out);
    internal::CheckItemsTookBytes(out, before, keys.size());
  }

  static std::optional<T> Decode(Decoder& in) {
    const std::optional<size_t> count = in.ReadSize();
    const internal::CodecLevel level(in);
    if (!count.has_value() || !level.ok()) return std::nullopt;
    std::optional<T> keys(std::in_place);
    internal::ReserveSome(*keys, *count);
    for (size_t i = 0; i < *count; ++i) {
      std::optional<Key> key = Codec<Key>::Decode(in);
      if (!key.has_value()) return std::nullopt;
      keys->insert(*std::move(key));
    }
    if (keys->size() != *count) return in.Fail("a set has a key twice");
    return keys;
  }
};

template <class... Ts>
struct Codec<std::tuple<Ts...>> {
  static constexpr uint64_t kFingerprint =
      internal::MixFingerprints({internal::HashText("tuple"), internal::TypeFingerprint<Ts>()...});

  static void Encode(const std::tuple<Ts...>& values, Encoder& out) {
    std::apply([&out](const Ts&... value) { (Codec<Ts>::Encode(value, out), ...); }, values);
  }
  static std::optional<std::tuple<Ts...>> Decode(Decoder& in) {
    // In braces, so that they are read from left to right.
    std::tuple<std::optional<Ts>...> parts{Codec<Ts>::Decode(in)...};
    return std::apply(
        [](std::optional<Ts>&... part) -> std::optional<std::tuple<Ts...>> {
          if (!(part.has_value() && ...)) return std::nullopt;
          return std::optional<std::tuple<Ts...>>(std::in_place, *std::move(part)...);
        },
        parts);
  }
};

// Nothing, in one byte.
template <>
struct Codec<std::monostate> {
  static constexpr uint64_t kFingerprint = internal::HashText("nothing");

  static void Encode(std::monostate, Encoder& out) { out.WriteSize(0); }
  static std::optional<std::monostate> Decode(Decoder& in) {
    unsigned char byte = 0;  // g++ 12 does not see that it is read
    if (!in.Read(&byte, 1)) return std::nullopt;
    if (byte != 0) return in.Fail("something is where nothing should be");
    return std::monostate();
  }
};
template <>
struct Codec<std::tuple<>> {
  static constexpr uint64_t kFingerprint = Codec<std::monostate>::kFingerprint;

  static void Encode(std::tuple<>, Encoder& out) { Codec<std::monostate>::Encode({}, out); }
  static std::optional<std::tuple<>> Decode(Decoder& in) {
    if (!Codec<std::monostate>::Decode(in).has_value()) return std::nullopt;
    return std::tuple<>();
  }
};

template <class A, class B>
struct Codec<std::pair<A, B>> {
  static constexpr uint64_t kFingerprint = Codec<std::tuple<A, B>>::kFingerprint;

  static void Encode(const std::pair<A, B>& pair, Encoder& out) {
    Codec<A>::Encode(pair.first, out);
    Codec<B>::Encode(pair.second, out);
  }
  static std::optional<std::pair<A, B>> Decode(Decoder& in) {
    std::optional<A> first = Codec<A>::Decode(in);
    if (!first.has_value()) return std::nullopt;
    std::optional<B> second = Codec<B>::Decode(in);
    if (!second.has_value()) return std::nullopt;
    return std::optional<std::pair<A, B>>(std::in_place, *std::move(first), *std::move(second));
  }
};

template <class T, size_t kSize>
  requires(kSize > 0)
struct Codec<std::array<T, kSize>> {
  static constexpr uint64_t kFingerprint = internal::MixFingerprints(
      {internal::HashText("array"), kSize, internal::TypeFingerprint<T>()});

  static void Encode(const std::array<T, kSize>& items, Encoder& out) {
    if constexpr (internal::PlainCodec<T>) {
      out.Write(items.data(), sizeof(items));
    } else {
      for (const T& item : items) Codec<T>::Encode(item, out);
    }
  }
  static std::optional<std::array<T, kSize>> Decode(Decoder& in) {
    std::optional<std::array<T, kSize>> items(std::in_place);
    if constexpr (internal::PlainCodec<T>) {
      if (!in.Read(items->data(), sizeof(*items))) return std::nullopt;
    } else {
      for (T& item : *items) {
        if (!internal::DecodeField(item, in)) return std::nullopt;
      }
    }
    return items;
  }
};

namespace internal {

// What may be absent: a bool, and the value.
template <class T, class Holder>
struct HolderCodec {
  static constexpr uint64_t kFingerprint =
      MixFingerprints({HashText("optional"), TypeFingerprint<T>()});

  static void Encode(const Holder& holder, Encoder& out) {
    const bool present = static_cast<bool>(holder);
    Codec<bool>::Encode(present, out);
    const CodecLevel level(out);
    if (present && level.ok()) Codec<T>::Encode(*holder, out);
  }
  static std::optional<Holder> Decode(Decoder& in) {
    const std::optional<bool> present = Codec<bool>::Decode(in);
    const CodecLevel level(in);
    if (!present.has_value() || !level.ok()) return std::nullopt;
    if (!*present) return std::optional<Holder>(std::in_place);
    std::optional<T> value = Codec<T>::Decode(in);
    if (!value.has_value()) return std::nullopt;
    if constexpr (std::is_same_v<Holder, std::optional<T>>) {
      return std::optional<Holder>(std::in_place, *std::move(value));
    } else {
      return std::make_unique<T>(*std::move(value));
    }
  }
};

}  // namespace internal

template <class T>
struct Codec<std::optional<T>> : internal::HolderCodec<T, std::optional<T>> {};

// The value with it; for types that hold themselves.
template <class T>
struct Codec<std::unique_ptr<T>> : internal::HolderCodec<T, std::unique_ptr<T>> {};

template <class... Ts>
struct Codec<std::variant<Ts...>> {
  using Value = std::variant<Ts...>;
  static constexpr uint64_t kFingerprint = internal::MixFingerprints(
      {internal::HashText("variant"), internal::TypeFingerprint<Ts>()...});

  static void Encode(const Value& value, Encoder& out) {
    if (value.valueless_by_exception()) return out.Fail("a variant has no value");
    const internal::CodecLevel level(out);
    if (!level.ok()) return;
    out.WriteSize(value.index());
    std::visit(
        [&out](const auto& held) { Codec<std::remove_cvref_t<decltype(held)>>::Encode(held, out); },
        value);
  }
  static std::optional<Value> Decode(Decoder& in) {
    const internal::CodecLevel level(in);
    const std::optional<uint64_t> index = in.ReadNumber();
    if (!index.has_value() || !level.ok()) return std::nullopt;
    if (*index >= sizeof...(Ts)) return in.Fail("a variant has no such alternative");
    return DecodeAlternative(*index, in, std::index_sequence_for<Ts...>());
  }

 private:
  template <size_t... kIndexes>
  static std::optional<Value> DecodeAlternative(size_t index, Decoder& in,
                                                std::index_sequence<kIndexes...>) {
    using Read = std::optional<Value> (*)(Decoder&);
    static constexpr Read kReaders[] = {&DecodeAs<kIndexes>...};
    return kReaders[index](in);
  }
  template <size_t kIndex>
  static std::optional<Value> DecodeAs(Decoder& in) {
    auto held = Codec<std::variant_alternative_t<kIndex, Value>>::Decode(in);
    if (!held.has_value()) return std::nullopt;
    return std::optional<Value>(std::in_place, std::in_place_index<kIndex>, *std::move(held));
  }
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_CONTAINERS_H_
