// TableFunction: a function of a FunctionTable behind a call that knows no types: bytes in, bytes
// out. Internal.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_TABLE_FUNCTION_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_TABLE_FUNCTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/schedulers/process_pool/call_codec.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/process_function.h"
#include "plait/schedulers/process_pool/worker_context.h"

namespace plait::internal {

// The type of a function, a pointer to one, or an object that is called in one way only.
template <class F>
struct SignatureOfImpl : SignatureOfImpl<decltype(&F::operator())> {};
template <class R, class... Params>
struct SignatureOfImpl<R(Params...)> {
  using type = R(Params...);
};
template <class R, class... Params>
struct SignatureOfImpl<R (*)(Params...)> : SignatureOfImpl<R(Params...)> {};
template <class R, class... Params>
struct SignatureOfImpl<R (*)(Params...) noexcept> : SignatureOfImpl<R(Params...)> {};
template <class C, class R, class... Params>
struct SignatureOfImpl<R (C::*)(Params...) const> : SignatureOfImpl<R(Params...)> {};
template <class C, class R, class... Params>
struct SignatureOfImpl<R (C::*)(Params...) const noexcept> : SignatureOfImpl<R(Params...)> {};
template <class F>
using SignatureOf = typename SignatureOfImpl<F>::type;

// What a function returned as what travels: see CallTraits.
template <class Result, class Returned>
Result ToResult(Returned&& returned) {
  using Plain = std::remove_cvref_t<Returned>;
  if constexpr (std::is_same_v<Result, absl::Status>) {
    static_assert(kIsStatus<Plain>, "a function without a result returns void or absl::Status");
    return std::forward<Returned>(returned);
  } else if constexpr (std::is_same_v<Result, Plain>) {
    return std::forward<Returned>(returned);
  } else if constexpr (kIsStatusOr<Plain>) {
    if (!returned.ok()) return returned.status();
    return ToResult<Result>(*std::forward<Returned>(returned));
  } else {
    static_assert(!kIsStatus<Plain>,
                  "a function with a result T returns T or absl::StatusOr<T>: with an absl::Status "
                  "alone it could not say T");
    using Value = typename Result::value_type;
    if constexpr (std::is_constructible_v<Value, Returned&&>) {
      return Result(Value(std::forward<Returned>(returned)));
    } else {
      return Result(Value(returned.begin(), returned.end()));
    }
  }
}

template <class Signature, class F>
struct TableFunction;

template <class R, class... Params, class F>
struct TableFunction<R(WorkerContext&, Params...), F> : TableFunction<R(Params...), F> {};

template <class R, class... Params, class F>
struct TableFunction<R(Params...), F> {
  using Result = typename CallTraits<R(Params...)>::Result;
  using Call = CallCodec<Result(Params...)>;
  using Arguments = typename Call::Arguments;
  using Emit = absl::FunctionRef<void(absl::FunctionRef<void(Encoder&)>)>;

  static constexpr bool kTakesContext = std::is_invocable_v<const F&, WorkerContext&, Params...>;
  static_assert(kTakesContext || std::is_invocable_v<const F&, Params...>,
                "the function cannot be called with the parameters of its ProcessFunction");

  // One call, or `count` of them.
  absl::Status operator()(std::optional<size_t> count, WorkerContext& context, Decoder& in,
                          Emit emit) const {
    return count.has_value() ? Many(*count, context, in, emit) : One(context, in, emit);
  }

  absl::Status One(WorkerContext& context, Decoder& in, Emit emit) const {
    std::optional<Arguments> arguments = Call::DecodeArguments(in);
    if (!arguments.has_value()) return in.status();
    const Result result = Run(context, *std::move(arguments));
    emit([&result](Encoder& out) { Codec<Result>::Encode(result, out); });
    return absl::OkStatus();
  }

  absl::Status Many(size_t count, WorkerContext& context, Decoder& in, Emit emit) const {
    const std::optional<uint64_t> fingerprint = Codec<uint64_t>::Decode(in);
    if (!fingerprint.has_value()) return in.status();
    if (*fingerprint != Call::kFingerprint) return SignatureMismatch();
    std::vector<Result> results;
    for (size_t i = 0; i < count; ++i) {
      if (context.cancelled()) return absl::CancelledError("the caller has given the calls up");
      std::optional<Arguments> arguments = Call::DecodeItem(in);
      if (!arguments.has_value()) return in.status();
      results.push_back(Run(context, *std::move(arguments)));
    }
    if (absl::Status status = in.Finish(); !status.ok()) return status;
    emit([&results](Encoder& out) {
      for (const Result& result : results) Codec<Result>::Encode(result, out);
    });
    return absl::OkStatus();
  }

  Result Run(WorkerContext& context, Arguments arguments) const {
    return Call::Invoke(
        [&](auto&&... passed) -> Result {
          const auto call = [&]() -> decltype(auto) {
            if constexpr (kTakesContext) {
              return function(context, std::forward<decltype(passed)>(passed)...);
            } else {
              return function(std::forward<decltype(passed)>(passed)...);
            }
          };
          if constexpr (std::is_void_v<decltype(call())>) {
            static_assert(std::is_same_v<Result, absl::Status>,
                          "the function of a ProcessFunction with a result returns none");
            call();
            return absl::OkStatus();
          } else {
            return ToResult<Result>(call());
          }
        },
        std::move(arguments));
  }

  F function;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_TABLE_FUNCTION_H_
