// CallCodec: the arguments and the result of a function, on their way to another process and back.
// Internal.
//
//   using Codec = CallCodec<double(absl::string_view, int)>;
//   Codec::EncodeArguments(out, "name", 3);                             // the caller
//   std::optional<Codec::Arguments> arguments = Codec::DecodeArguments(in);   // the callee
//   if (arguments.has_value()) {
//     Codec::Result result = Codec::Invoke(function, *std::move(arguments));
//   }
//
// The arguments travel with a fingerprint of the function's type: a callee of another type notices.
// Parameters may be views; of bytes they view what is decoded, which lives as long as the call.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CALL_CODEC_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CALL_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/schedulers/process_pool/codec.h"

namespace plait::internal {

// What holds a parameter or result in the other process: the type itself, but for views, whose
// memory is not there.
template <class T>
struct StoredValueImpl {
  using type = T;
};
template <class T>
  requires std::is_same_v<T, absl::string_view> || std::is_same_v<T, std::string_view> ||
           std::is_same_v<T, const char*>
struct StoredValueImpl<T> {
  using type = std::string;
};
template <class T>
struct StoredValueImpl<absl::Span<T>> {
  using type = std::vector<std::remove_const_t<T>>;
};
template <>
struct StoredValueImpl<void> {
  using type = std::monostate;
};
template <class T>
using StoredValue = typename StoredValueImpl<std::remove_cvref_t<T>>::type;

// What holds an argument while the function runs: where the parameter is a view of bytes, a view of
// them in the memory that they came through, which needs no copy; else as above.
template <class T>
struct HeldParameterImpl {
  using type = StoredValue<T>;
};
template <class T>
  requires std::is_same_v<T, absl::string_view> || std::is_same_v<T, std::string_view>
struct HeldParameterImpl<T> {
  using type = T;
};
template <class Byte>
  requires std::is_same_v<Byte, char> || std::is_same_v<Byte, unsigned char> ||
           std::is_same_v<Byte, std::byte>
struct HeldParameterImpl<absl::Span<const Byte>> {
  using type = absl::Span<const Byte>;
};
template <class T>
using HeldParameter = typename HeldParameterImpl<std::remove_cvref_t<T>>::type;
template <class T>
concept HeldInPlace = !std::is_same_v<HeldParameter<T>, StoredValue<T>>;

// As the callee's parameter: a view of what is held, or the held value itself.
template <class Param>
decltype(auto) PassHeld(HeldParameter<Param>& held) {
  using Plain = std::remove_cvref_t<Param>;
  if constexpr (std::is_same_v<Plain, const char*>) {
    return held.c_str();
  } else if constexpr (!std::is_same_v<Plain, HeldParameter<Param>>) {
    return Plain(held);
  } else if constexpr (std::is_lvalue_reference_v<Param>) {
    return std::as_const(held);
  } else {
    return std::move(held);
  }
}

// Says that the two sides mean different functions.
absl::Status SignatureMismatch();

template <class Signature>
struct CallCodec;

template <class R, class... Params>
struct CallCodec<R(Params...)> {
  static_assert(
      ((!std::is_lvalue_reference_v<Params> || std::is_const_v<std::remove_reference_t<Params>>) &&
       ...),
      "a parameter that the function would change is in another process: take it by value or by "
      "const reference");

  using Arguments = std::tuple<HeldParameter<Params>...>;
  using Result = StoredValue<R>;
  static constexpr uint64_t kFingerprint = MixFingerprints(
      {HashText("call"), TypeFingerprint<Result>(), TypeFingerprint<StoredValue<Params>>()...});

  // Takes what converts to the parameters, and views of what they hold; no copies are made but into
  // `out`.
  template <class... Args>
    requires(sizeof...(Args) == sizeof...(Params))
  static void EncodeArguments(Encoder& out, const Args&... arguments) {
    Codec<uint64_t>::Encode(kFingerprint, out);
    EncodeItem(out, arguments...);
  }
  // One of many, behind one fingerprint.
  template <class... Args>
    requires(sizeof...(Args) == sizeof...(Params))
  static void EncodeItem(Encoder& out, const Args&... arguments) {
    (EncodeOne<Params>(out, arguments), ...);
  }

  // Fails with FailedPrecondition where another function's arguments come, with DataLoss where
  // garbage does. They may view what `in` reads.
  static std::optional<Arguments> DecodeArguments(Decoder& in) {
    const std::optional<uint64_t> fingerprint = Codec<uint64_t>::Decode(in);
    if (!fingerprint.has_value()) return std::nullopt;
    if (*fingerprint != kFingerprint) return in.Fail(SignatureMismatch());
    std::optional<Arguments> arguments = DecodeItem(in);
    if (!in.Finish().ok()) return std::nullopt;
    return arguments;
  }
  // One of many.
  static std::optional<Arguments> DecodeItem(Decoder& in) {
    if constexpr (sizeof...(Params) == 0) {
      return in.failed() ? std::nullopt : std::optional<Arguments>(std::in_place);
    } else {
      // In braces, so that they are read from left to right.
      std::tuple<std::optional<HeldParameter<Params>>...> parts{DecodeOne<Params>(in)...};
      return std::apply(
          [](std::optional<HeldParameter<Params>>&... part) -> std::optional<Arguments> {
            if (!(part.has_value() && ...)) return std::nullopt;
            return std::optional<Arguments>(std::in_place, *std::move(part)...);
          },
          parts);
    }
  }

  // Calls `function` with them; its result, on memory of its own.
  template <class Function>
  static Result Invoke(Function&& function, Arguments arguments) {
    return std::apply(
        [&function](HeldParameter<Params>&... held) -> Result {
          if constexpr (std::is_void_v<R>) {
            function(PassHeld<Params>(held)...);
            return std::monostate();
          } else {
            return Store(function(PassHeld<Params>(held)...));
          }
        },
        arguments);
  }

 private:
  template <class Param, class Arg>
  static void EncodeOne(Encoder& out, const Arg& argument) {
    using Plain = std::remove_cvref_t<Param>;
    if constexpr (std::is_convertible_v<const Arg&, Plain>) {
      const Plain& converted = argument;
      Codec<StoredValue<Param>>::Encode(converted, out);
    } else {
      static_assert(
          std::is_same_v<StoredValue<Arg>, StoredValue<Param>>,
          "an argument neither converts to its parameter nor is a view of what that holds");
      Codec<StoredValue<Param>>::Encode(argument, out);
    }
  }

  template <class Param>
  static std::optional<HeldParameter<Param>> DecodeOne(Decoder& in) {
    if constexpr (HeldInPlace<Param>) {
      // As the codecs of strings and sequences write them.
      const std::optional<size_t> size = in.ReadSize();
      if (!size.has_value()) return std::nullopt;
      const std::optional<absl::string_view> bytes = in.ReadView(*size);
      if (!bytes.has_value()) return std::nullopt;
      using Held = HeldParameter<Param>;
      return Held(reinterpret_cast<typename Held::const_pointer>(bytes->data()), bytes->size());
    } else {
      return Codec<StoredValue<Param>>::Decode(in);
    }
  }

  template <class Returned>
  static Result Store(Returned&& returned) {
    if constexpr (std::is_constructible_v<Result, Returned&&>) {
      return Result(std::forward<Returned>(returned));
    } else {
      return Result(returned.begin(), returned.end());
    }
  }
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CALL_CODEC_H_
