// ProcessFunction: the name and the type of a function that worker processes run.
//
//   inline constexpr plait::ProcessFunction<int(int)> kSquare("square");   // in a header
//   table.Add(kSquare, [](int n) { return n * n; });                       // where it is defined
//   absl::StatusOr<int> nine = co_await pool.Call(kSquare, 3);             // anywhere
//
// So callers see neither the function nor what it includes, and the compiler checks them all the
// same. Where they may see it, its own address does as well: `pool.Call(Square, 3)`.
//
// What goes there and back goes through Codec (codec.h). Parameters are taken by value or const
// reference, or are views (absl::string_view, absl::Span), whose memory is there during the call.
// The fastest for large ones are views of text and of bytes (absl::Span<const char>, of unsigned
// char or of std::byte): the function looks at them where the caller's process has written them. A
// first parameter WorkerContext& is not the caller's. A function that returns T, absl::StatusOr<T>,
// void or absl::Status gives its caller absl::StatusOr<T> or absl::Status.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_FUNCTION_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_FUNCTION_H_

#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/schedulers/process_pool/call_codec.h"
#include "plait/schedulers/process_pool/worker_context.h"

namespace plait {

template <class Signature>
class ProcessFunction {
  static_assert(std::is_function_v<Signature>, "a function's type, such as int(absl::string_view)");

 public:
  // `name` is a constant, such as a literal.
  constexpr explicit ProcessFunction(absl::string_view name) : name_(name) {}

  constexpr absl::string_view name() const { return name_; }

 private:
  absl::string_view name_;
};

namespace internal {

// What a function says when all goes well.
template <class R>
struct ValueOfImpl {
  using type = R;
};
template <class T>
struct ValueOfImpl<absl::StatusOr<T>> {
  using type = T;
};
template <>
struct ValueOfImpl<absl::Status> {
  using type = void;
};
template <class R>
using ValueOf = typename ValueOfImpl<std::remove_cvref_t<R>>::type;

template <class V>
struct CallOutcomeImpl {
  using type = absl::StatusOr<StoredValue<V>>;
};
template <>
struct CallOutcomeImpl<void> {
  using type = absl::Status;
};

// Of a function as its callers see it.
template <class R, class... Params>
struct PlainCallTraits {
  // What a caller gets and what travels, whether the function itself returns a Status or not.
  using Result = typename CallOutcomeImpl<ValueOf<R>>::type;
  using Codec = CallCodec<Result(Params...)>;
  static constexpr bool kIsCall = true;
};

template <class F>
struct CallTraitsImpl {
  static constexpr bool kIsCall = false;
};
template <class R, class... Params>
struct CallTraitsImpl<R(Params...)> : PlainCallTraits<R, Params...> {};
template <class R, class... Params>
struct CallTraitsImpl<R(WorkerContext&, Params...)> : PlainCallTraits<R, Params...> {};
template <class R, class... Params>
struct CallTraitsImpl<R(Params...) noexcept> : CallTraitsImpl<R(Params...)> {};
template <class F>
  requires std::is_function_v<F>
struct CallTraitsImpl<F*> : CallTraitsImpl<F> {};
template <class Signature>
struct CallTraitsImpl<ProcessFunction<Signature>> : CallTraitsImpl<Signature> {};

// Of a function, a pointer to one, or a ProcessFunction: Result, and Codec for its arguments.
template <class F>
using CallTraits = CallTraitsImpl<std::remove_cvref_t<F>>;

}  // namespace internal

// What a ProcessPool may be told to call.
template <class F>
concept ProcessCallable = internal::CallTraits<F>::kIsCall;

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_FUNCTION_H_
