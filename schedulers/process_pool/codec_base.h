// Codec<T> itself, for types whose bytes are their value, bool and strings. Include codec.h, which
// is the manual and brings the codecs of everything else: a type must have one and the same codec
// everywhere.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_BASE_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_BASE_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/string_view.h"
#include "plait/schedulers/process_pool/large_copy.h"
#include "plait/schedulers/process_pool/type_fingerprint.h"
#include "plait/schedulers/process_pool/wire.h"

namespace plait {
namespace internal {

template <class T>
inline constexpr bool kIsReferenceWrapper = false;
template <class T>
inline constexpr bool kIsReferenceWrapper<std::reference_wrapper<T>> = true;

// A view of memory elsewhere: string_view, Span, initializer_list and the like.
template <class T>
concept ViewLike = requires(const T& value) {
  value.begin();
  value.size();
};

// What names memory of this process. An aggregate, such as a std::array, does by its parts.
template <class T>
concept PointerLike = std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                      kIsReferenceWrapper<T> || (ViewLike<T> && !std::is_aggregate_v<T>);

// Becomes anything but an aggregate, and with kPointer only what names memory.
template <bool kPointer>
struct PartProbe {
  template <class U>
    requires(kPointer ? PointerLike<U> : !std::is_aggregate_v<U>)
  operator U() const;  // NOLINT: implicit on purpose
};

// Whether part number sizeof...(kBefore) of an aggregate, those of aggregates in it counted one by
// one, is a pointer.
template <class T, size_t... kBefore>
constexpr bool PointerAt(std::index_sequence<kBefore...>) {
  return requires { T{(static_cast<void>(kBefore), PartProbe<false>())..., PartProbe<true>()}; };
}
template <class T, size_t... kIndexes>
constexpr bool PointerAmong(std::index_sequence<kIndexes...>) {
  return (PointerAt<T>(std::make_index_sequence<kIndexes>()) || ...);
}

// Whether there is a pointer or a view among the first 16 parts of an aggregate. It finds the usual
// mistake, not every one: it does not look into classes that are no aggregates.
template <class T>
constexpr bool HoldsPointer() {
  if constexpr (std::is_class_v<T> && std::is_aggregate_v<T>) {
    return PointerAmong<T>(std::make_index_sequence<16>());
  } else {
    return false;
  }
}

template <class T>
concept PlainValue =
    std::is_trivially_copyable_v<T> && std::is_move_constructible_v<T> && !std::is_pointer_v<T> &&
    !std::is_member_pointer_v<T> && !std::is_null_pointer_v<T> && !std::is_array_v<T> &&
    !ViewLike<T> && !kIsReferenceWrapper<T> && !HoldsPointer<T>();

}  // namespace internal

// The one extension point; see codec.h.
template <class T>
struct Codec {
  static_assert(std::is_same_v<T, std::remove_cvref_t<T>>,
                "codecs are for plain types, without const and references");
  static_assert(
      internal::PlainValue<T>,
      "this type does not know how to go to another process: it is not trivially "
      "copyable, or holds pointers or views, which mean nothing there. Specialize plait::Codec "
      "for it, for example as a plait::FieldsCodec (and for protobuf messages include "
      "plait/schedulers/process_pool/codec_protobuf.h)");

  // The encoding is what lies in memory, so that many may be copied at once.
  static constexpr bool kIsPlain = true;
  static constexpr uint64_t kFingerprint = internal::PlainFingerprint<T>();

  static void Encode(const T& value, Encoder& out) { out.Write(&value, sizeof(T)); }
  static std::optional<T> Decode(Decoder& in) {
    const std::optional<absl::string_view> view = in.ReadView(sizeof(T));
    if (!view.has_value()) return std::nullopt;
    std::array<char, sizeof(T)> bytes;
    std::memcpy(bytes.data(), view->data(), sizeof(T));
    return std::bit_cast<T>(bytes);
  }
};

// Not every byte is a bool.
template <>
struct Codec<bool> {
  static constexpr uint64_t kFingerprint = internal::PlainFingerprint<bool>();

  static void Encode(bool value, Encoder& out) {
    const char byte = value ? 1 : 0;
    out.Write(&byte, 1);
  }
  static std::optional<bool> Decode(Decoder& in) {
    unsigned char byte = 0;  // g++ 12 does not see that it is read
    if (!in.Read(&byte, 1)) return std::nullopt;
    if (byte > 1) return in.Fail("a bool that is neither true nor false");
    return byte == 1;
  }
};

template <>
struct Codec<std::string> {
  static constexpr uint64_t kFingerprint = internal::HashText("string");

  // Of any kind of string: no std::string is made of it.
  template <class Text>
  static void Encode(const Text& text, Encoder& out) {
    if constexpr (requires { text.data() + text.size(); }) {
      out.WriteSize(text.size());
      out.Write(text.data(), text.size());
    } else {
      Encode(absl::string_view(text), out);
    }
  }
  static std::optional<std::string> Decode(Decoder& in) {
    const std::optional<size_t> size = in.ReadSize();
    if (!size.has_value()) return std::nullopt;
    const std::optional<absl::string_view> text = in.ReadView(*size);
    if (!text.has_value()) return std::nullopt;
    if (text->size() >= internal::kLargeCopyBytes) {
      return internal::CopyLarge<std::string>(text->data(), text->size());
    }
    return std::string(text->data(), text->size());
  }
};

namespace internal {

template <class T>
concept PlainCodec = requires { requires Codec<T>::kIsPlain; };

// A codec without a kFingerprint goes by its type's name.
template <class T>
constexpr uint64_t TypeFingerprint() {
  if constexpr (requires { Codec<T>::kFingerprint; }) {
    return Codec<T>::kFingerprint;
  } else {
    return TypeNameFingerprint<T>();
  }
}

template <class T>
bool DecodeField(T& field, Decoder& in) {
  std::optional<T> value = Codec<T>::Decode(in);
  if (!value.has_value()) return false;
  field = *std::move(value);
  return true;
}

template <class T, class Member>
std::type_identity<Member> MemberTypeOf(Member T::*);
template <auto kField>
using MemberType = typename decltype(MemberTypeOf(kField))::type;

}  // namespace internal

// The codec of a class with public fields and a default constructor:
//
//   template <>
//   struct plait::Codec<Tree> : plait::FieldsCodec<Tree, &Tree::name, &Tree::children> {};
template <class T, auto... kFields>
struct FieldsCodec {
  static_assert(sizeof...(kFields) > 0, "name the fields");

  // By the fields' names and not their fingerprints, as a field may hold a T again.
  static constexpr uint64_t kFingerprint = internal::MixFingerprints(
      {internal::TypeNameFingerprint<T>(),
       internal::TypeNameFingerprint<internal::MemberType<kFields>>()...});

  static void Encode(const T& value, Encoder& out) {
    (Codec<internal::MemberType<kFields>>::Encode(value.*kFields, out), ...);
  }
  static std::optional<T> Decode(Decoder& in) {
    std::optional<T> value(std::in_place);
    if (!(internal::DecodeField((*value).*kFields, in) && ...)) return std::nullopt;
    return value;
  }
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_BASE_H_
