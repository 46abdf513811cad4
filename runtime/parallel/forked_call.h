// ForkedCall<F>: a plain function that may be called by another thread, or by whoever forked it.
// Internal: what ParallelInvoke and the loops are made of.
//
// Two branches f and g fork so:
//
//   ForkedCall call(g);    stores on the stack: nothing else knows of it
//   call.Fork(forks);      its address goes on the thread's private ForkStack
//   f();
//   call.Join(forks)       still there: takes it off again and calls g. Else it was published, as
//                          another thread asked: waits for it, and takes the result
//
// Who waits helps meanwhile, with forked calls and nothing else: its own that were published and
// that nobody has taken, then other threads'. A coroutine is never resumed on top of a join: it
// might join itself, and so on until the stack is full. Waiting cannot end in a circle: a call is
// waited for only by the one that forked it, which began before it; so of all threads that wait,
// the one whose top call began last waits for a call that is on top of its thread, and runs. With
// nothing to help with, a joiner spins, then blocks its thread, and looks again from time to time.
//
// Exceptions are kept for whoever joins. Threads: Fork, Join and Abandon on the thread that made
// it. Lifetime: the function outlives it; once forked, it is joined or abandoned before it dies.
#ifndef PLAIT_RUNTIME_PARALLEL_FORKED_CALL_H_
#define PLAIT_RUNTIME_PARALLEL_FORKED_CALL_H_

#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/parallel/job_end.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"

namespace plait::internal {

// What a call gives; std::monostate for nothing.
template <class F>
using ForkResult = std::conditional_t<std::is_void_v<std::invoke_result_t<F&>>, std::monostate,
                                      std::invoke_result_t<F&>>;

template <class F>
ForkResult<F> CallForked(F& function) {
  if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
    function();
    return {};
  } else {
    return function();
  }
}

// The part that does not depend on F.
class ForkedCallBase : public ForkJob {
 public:
  // How a ForkStack knows forked calls among other work.
  static void Run(WorkItem& item) noexcept;

 protected:
  using Body = void (*)(ForkedCallBase&) noexcept;

  explicit ForkedCallBase(Body body) noexcept
      : ForkJob(&Run), body_(body), context_(thread_state.context) {}
  ~ForkedCallBase() = default;

  // It was published: until another thread has run it, or this one meanwhile.
  void AwaitEnd(ForkStack& forks) noexcept;

 private:
  const Body body_;
  // Of the coroutine that forked it: the call is a part of that, wherever it runs.
  const TaskContext* const context_;
  JobEnd end_;
};

template <class F>
class ForkedCall : public ForkedCallBase {
 public:
  explicit ForkedCall(F& function) noexcept : ForkedCallBase(&Call), function_(function) {}
  ForkedCall(const ForkedCall&) = delete;
  ForkedCall& operator=(const ForkedCall&) = delete;
  ~ForkedCall() {}  // the result is gone by then

  // It cannot yield: what waits for it stands on the thread's stack.
  void Fork(ForkStack& forks) { static_cast<void>(forks.Push(*this)); }

  ForkResult<F> Join(ForkStack& forks) {
    if (forks.Pop(*this)) [[likely]]
      return CallForked(function_);
    return TakeResult(forks);
  }

  // In place of Join, where the result is not wanted any more.
  void Abandon(ForkStack& forks) noexcept {
    if (forks.Pop(*this)) return;
    AwaitEnd(forks);
    std::destroy_at(&result_);
  }

 private:
  [[gnu::noinline, gnu::cold]] ForkResult<F> TakeResult(ForkStack& forks) {
    struct Destroyer {
      ~Destroyer() { std::destroy_at(result); }
      Result<ForkResult<F>>* result;
    };
    AwaitEnd(forks);
    const Destroyer destroyer{&result_};
    return result_.Take();
  }

  static void Call(ForkedCallBase& base) noexcept {
    auto& call = static_cast<ForkedCall&>(base);
    std::construct_at(&call.result_);
    call.result_.Capture([&]() -> ForkResult<F> { return CallForked(call.function_); });
  }

  F& function_;
  // Made when somebody runs the call who is not its joiner.
  union {
    Result<ForkResult<F>> result_;
  };
};

// For ForkTwo: an error, for both.
template <class F, class G>
std::pair<ForkResult<F>, ForkResult<G>> SettledBy(ForkResult<F> error) {
  absl::Status status = StatusOf(error);
  return {std::move(error), std::move(status)};
}

// Calls f and then g; or g on another thread, at the same time, where one asks for work. Once both
// have ended, gives what they gave. What f throws wins over what g throws; g is not called then,
// unless it has begun. `kErrorSettles`: likewise where f gives a Status or a StatusOr that is an
// error; what g gives or throws is dropped.
template <bool kErrorSettles = false, class F, class G>
std::pair<ForkResult<F>, ForkResult<G>> ForkTwo(F& f, G& g) {
  ForkStack* const forks = thread_state.forks;
  if (forks == nullptr) [[unlikely]] {  // nobody steals here
    ForkResult<F> first = CallForked(f);
    if constexpr (kErrorSettles) {
      if (!first.ok()) return SettledBy<F, G>(std::move(first));
    }
    return {std::forward<ForkResult<F>>(first), CallForked(g)};
  }
  ForkedCall<G> call(g);
  call.Fork(*forks);
#if defined(__cpp_exceptions)
  // Not a guard object, which compilers would keep in memory.
  const auto begin = [&]() -> ForkResult<F> {
    try {
      return CallForked(f);
    } catch (...) {
      call.Abandon(*forks);
      throw;
    }
  };
  ForkResult<F> first = begin();
#else
  ForkResult<F> first = CallForked(f);
#endif
  if constexpr (kErrorSettles) {
    if (!first.ok()) {
      call.Abandon(*forks);
      return SettledBy<F, G>(std::move(first));
    }
  }
  return {std::forward<ForkResult<F>>(first), call.Join(*forks)};
}

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_PARALLEL_FORKED_CALL_H_
