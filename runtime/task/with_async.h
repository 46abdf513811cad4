// WithAsync: uses a resource whose end must be awaited, and closes it however the use ends.
// (Python: async with.)
//
//   absl::Status status = co_await plait::WithAsync(
//       Session(address), [](Session& session) -> plait::Task<absl::Status> {
//         co_await plait::OrReturn(session.Send("hello"));
//         co_return absl::OkStatus();
//       });                                     // here session.Close() has ended
//
// What needs no await to end closes in a destructor and does not need this.
//
// The resource: an rvalue is moved in and lives until it is closed; an lvalue is used where it is,
// and must outlive the co_await. An awaitable is awaited first and what it gives is the resource; a
// StatusOr, awaited or plain, is unwrapped, and its error is the result: `WithAsync(Connect(host),
// fn)`. The function is called with a reference to it and gives a Task or other awaitable. Closing
// is `resource.Close()`, or what a third argument does: `WithAsync(file, fn, [](File& f) { ... })`.
// It gives nothing or an absl::Status, or an awaitable of either.
//
// (g++ 12 destroys a lambda twice that is written inside the co_await expression and captures an
// object with a destructor: give such a lambda a name first, and move it.)
//
// The resource is closed once, after the function has ended: with a value, an error, an exception,
// or because the task was cancelled. Cancellation: closing is Uncancellable, as the waits of a
// cancelled task would end at once; where a peer is involved let Close be bounded by a Timeout. The
// result: what the function gave, as an absl::Status or StatusOr. Its error comes first, then its
// exception, then the error or exception of closing.
#ifndef PLAIT_RUNTIME_TASK_WITH_ASYNC_H_
#define PLAIT_RUNTIME_TASK_WITH_ASYNC_H_

#include <functional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/uncancellable.h"

namespace plait {
namespace internal {

// What closes a resource that says itself how.
struct CallClose {
  template <class R>
  auto operator()(R& resource) const {
    return resource.Close();
  }
};

// Calls `close`, a function of no arguments, awaits what is awaitable, and gives a Status.
template <class F>
Task<absl::Status> AwaitClose(F& close) {
  using R = std::invoke_result_t<F&>;
  if constexpr (std::is_void_v<R>) {
    std::invoke(close);
  } else if constexpr (kIsStatus<R>) {
    co_return std::invoke(close);
  } else if constexpr (std::is_void_v<AwaitResult<R>>) {
    co_await std::invoke(close);
  } else {
    co_return co_await std::invoke(close);
  }
  co_return absl::OkStatus();
}

// A coroutine, so that an exception of the call itself is one of the task.
template <class R, class F>
Task<AwaitResult<std::invoke_result_t<F&, R&>>> AwaitUse(F& use, R& resource) {
  co_return co_await std::invoke(use, resource);
}

template <class R, class F, class C,
          class T = AwaitResult<std::invoke_result_t<F&, std::remove_reference_t<R>&>>>
Task<WithStatus<T>> RunWith(R resource, F use, C close) {
  Result<T> used;
  co_await AwaitInto<T>(AwaitUse<std::remove_reference_t<R>>(use, resource), nullptr, used);
  auto close_resource = [&] { return std::invoke(close, resource); };
  Result<absl::Status> closed;
  co_await AwaitInto<absl::Status>(RunUncancellable(AwaitClose(close_resource)), nullptr, closed);
  if constexpr (kCarriesStatus<T>) {
    if (used.has_value() && !used.value().ok()) co_return StatusOf(used.value());
  }
  if (used.has_value()) {
    absl::Status closing = closed.Take();
    if (!closing.ok()) co_return closing;
  }
  if constexpr (std::is_void_v<T>) {
    used.Take();
    co_return absl::OkStatus();
  } else {
    co_return WithStatus<T>(used.Take());
  }
}

// The type of the resource that an argument of type A stands for.
template <class A>
struct ResourceImpl {
  using type = A;
};
template <class R>
struct ResourceImpl<absl::StatusOr<R>> {
  using type = R;
};
template <class A>
  requires Awaitable<A> && (!kIsStatusOr<A>)
struct ResourceImpl<A> {
  using type = typename ResourceImpl<std::remove_cvref_t<AwaitResult<A>>>::type;
};
template <class A>
using ResourceOf = typename ResourceImpl<A>::type;

template <class A, class F>
using WithAsyncResult =
    WithStatus<AwaitResult<std::invoke_result_t<F&, std::remove_reference_t<ResourceOf<A>>&>>>;

// The argument is a StatusOr, or is to be awaited.
template <class A, class F, class C>
Task<WithAsyncResult<A, F>> OpenAndRunWith(A opening, F use, C close) {
  if constexpr (kIsStatusOr<A>) {
    if (!opening.ok()) co_return opening.status();
    co_return co_await RunWith<ResourceOf<A>, F, C>(*std::move(opening), std::move(use),
                                                    std::move(close));
  } else {
    using Opened = std::remove_cvref_t<AwaitResult<A>>;
    Opened opened = co_await std::move(opening);
    if constexpr (kIsStatusOr<Opened>) {
      if (!opened.ok()) co_return opened.status();
      co_return co_await RunWith<ResourceOf<A>, F, C>(*std::move(opened), std::move(use),
                                                      std::move(close));
    } else {
      co_return co_await RunWith<ResourceOf<A>, F, C>(std::move(opened), std::move(use),
                                                      std::move(close));
    }
  }
}

}  // namespace internal

template <class A, class F, class C>
Task<internal::WithAsyncResult<A, F>> WithAsync(A&& resource, F use, C close) {
  if constexpr (std::is_same_v<internal::ResourceOf<A>, A>) {
    return internal::RunWith<A, F, C>(std::forward<A>(resource), std::move(use), std::move(close));
  } else {
    return internal::OpenAndRunWith<std::remove_cvref_t<A>, F, C>(std::forward<A>(resource),
                                                                  std::move(use), std::move(close));
  }
}

template <class A, class F>
Task<internal::WithAsyncResult<A, F>> WithAsync(A&& resource, F use) {
  return WithAsync(std::forward<A>(resource), std::move(use), internal::CallClose());
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_WITH_ASYNC_H_
