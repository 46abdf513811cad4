// CallCodec: the arguments and the result of a function, on their way to another process and back.
// Internal.
//
//   using Codec = CallCodec<double(absl::string_view, int)>;
//   Codec::EncodeArguments(out, "name", 3);                             // the caller
//   std::optional<Codec::Arguments> arguments = Codec::DecodeArguments(in);   // the callee
//   if (arguments.has_value()) Codec::Result result = Codec::Invoke(function,
//   *std::move(arguments));
//
// The arguments travel with a fingerprint of the function's type: a callee of another type notices.
// Parameters may be views; what is decoded owns its memory and lives as long as the call.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CALL_CODEC_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CALL_CODEC_H_

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

// As the callee's parameter: a view of what is stored, or the stored value itself.
template <class Param>
decltype(auto) PassStored(StoredValue<Param>& stored) {
  using Plain = std::remove_cvref_t<Param>;
  if constexpr (std::is_same_v<Plain, const char*>) {
    return stored.c_str();
  } else if constexpr (!std::is_same_v<Plain, StoredValue<Param>>) {
    return Plain(stored);
  } else if constexpr (std::is_lvalue_reference_v<Param>) {
    return std::as_const(stored);
  } else {
    return std::move(stored);
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

  using Arguments = std::tuple<StoredValue<Params>...>;
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
  // garbage does.
  static std::optional<Arguments> DecodeArguments(Decoder& in) {
    const std::optional<uint64_t> fingerprint = Codec<uint64_t>::Decode(in);
    if (!fingerprint.has_value()) return std::nullopt;
    if (*fingerprint != kFingerprint) return in.Fail(SignatureMismatch());
    if constexpr (sizeof...(Params) == 0) {
      if (!in.Finish().ok()) return std::nullopt;
      return Arguments();
    } else {
      std::optional<Arguments> arguments = Codec<Arguments>::Decode(in);
      if (!in.Finish().ok()) return std::nullopt;
      return arguments;
    }
  }

  // Calls `function` with them; its result, on memory of its own.
  template <class Function>
  static Result Invoke(Function&& function, Arguments arguments) {
    return std::apply(
        [&function](StoredValue<Params>&... stored) -> Result {
          if constexpr (std::is_void_v<R>) {
            function(PassStored<Params>(stored)...);
            return std::monostate();
          } else {
            return Store(function(PassStored<Params>(stored)...));
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
