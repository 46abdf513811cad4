// Take, Map and Filter: an AsyncGenerator out of another.
//
//   auto names = plait::Map(plait::Filter(Users(), [](const User& u) { return u.active; }),
//                           [](User u) { return u.name; });
//   while (auto name = co_await names.Next()) Print(*name);
//
// They are lazy: an item is asked for when one is asked of them. The function is kept with the
// generator, so it may have captures, and may give an awaitable (a Task), which is awaited. Items
// pass as they are; an AsyncGenerator<absl::StatusOr<U>> gives its StatusOrs to the function.
// Closing one closes what is below it. Cost: a frame for each adaptor, and its two transfers for
// each item.
#ifndef PLAIT_RUNTIME_TASK_ASYNC_ADAPTORS_H_
#define PLAIT_RUNTIME_TASK_ASYNC_ADAPTORS_H_

#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/task/async_generator.h"

namespace plait {
namespace internal {

// What `f(element)` gives once it was awaited where that is called for.
template <class F, class E>
struct CallResultImpl {
  using type = std::invoke_result_t<F&, E>;
};
template <class F, class E>
  requires CallIsAwaitable<F, E>
struct CallResultImpl<F, E> {
  using type = AwaitResult<std::invoke_result_t<F&, E>>;
};
template <class F, class E>
using CallResult = typename CallResultImpl<F, E>::type;

}  // namespace internal

// At most the first `count` items. The source is closed with the last of them, before the end.
template <class T>
AsyncGenerator<T> Take(AsyncGenerator<T> source, size_t count) {
  for (size_t taken = 0; taken < count; ++taken) {
    auto item = co_await source.Next();
    if (!item) co_return;
    const bool more = co_yield static_cast<T&&>(*item);  // g++ 12 wants a name for it
    if (!more) break;
  }
  static_cast<void>(co_await source.Close());
}

// `f(item)` for each item.
template <class T, class F>
AsyncGenerator<internal::CallResult<F, T>> Map(AsyncGenerator<T> source, F f) {
  while (auto item = co_await source.Next()) {
    if constexpr (internal::CallIsAwaitable<F, T>) {
      const bool more = co_yield co_await std::invoke(f, static_cast<T&&>(*item));
      if (!more) break;
    } else {
      const bool more = co_yield std::invoke(f, static_cast<T&&>(*item));
      if (!more) break;
    }
  }
  static_cast<void>(co_await source.Close());
}

// The items for which `f(item)`, which is given a reference to it, holds.
template <class T, class F>
AsyncGenerator<T> Filter(AsyncGenerator<T> source, F f) {
  using Argument = const std::remove_reference_t<T>&;
  while (auto item = co_await source.Next()) {
    bool wanted = false;
    if constexpr (internal::CallIsAwaitable<F, Argument>) {
      wanted = co_await std::invoke(f, std::as_const(*item));
    } else {
      wanted = std::invoke(f, std::as_const(*item));
    }
    if (!wanted) continue;
    const bool more = co_yield static_cast<T&&>(*item);
    if (!more) break;
  }
  static_cast<void>(co_await source.Close());
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_ASYNC_ADAPTORS_H_
