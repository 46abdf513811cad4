// Awaitable: the concept of what may stand behind co_await in a Task.
//
// Satisfied by Task, JoinHandle, Future, the results of Sleep, Queue::Get and so on, and by any
// foreign type with the three functions of the language's protocol or an operator co_await.
#ifndef PLAIT_RUNTIME_CORE_AWAITABLE_H_
#define PLAIT_RUNTIME_CORE_AWAITABLE_H_

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace plait {
namespace internal {

template <class A>
concept HasMemberCoAwait = requires(A&& a) { static_cast<A&&>(a).operator co_await(); };
template <class A>
concept HasFreeCoAwait = requires(A&& a) { operator co_await(static_cast<A&&>(a)); };

// The awaiter that `co_await static_cast<A&&>(a)` would use.
template <class A>
decltype(auto) GetAwaiter(A&& a) {
  if constexpr (HasMemberCoAwait<A>) {
    return static_cast<A&&>(a).operator co_await();
  } else if constexpr (HasFreeCoAwait<A>) {
    return operator co_await(static_cast<A&&>(a));
  } else {
    return static_cast<A&&>(a);
  }
}

template <class A>
using AwaiterOf = std::remove_reference_t<decltype(GetAwaiter(std::declval<A>()))>;

// await_suspend is left out: which coroutine handles it takes is between the awaiter and the
// coroutine.
template <class W>
concept Awaiter = requires(W& w) {
  { w.await_ready() } -> std::convertible_to<bool>;
  w.await_resume();
};

}  // namespace internal

template <class A>
concept Awaitable = internal::Awaiter<internal::AwaiterOf<A>>;

// What `co_await a` evaluates to, for an `a` of type A.
template <Awaitable A>
using AwaitResult = decltype(std::declval<internal::AwaiterOf<A>&>().await_resume());

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_AWAITABLE_H_
