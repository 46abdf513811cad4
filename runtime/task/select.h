// Select: waits for whichever of several awaitables ends first, and cancels the others.
//
//   auto selected = co_await plait::Select(queue.Get(), plait::Sleep(absl::Seconds(1)));
//   if (selected.index() == 0) {
//     absl::StatusOr<int>& item = selected.get<0>();
//   }
//
// Order: they begin in the order of the arguments, each up to its first wait, inside the co_await;
// as soon as one has ended no further one begins, so of several that are ready the first listed
// wins and only that one has happened. Then the losers are cancelled, and Select waits for them:
// nothing of them runs on when it returns. Nothing is lost: a loser that ended with a value in
// spite of the cancel has it in get<I>(); has<I>() is false only for those that never began.
// Cancellation: a cancel of the awaiting task reaches all of them. Exceptions: get<I>() rethrows
// what branch I threw, the winner or not. Threads: the branches run on the awaiting task's
// executor. Cost: one frame; awaitables that are not Tasks need none of their own.
//
// The vector form takes any number of Tasks of one type; none at all gives InvalidArgument.
#ifndef PLAIT_RUNTIME_TASK_SELECT_H_
#define PLAIT_RUNTIME_TASK_SELECT_H_

#include <coroutine>
#include <cstddef>
#include <deque>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/foreign_await.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/scope.h"
#include "plait/runtime/task/task.h"

namespace plait {
namespace internal {

// How a branch ended; movable, unlike a Result.
template <class R>
struct BranchOutcome {
  std::optional<Stored<R>> value;
  std::exception_ptr exception;

  bool ended() const { return value.has_value() || exception != nullptr; }

  std::add_lvalue_reference_t<R> Get() {
    PLAIT_CHECK(ended(), "Selected::get: this branch never began; has<I>() says so");
    if (exception != nullptr) std::rethrow_exception(exception);
    if constexpr (std::is_reference_v<R>) {
      return **value;
    } else if constexpr (!std::is_void_v<R>) {
      return *value;
    }
  }
};

// What the branches of one Select share.
class SelectScope : public Scope {
 public:
  // Called by each branch when it has ended; nothing of the scope may be touched afterwards.
  void BranchDone(int index) noexcept;
  // Relaxed, both: the branches' results are looked at after the join, which makes them visible.
  bool decided() const noexcept { return winner_.load(kRelaxed) >= 0; }
  size_t winner() const noexcept { return static_cast<size_t>(winner_.load(kRelaxed)); }
  JoinCounter& counter() noexcept { return counter_; }

 private:
  Atomic<int> winner_{-1};
  JoinCounter counter_;
};

// One branch, which stands in for a coroutine towards what it awaits.
class SelectBranchBase : public ProxyPromise {
 public:
  bool started() const noexcept { return scope_ != nullptr; }

 protected:
  SelectBranchBase() noexcept { resolve = &OnReady; }

  // Calls `begin`, which starts the branch's wait, as a coroutine of its own would: it is given
  // control here, and comes back here at its first wait. `begin` gives a coroutine to go on with,
  // or null where the branch has ended at once.
  void StartWith(SelectScope& scope, int index,
                 std::coroutine_handle<> (*begin)(SelectBranchBase&)) noexcept;
  virtual void Capture() noexcept = 0;

 private:
  static WorkItem& OnReady(ProxyPromise& proxy) noexcept;

  SelectScope* scope_ = nullptr;
  int index_ = 0;
};

template <Awaitable A>
class SelectBranch final : public SelectBranchBase {
  using Inner = AwaiterOf<A>;

 public:
  using R = AwaitResult<A>;

  explicit SelectBranch(A&& awaitable) : inner_(GetAwaiter(static_cast<A&&>(awaitable))) {}
  SelectBranch(const SelectBranch&) = delete;
  SelectBranch& operator=(const SelectBranch&) = delete;

  void Start(SelectScope& scope, int index) noexcept { StartWith(scope, index, &Begin); }

  BranchOutcome<R> TakeOutcome() {
    BranchOutcome<R> outcome;
    if (result_.has_exception()) outcome.exception = result_.exception();
    if (result_.has_value()) outcome.value.emplace(std::move(result_.value()));
    return outcome;
  }

 private:
  static std::coroutine_handle<> Begin(SelectBranchBase& base) {
    auto& self = static_cast<SelectBranch&>(base);
    if (self.inner_.await_ready()) return nullptr;
    const auto handle =
        std::coroutine_handle<PromiseBase>::from_promise(static_cast<PromiseBase&>(self));
    using Returned = decltype(self.inner_.await_suspend(handle));
    if constexpr (std::is_void_v<Returned>) {
      self.inner_.await_suspend(handle);
      return std::noop_coroutine();
    } else if constexpr (std::is_same_v<Returned, bool>) {
      if (!self.inner_.await_suspend(handle)) return nullptr;
      return std::noop_coroutine();
    } else {
      return self.inner_.await_suspend(handle);
    }
  }

  void Capture() noexcept override {
    result_.Capture([this]() -> R { return inner_.await_resume(); });
  }

  // An awaitable that is its own awaiter is moved in, or referred to where it is an lvalue.
  std::conditional_t<std::is_lvalue_reference_v<decltype(GetAwaiter(std::declval<A>()))>, Inner&,
                     Inner>
      inner_;
  Result<R> result_;
};

// Shows a branch to those who look at the running program.
void ShowBranch(const SelectBranchBase& branch, AwaitVisitor& visitor);

// `Branches` is a tuple or a range of SelectBranches.
template <class Branches>
struct SelectNote : AwaitNote {
  explicit SelectNote(const Branches& b) : AwaitNote{&kKind}, branches(b) {}
  static void Visit(const AwaitNote& note, AwaitVisitor& visitor) {
    const Branches& shown = static_cast<const SelectNote&>(note).branches;
    if constexpr (requires { shown.begin(); }) {
      for (const auto& branch : shown) ShowBranch(branch, visitor);
    } else {
      std::apply([&](const auto&... branch) { (ShowBranch(branch, visitor), ...); }, shown);
    }
  }
  static constexpr AwaitKind kKind{"Select", &Visit};
  const Branches& branches;
};

// What a branch is made of: a Plait awaitable as it is, a foreign one inside a Task.
template <class A>
using SelectArgument = std::conditional_t<ForeignAwaiter<AwaiterOf<A>>, Task<AwaitResult<A>>, A>;
template <class A>
SelectArgument<A> ToSelectArgument(A&& awaitable) {
  if constexpr (ForeignAwaiter<AwaiterOf<A>>) {
    return AsTask(static_cast<A&&>(awaitable));
  } else {
    return static_cast<A&&>(awaitable);
  }
}

}  // namespace internal

// How a Select ended. R: what awaiting each branch gives.
template <class... R>
class Selected {
 public:
  // The branch that ended first.
  size_t index() const { return index_; }
  // Whether branch I has ended; true for all but those that had not begun when another won.
  template <size_t I>
  bool has() const {
    return std::get<I>(outcomes_).ended();
  }
  // What branch I ended with; rethrows its exception. It must have begun (CHECK).
  template <size_t I>
  decltype(auto) get() {
    return std::get<I>(outcomes_).Get();
  }

  // For the runtime.
  Selected(size_t index, std::tuple<internal::BranchOutcome<R>...> outcomes)
      : index_(index), outcomes_(std::move(outcomes)) {}

 private:
  size_t index_;
  std::tuple<internal::BranchOutcome<R>...> outcomes_;
};

// How a Select of a vector of Task<R> ended.
template <class R>
class SelectedOf {
 public:
  size_t index() const { return index_; }
  size_t size() const { return outcomes_.size(); }
  bool has(size_t i) const { return outcomes_.at(i).ended(); }
  std::add_lvalue_reference_t<R> get(size_t i) { return outcomes_.at(i).Get(); }
  // The winner's.
  std::add_lvalue_reference_t<R> get() { return get(index_); }

  // For the runtime.
  SelectedOf(size_t index, std::vector<internal::BranchOutcome<R>> outcomes)
      : index_(index), outcomes_(std::move(outcomes)) {}

 private:
  size_t index_;
  std::vector<internal::BranchOutcome<R>> outcomes_;
};

namespace internal {

template <class... A>
Task<Selected<AwaitResult<A>...>> RunSelect(std::tuple<A...> awaitables) {
  SelectScope scope;
  auto branches = std::apply(
      [](auto&&... awaitable) {
        return std::tuple<SelectBranch<A>...>(static_cast<A&&>(awaitable)...);
      },
      std::move(awaitables));
  std::apply(
      [&scope](auto&... branch) {
        int index = 0;
        ((scope.decided() ? void() : branch.Start(scope, index), ++index), ...);
      },
      branches);
  const SelectNote<decltype(branches)> note(branches);
  co_await scope.counter().Join(note);
  co_return std::apply(
      [&scope](auto&... branch) {
        return Selected<AwaitResult<A>...>(
            scope.winner(), std::tuple<BranchOutcome<AwaitResult<A>>...>(branch.TakeOutcome()...));
      },
      branches);
}

}  // namespace internal

// An lvalue awaitable (a JoinHandle, a Future) must outlive the co_await.
template <Awaitable... A>
  requires(sizeof...(A) > 0)
auto Select(A&&... awaitables) {
  using Arguments = std::tuple<internal::SelectArgument<A>...>;
  return internal::RunSelect<internal::SelectArgument<A>...>(
      Arguments(internal::ToSelectArgument<A>(static_cast<A&&>(awaitables))...));
}

template <class T>
Task<absl::StatusOr<SelectedOf<T>>> Select(std::vector<Task<T>> tasks) {
  if (tasks.empty()) co_return absl::InvalidArgumentError("Select: there is nothing to wait for");
  internal::SelectScope scope;
  std::deque<internal::SelectBranch<Task<T>>> branches;  // which do not move
  for (auto& task : tasks) branches.emplace_back(std::move(task));
  for (size_t i = 0; i < branches.size() && !scope.decided(); ++i) {
    branches[i].Start(scope, static_cast<int>(i));
  }
  const internal::SelectNote<decltype(branches)> note(branches);
  co_await scope.counter().Join(note);
  std::vector<internal::BranchOutcome<T>> outcomes;
  outcomes.reserve(branches.size());
  for (auto& branch : branches) outcomes.push_back(branch.TakeOutcome());
  co_return SelectedOf<T>(scope.winner(), std::move(outcomes));
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_SELECT_H_
