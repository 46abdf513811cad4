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
// the last.
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
// and the result says why; Begins(), called before any of these; count(); and Visit. Child is
// called for each i once, in order, by whoever has the rest of the fork.
//
// As a proxy this is the continuation of a child whose end others may have to be told of: what goes
// on then is the next child, the awaiting coroutine, or nothing.
template <class D>
class ForkAwaiter : private ProxyPromise, private AwaitNote {
 public:
  ForkAwaiter() noexcept : AwaitNote{&kKind}, join_(*this) { resolve = &ChildEnded; }
  // Before it is awaited.
  ForkAwaiter(ForkAwaiter&&) noexcept : ForkAwaiter() {}
  ForkAwaiter& operator=(ForkAwaiter&&) = delete;

  bool await_ready() const noexcept { return derived().count() == 0; }

  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> handle) noexcept {
    PromiseBase& parent = handle.promise();
    context = parent.context;
    continuation = &parent;
    SetAwaitNote(parent, *this);
    derived().Begins();
    ForkStack& forks = ForkStack::Current();
    const bool single = join_.Begin(derived().count());
    for (ForkJoin::Step step{single ? ForkJoin::kAlone : ForkJoin::kPart, 0};;) {
      const bool alone = step.what == ForkJoin::kAlone;
      PromiseBase* const child = derived().Child(step.part);
      if (step.what == ForkJoin::kPart) join_.Offer(forks);
      if (!D::kMayLackChildren || child != nullptr) [[likely]] {
        child->context = parent.context;
        child->continuation = alone ? static_cast<WorkItem*>(&parent) : this;
        // Where it was suspended, the rest is for ForkStack::Drain, and nothing may be touched
        // here.
        if (!Call(*child)) return true;
      }
      if (alone) break;
      step = join_.AfterPart(forks);
      if (step.what == ForkJoin::kWait) [[unlikely]]
        return true;
      if (step.what == ForkJoin::kJoined) [[unlikely]]
        break;
    }
    parent.next = nullptr;  // it waits for nothing now
    return false;
  }

 private:
  struct Join : ForkJoin {
    explicit Join(ForkAwaiter& awaiter) noexcept : ForkJoin(&NewStrand), self(awaiter) {}
    ForkAwaiter& self;
  };

  D& derived() noexcept { return static_cast<D&>(*this); }
  const D& derived() const noexcept { return static_cast<const D&>(*this); }

  // Of a strand that is not on the awaiting coroutine's stack: what it goes on with.
  WorkItem& GoOn(ForkStack& forks, ForkJoin::Step step) noexcept {
    for (;;) {
      if (step.what == ForkJoin::kWait) return kNothing;
      if (step.what == ForkJoin::kJoined) return *continuation;
      thread_state.context = context;  // for what makes the child
      WorkItem& parent = *continuation;
      PromiseBase* const child = derived().Child(step.part);
      const bool alone = step.what == ForkJoin::kAlone;
      if (child != nullptr) [[likely]] {
        child->context = context;
        child->continuation = alone ? &parent : this;
      }
      // From here on others may do all that is left but this part.
      if (step.what == ForkJoin::kPart) join_.Offer(forks);
      if (child != nullptr) [[likely]]
        return *child;
      if (alone) return parent;
      step = join_.AfterPart(forks);
    }
  }
  static WorkItem& ChildEnded(ProxyPromise& proxy) noexcept {
    auto& self = static_cast<ForkAwaiter&>(proxy);
    ForkStack& forks = ForkStack::Current();
    return self.GoOn(forks, self.join_.AfterPart(forks));
  }
  static void NewStrand(WorkItem& job) noexcept {
    auto& self = static_cast<Join&>(static_cast<ForkJob&>(job)).self;
    WorkItem& next = self.GoOn(ForkStack::Current(), self.join_.BeginStrand());
    next.run(next);
    thread_state.context = nullptr;
  }
  static void VisitChildren(const AwaitNote& note, AwaitVisitor& visitor) {
    static_cast<const ForkAwaiter&>(note).derived().Visit(visitor);
  }
  static constexpr AwaitKind kKind{"Fork", &VisitChildren};

  Join join_;
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

  explicit ForkTuple(Task<T>&&... tasks) noexcept : children_{tasks.Release()...} {
    for (PromiseBase* child : children_) {
      PLAIT_CHECK(child != nullptr, "forking a Task that was moved from or awaited before");
    }
    TakeResults();
  }
  ForkTuple(ForkTuple&& other) noexcept
      : ForkAwaiter<ForkTuple>(std::move(other)),
        children_(other.children_),
        begun_(std::exchange(other.begun_, true)) {
    TakeResults();
  }
  ~ForkTuple() {
    if (begun_) [[likely]]
      return;
    for (PromiseBase* child : children_) child->handle().destroy();
  }

  static constexpr bool kMayLackChildren = false;
  static constexpr size_t count() noexcept { return sizeof...(T); }
  void Begins() noexcept { begun_ = true; }
  PromiseBase* Child(size_t i) noexcept { return children_[i]; }
  void Visit(AwaitVisitor& visitor) const {
    const PromiseBase* const* child = children_.data();
    const auto visit = [&](bool running) {
      if (running) visitor.OnCoroutine(**child);
      ++child;
    };
    std::apply([&](const auto&... result) { (visit(result.empty()), ...); }, results_);
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
  // Lets the children leave their results here.
  void TakeResults() noexcept {
    [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
      ((static_cast<TaskPromise<T>*>(children_[kIndex])->result = &std::get<kIndex>(results_)),
       ...);
    }(std::index_sequence_for<T...>());
  }

  std::array<PromiseBase*, sizeof...(T)> children_;
  bool begun_ = false;
  std::tuple<Result<T>...> results_;
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
  void Begins() noexcept {}
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
      if (const void* child = results_[i].pending()) {
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
