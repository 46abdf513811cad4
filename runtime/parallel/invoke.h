// ParallelInvoke: calls plain functions side by side, where there are threads that have nothing
// else to do. For code that computes: it makes no coroutines and costs next to nothing.
//
//   int64_t Fib(int n) {
//     if (n < 2) return n;
//     const auto [a, b] = plait::ParallelInvoke([&] { return Fib(n - 1); },
//                                               [&] { return Fib(n - 2); });
//     return a + b;
//   }
//
// Called inside a task of a WorkStealingPool it works with the pool's threads. On any other
// executor, on a fiber and outside of tasks it calls one function after the other, so the code is
// right everywhere.
//
// How: the functions behind the first are noted on the calling thread's own stack, by plain stores,
// and the first is called; then each of the others, unless another thread has asked for work
// meanwhile and was given it. Who asks gets the oldest that was noted, so the largest piece of a
// recursion. Without an asker everything runs in order, on the calling thread.
//
// Results: a tuple of what the functions gave, std::monostate for those that give nothing; nothing
// at all where none gives anything. Status and StatusOr are results like others: look at each.
// Errors: an exception of the earliest function that throws one comes out, once all that have begun
// have ended; functions behind it that have not begun are not called. Cancellation: the functions
// run to their end; they see the stop token of the surrounding task (CurrentStopToken), on any
// thread. Threads: any; the caller goes on on its own thread. It waits, and meanwhile helps other
// ParallelInvokes and loops and runs no coroutines: so a function may not wait for a task, nor hold
// a lock that another function takes while it calls ParallelInvoke itself. Lifetime: functions are
// taken by reference, and have ended before this returns. Cost: some 35 instructions a
// function while nobody asks, and no allocation.
#ifndef PLAIT_RUNTIME_PARALLEL_INVOKE_H_
#define PLAIT_RUNTIME_PARALLEL_INVOKE_H_

#include <tuple>
#include <type_traits>
#include <utility>

#include "plait/runtime/parallel/forked_call.h"
#include "plait/runtime/task/task.h"

namespace plait {
namespace internal {

// The last function is forked and the others are the first branch: so those behind are noted
// earlier, and all are called in order.
template <class F>
std::tuple<ForkResult<F>> InvokeAll(F& f) {
  return std::tuple<ForkResult<F>>(CallForked(f));
}

template <class F, class G>
std::tuple<ForkResult<F>, ForkResult<G>> InvokeAll(F& f, G& g) {
  return ForkTwo(f, g);
}

template <class F, class G, class H, class... More>
auto InvokeAll(F& f, G& g, H& h, More&... more) {
  const std::tuple<F&, G&, H&, More&...> all(f, g, h, more...);
  constexpr size_t kLast = sizeof...(More) + 2;
  const auto front = [&]<size_t... i>(std::index_sequence<i...>) {
    return InvokeAll(std::get<i>(all)...);
  };
  const auto but_last = [&] { return front(std::make_index_sequence<kLast>()); };
  auto [results, last] = ForkTwo(but_last, std::get<kLast>(all));
  using Last = decltype(last);
  return std::tuple_cat(std::move(results), std::tuple<Last>(std::forward<Last>(last)));
}

}  // namespace internal

template <class... F>
auto ParallelInvoke(F&&... functions) {
  static_assert(sizeof...(F) > 0, "ParallelInvoke needs a function to call");
  static_assert((std::is_invocable_v<F&> && ...),
                "ParallelInvoke calls functions without arguments: wrap them, as in "
                "ParallelInvoke([&] { return Sort(left); }, [&] { return Sort(right); })");
  if constexpr ((std::is_invocable_v<F&> && ...)) {
    static_assert(!(internal::kIsTask<std::remove_cvref_t<std::invoke_result_t<F&>>> || ...),
                  "ParallelInvoke calls plain functions: for coroutines there is "
                  "co_await Fork(...), of runtime/task/fork.h");
    if constexpr ((std::is_void_v<std::invoke_result_t<F&>> && ...)) {
      internal::InvokeAll(functions...);
    } else {
      return internal::InvokeAll(functions...);
    }
  }
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_PARALLEL_INVOKE_H_
