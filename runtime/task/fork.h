// Fork: runs tasks side by side where threads have nothing else to do, at the price of a function
// call where they have. For work that is divided again and again, down to pieces of nanoseconds.
//
//   plait::Task<int64_t> Fib(int n) {
//     if (n < 2) co_return n;
//     auto [a, b] = co_await plait::Fork(Fib(n - 1), Fib(n - 2));
//     co_return a + b;
//   }
//
// ForkEach does so with `count` children, which it makes one at a time, when each is to run, so
// that there is at most one coroutine for each thread that is at it:
//
//   auto child = [&](size_t i) { return Visit(node.children[i]); };
//   std::vector<int> all = co_await plait::ForkEach(node.children.size(), child);
//   std::array<int, 10> ten = co_await plait::ForkEach<10>(child);          // allocates nothing
//   co_await plait::ForkEach(count, child, [&](size_t i, int value) { sum += value; });
//   co_await plait::ForkEach<16>(count, child, take);                       // at most 16; the same
//
// `child` is called with 0, 1, ..., by one thread at a time, which need not be the awaiting task's;
// it lives until all have ended, so it may be a lambda coroutine with captures. (One that holds
// what must be destroyed needs a name, ForkEach(n, std::move(child)): g++ 12 destroys the temporary
// objects of a co_await twice.) `take` is called by the awaiting task when all have ended, in the
// order of the numbers.
//
// Results are those of Gather: a tuple, a vector or an array of what the children give; with Status
// and StatusOr<U> children an absl::StatusOr of that, or the first error in the order of the
// arguments (of the values before it, `take` has been told). void results are left out of vectors
// and arrays, and stand as std::monostate in tuples of mixed types. An exception is rethrown, again
// the first. Unlike Gather, no child is cancelled because another failed: all run.
//
// Order: the awaiting task calls the first child, on its own stack. When that has ended, it calls
// the next, and so on: on an executor whose threads do not steal, children run one after the other.
// A child that waits, for I/O, a lock or a timer, keeps nobody waiting: the next one starts. On a
// WorkStealingPool a thread that has nothing to do asks those that have, and is given the children
// that have not begun of the oldest, so the largest, fork that its victim is in; it works on them
// in the same way. The awaiting task goes on when all have ended, on its executor, on the thread of
// the last. Only the thread that is in a fork can give children away, between two of its own: while
// one blocks its thread, in a function that waits, those that have not begun wait with it. A fork
// that takes tens of milliseconds there makes way for the rest of its thread's work, as if it had
// yielded, before it begins a child that is not its last (not by a virtual clock).
//
// Cancellation: children inherit the awaiting task's stop token and its context, so a cancel of the
// task reaches all of them. They are part of the same task: its task-locals, its name in dumps.
// References that children take must last until the co_await ends. Threads: children may run on any
// thread of the executor, at once. Cost: a coroutine frame a child, from the thread's pool, a few
// stores and loads, no atomic instruction where nothing was stolen; see fork_stack.h.
#ifndef PLAIT_RUNTIME_TASK_FORK_H_
#define PLAIT_RUNTIME_TASK_FORK_H_

#include <array>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/fork_join.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/gathered.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"

namespace plait {
namespace internal {

// What an awaiter of children needs to know of them: `D` has Child(i), which gives the coroutine of
// child i, with its result's place, or, where kMayLackChildren, null where that could not be made
// and the result says why; count(), a constant where it can be; and Visit. Child is called for each
// i once, in order, by whoever has the rest of the fork.
//
// As a proxy this is the continuation of a child whose end others may have to be told of: what goes
// on then is the next child, the awaiting coroutine, or nothing. The proxy's own continuation is
// the awaiting coroutine; its context is not used.
//
// It is made once a fork: each store that is not needed shows in what a fork costs.
template <class D>
class ForkAwaiter : private ForkJoin, private ProxyPromise, private AwaitNote {
 public:
  ForkAwaiter() noexcept : ForkJoin(&NewStrand), AwaitNote{&kKind} { resolve = &ChildEnded; }
  // Before it is awaited.
  ForkAwaiter(ForkAwaiter&&) noexcept : ForkAwaiter() {}
  ForkAwaiter& operator=(ForkAwaiter&&) = delete;

  bool await_ready() const noexcept { return derived().count() == 0; }

  // In line: g++ 12 would not, and a fork would save and restore all registers once more.
  template <PlaitPromise P>
  [[gnu::always_inline]] bool await_suspend(std::coroutine_handle<P> handle) noexcept {
    PromiseBase& parent = handle.promise();
    continuation = &parent;
    SetAwaitNote(parent, *this);
    if (!CallChildren(parent)) return true;
    parent.next = nullptr;  // it waits for nothing now
    return false;
  }

 private:
  D& derived() noexcept { return static_cast<D&>(*this); }
  const D& derived() const noexcept { return static_cast<const D&>(*this); }
  PromiseBase& proxy() noexcept { return static_cast<ProxyPromise&>(*this); }
  PromiseBase& awaiting() noexcept { return static_cast<PromiseBase&>(*continuation); }

  // The strand on the awaiting coroutine's stack. True if all children have ended; else nothing may
  // be touched any more. The last part stands apart, so that of a fork of two no loop is left.
  [[gnu::always_inline]] bool CallChildren(PromiseBase& parent) noexcept {
    const size_t count = derived().count();
    ForkStack& forks = ForkStack::Current();
    Caller caller;
    bool alone = Begin(count);
    size_t part = 0;
    while (part + 1 < count) {
      PromiseBase* const child = derived().Child(part);
      if (Offer(forks) && child != nullptr) [[unlikely]] {
        YieldTo(*child, forks);
        return false;
      }
      // Where one is suspended, the rest is for ForkStack::Drain.
      if (!CallChild(caller, child, parent, proxy())) return false;
      const Step step = AfterPart(forks, count);
      if (step.what == kWait) [[unlikely]]
        return false;
      if (step.what == kJoined) [[unlikely]]
        return true;
      alone = step.what == kAlone;
      part = step.part;
    }
    PromiseBase& next = alone ? parent : proxy();
    if (!CallChild(caller, derived().Child(part), parent, next)) return false;
    return alone || AfterPart(forks, count).what == kJoined;
  }
  [[gnu::always_inline]] static bool CallChild(Caller& caller, PromiseBase* child,
                                               const PromiseBase& parent,
                                               PromiseBase& next) noexcept {
    if (D::kMayLackChildren && child == nullptr) [[unlikely]]
      return true;
    child->context = parent.context;
    child->continuation = &next;
    return caller.Call(*child);
  }

  // It is called when the thread has seen to what else there is.
  [[gnu::noinline, gnu::cold]] void YieldTo(PromiseBase& child, ForkStack& forks) noexcept {
    child.context = awaiting().context;
    child.continuation = &proxy();
    forks.Yield(&child);
  }

  // Of a strand that is not on the awaiting coroutine's stack: what it goes on with.
  WorkItem& GoOn(ForkStack& forks, Step step) noexcept {
    for (;;) {
      if (step.what == kWait) return kNothing;
      PromiseBase& parent = awaiting();
      if (step.what == kJoined) return parent;
      thread_state.context = parent.context;  // for what makes the child
      PromiseBase* const child = derived().Child(step.part);
      const bool alone = step.what == kAlone;
      if (child != nullptr) [[likely]] {
        child->context = parent.context;
        child->continuation = alone ? &parent : &proxy();
      }
      // From here on others may do all that is left but this part.
      if (step.what == kPart && Offer(forks) && child != nullptr) [[unlikely]] {
        forks.Yield(child);
        return kNothing;
      }
      if (child != nullptr) [[likely]]
        return *child;
      if (alone) return parent;
      step = AfterPart(forks, derived().count());
    }
  }
  static WorkItem& ChildEnded(ProxyPromise& proxy) noexcept {
    auto& self = static_cast<ForkAwaiter&>(proxy);
    ForkStack& forks = ForkStack::Current();
    return self.GoOn(forks, self.AfterPart(forks, self.derived().count()));
  }
  static void NewStrand(WorkItem& job) noexcept {
    auto& self = static_cast<ForkAwaiter&>(static_cast<ForkJoin&>(static_cast<ForkJob&>(job)));
    const Step first = self.BeginStrand(self.derived().count());
    WorkItem& next = self.GoOn(ForkStack::Current(), first);
    next.run(next);
    thread_state.context = nullptr;
  }
  static void VisitChildren(const AwaitNote& note, AwaitVisitor& visitor) {
    static_cast<const ForkAwaiter&>(note).derived().Visit(visitor);
  }
  static constexpr AwaitKind kKind{"Fork", &VisitChildren};
};

// The first error or exception of `results`, in order; the latter is rethrown.
template <class... T>
absl::Status FirstError(Result<T>&... results) {
  absl::Status error;
  const auto look = [&]<class R>(Result<R>& result) {
    if (result.has_exception()) {
      static_cast<void>(result.Take());
    } else if constexpr (kCarriesStatus<R>) {
      if (!result.value().ok()) error = StatusOf(result.value());
    }
    return error.ok();
  };
  static_cast<void>((look(results) && ...));
  return error;
}

template <class... T>
class [[nodiscard]] ForkTuple : public ForkAwaiter<ForkTuple<T...>> {
 public:
  using Values = std::tuple<Gathered<T>...>;
  using R = GatherResult<Values, (kCarriesStatus<T> || ...),
                         (sizeof...(T) == 0 || (kGathersValue<T> || ...))>;

  explicit ForkTuple(Task<T>&&... tasks) noexcept : results_(Release(tasks)...) {}
  ForkTuple(ForkTuple&& other) noexcept : ForkTuple(other, std::index_sequence_for<T...>()) {}
  ~ForkTuple() {
    constexpr bool kTrivial = (std::is_trivially_destructible_v<Stored<T>> && ...);
    const auto has_values = [](const auto&... result) { return (result.has_value() && ...); };
    if (!kTrivial || !std::apply(has_values, results_)) [[unlikely]]
      Destroy();
  }

  static constexpr bool kMayLackChildren = false;
  static constexpr size_t count() noexcept { return sizeof...(T); }
  PromiseBase* Child(size_t i) noexcept {
    PromiseBase* child = nullptr;
    size_t at = 0;
    const auto look = [&]<class U>(Result<U>& result) {
      if (at++ != i) return false;
      auto* const promise = static_cast<TaskPromise<U>*>(result.known_pending());
      promise->result = &result;
      child = promise;
      return true;
    };
    std::apply([&](auto&... result) { static_cast<void>((look(result) || ...)); }, results_);
    return child;
  }
  void Visit(AwaitVisitor& visitor) const {
    const auto look = [&]<class U>(const Result<U>& result) {
      if (const void* const child = result.pending()) {
        visitor.OnCoroutine(*static_cast<const TaskPromise<U>*>(child));
      }
    };
    std::apply([&](const auto&... result) { (look(result), ...); }, results_);
  }

  R await_resume() {
    if constexpr ((kCarriesStatus<T> || ...)) {
      absl::Status error =
          std::apply([](auto&... result) { return FirstError(result...); }, results_);
      if (!error.ok()) return error;
    }
    if constexpr (!std::is_void_v<R> && !std::is_same_v<R, absl::Status>) {
      return std::apply([](auto&... result) { return Values{TakeGathered<T>(result)...}; },
                        results_);
    } else {
      std::apply([](auto&... result) { (static_cast<void>(result.Take()), ...); }, results_);
      if constexpr (!std::is_void_v<R>) return absl::OkStatus();
    }
  }

 private:
  template <size_t... kIndex>
  ForkTuple(ForkTuple& other, std::index_sequence<kIndex...>) noexcept
      : results_(std::get<kIndex>(other.results_).TakePending()...) {}

  template <class U>
  static void* Release(Task<U>& task) noexcept {
    TaskPromise<U>* const child = task.Release();
    PLAIT_CHECK(child != nullptr, "forking a Task that was moved from or awaited before");
    return child;
  }
  // Out of line, as mostly there is nothing to destroy.
  [[gnu::noinline]] void Destroy() noexcept {
    // Where the fork was awaited, it has ended, and so have all children.
    const auto destroy_unstarted = []<class U>(Result<U>& result) {
      if (void* const child = result.pending()) {
        static_cast<TaskPromise<U>*>(child)->handle().destroy();
      }
    };
    std::apply([&](auto&... result) { (destroy_unstarted(result), ...); }, results_);
    std::destroy_at(&results_);
  }

  // Each names its child until that has ended.
  union {
    std::tuple<Result<T>...> results_;
  };
};

// Where the results of a ForkEach are kept until all are there.
template <class T, size_t kMost>
class ForkResults {
 public:
  explicit ForkResults(size_t count) {
    PLAIT_CHECK(count <= kMost, "ForkEach<kMost>: there are more children than that");
  }
  ForkResults(ForkResults&&) noexcept {}
  Result<T>& operator[](size_t i) noexcept { return results_[i]; }
  const Result<T>& operator[](size_t i) const noexcept { return results_[i]; }

 private:
  Result<T> results_[kMost];
};
template <class T>
class ForkResults<T, 0> {
 public:
  explicit ForkResults(size_t count) : results_(std::make_unique<Result<T>[]>(count)) {}
  ForkResults(ForkResults&&) noexcept = default;
  Result<T>& operator[](size_t i) noexcept { return results_[i]; }
  const Result<T>& operator[](size_t i) const noexcept { return results_[i]; }

 private:
  std::unique_ptr<Result<T>[]> results_;
};

// kMost: 0 where the number of children is not bounded. Gives what `finish(each)` makes of the
// children that have ended.
template <class Make, size_t kMost, class Finish>
class [[nodiscard]] ForkEachAwaiter : public ForkAwaiter<ForkEachAwaiter<Make, kMost, Finish>> {
 public:
  using T = typename std::invoke_result_t<Make&, size_t>::ResultType;

  ForkEachAwaiter(size_t count, Make make, Finish finish)
      : count_(count), results_(count), make_(std::move(make)), finish_(std::move(finish)) {}

  ForkEachAwaiter(ForkEachAwaiter&&) = default;

  static constexpr bool kMayLackChildren = true;
  size_t count() const noexcept { return count_; }
  PromiseBase* Child(size_t i) noexcept {
    TaskPromise<T>* child = nullptr;
#if defined(__cpp_exceptions)
    try {
#endif
      child = make_(i).Release();
#if defined(__cpp_exceptions)
    } catch (...) {
      results_[i].SetException(std::current_exception());
      return nullptr;
    }
#endif
    PLAIT_CHECK(child != nullptr, "forking a Task that was moved from or awaited before");
    child->result = &results_[i];
    results_[i].SetPending(child);
    return child;
  }
  void Visit(AwaitVisitor& visitor) const {
    for (size_t i = 0; i < count_; ++i) {
      if (const void* const child = results_[i].pending()) {
        visitor.OnCoroutine(*static_cast<const TaskPromise<T>*>(child));
      }
    }
  }

  decltype(auto) await_resume() { return finish_(*this); }

  // For `finish`: what child i gave.
  Result<T>& result(size_t i) noexcept { return results_[i]; }
  absl::Status TakeError() {
    for (size_t i = 0; i < count_; ++i) {
      absl::Status error = FirstError(results_[i]);
      if (!error.ok()) return error;
    }
    return absl::OkStatus();
  }

 private:
  const size_t count_;
  ForkResults<T, kMost> results_;
  Make make_;
  Finish finish_;
};

struct ForkToVector {
  template <class Each>
  auto operator()(Each& each) const -> GatherVectorResult<typename Each::T> {
    using T = typename Each::T;
    if constexpr (kIsStatus<T>) {
      return each.TakeError();
    } else if constexpr (kCarriesStatus<T>) {
      absl::Status error = each.TakeError();
      if (!error.ok()) return error;
    }
    if constexpr (kGathersValue<T>) {
      std::vector<Gathered<T>> values;
      values.reserve(each.count());
      for (size_t i = 0; i < each.count(); ++i) values.push_back(TakeGathered(each.result(i)));
      return values;
    } else if constexpr (std::is_void_v<T>) {
      for (size_t i = 0; i < each.count(); ++i) each.result(i).Take();
    }
  }
};

template <size_t kCount>
struct ForkToArray {
  template <class Each>
  auto operator()(Each& each) const
      -> GatherResult<std::array<Gathered<typename Each::T>, kCount>,
                      kCarriesStatus<typename Each::T>, kGathersValue<typename Each::T>> {
    using T = typename Each::T;
    if constexpr (!kGathersValue<T>) {
      return ForkToVector()(each);
    } else {
      if constexpr (kCarriesStatus<T>) {
        absl::Status error = each.TakeError();
        if (!error.ok()) return error;
      }
      return [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
        return std::array<Gathered<T>, kCount>{TakeGathered(each.result(kIndex))...};
      }(std::make_index_sequence<kCount>());
    }
  }
};

template <class Take>
struct ForkToFunction {
  Take take;

  template <class Each>
  auto operator()(Each& each)
      -> std::conditional_t<kCarriesStatus<typename Each::T>, absl::Status, void> {
    using T = typename Each::T;
    for (size_t i = 0; i < each.count(); ++i) {
      if constexpr (kCarriesStatus<T>) {
        absl::Status error = FirstError(each.result(i));
        if (!error.ok()) return error;
      }
      if constexpr (kGathersValue<T>) {
        take(i, TakeGathered(each.result(i)));
      } else {
        if constexpr (std::is_void_v<T>) each.result(i).Take();
        take(i);
      }
    }
    if constexpr (kCarriesStatus<T>) return absl::OkStatus();
  }
};

template <class Make>
concept MakesTasks = requires(Make& make, size_t i) {
  typename decltype(make(i))::ResultType;
  requires kIsTask<decltype(make(i))>;
};

}  // namespace internal

template <class... T>
  requires(sizeof...(T) > 0)
internal::ForkTuple<T...> Fork(Task<T>&&... tasks) {
  return internal::ForkTuple<T...>(std::move(tasks)...);
}

// Allocates one block for the results.
template <internal::MakesTasks Make>
auto ForkEach(size_t count, Make child) {
  return internal::ForkEachAwaiter<Make, 0, internal::ForkToVector>(count, std::move(child), {});
}
template <internal::MakesTasks Make, class Take>
auto ForkEach(size_t count, Make child, Take take) {
  return internal::ForkEachAwaiter<Make, 0, internal::ForkToFunction<Take>>(count, std::move(child),
                                                                            {std::move(take)});
}

// Keep the results in the awaiting coroutine.
template <size_t kCount, internal::MakesTasks Make>
  requires(kCount > 0)
auto ForkEach(Make child) {
  return internal::ForkEachAwaiter<Make, kCount, internal::ForkToArray<kCount>>(
      kCount, std::move(child), {});
}
template <size_t kMost, internal::MakesTasks Make, class Take>
  requires(kMost > 0)
auto ForkEach(size_t count, Make child, Take take) {
  return internal::ForkEachAwaiter<Make, kMost, internal::ForkToFunction<Take>>(
      count, std::move(child), {std::move(take)});
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_FORK_H_
