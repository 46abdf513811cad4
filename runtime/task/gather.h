// Gather: runs tasks side by side and gives all their results, in the order of the arguments.
//
//   Task<int>:            std::tuple<int, int> both = co_await Gather(Fetch(1), Fetch(2));
//   vector<Task<int>>:    std::vector<int> all = co_await Gather(std::move(tasks));
//   Task<StatusOr<U>>:    absl::StatusOr<std::tuple<U, V>> both = co_await Gather(F(), G());
//   Task<Status>:         absl::Status saved = co_await Gather(Save(1), Save(2));
//
// Where results can carry a status, the first error wins: the other children are cancelled, all are
// joined, and the error is the result. Plain results wait for every child. If a child throws, the
// others are cancelled and joined and the first exception is rethrown. void results are left out of
// vectors (Gather of Task<void>s gives void) and stand as std::monostate in tuples of mixed types.
//
// GatherAll lets every child end as it will and gives what each ended with, as a Status or
// StatusOr; an exception becomes Internal, with its what(). (asyncio: return_exceptions.)
//
//   std::vector<absl::StatusOr<int>> all = co_await GatherAll(std::move(tasks));
//
// GatherLimit is Gather with at most `limit` children running at once: the next begins, in order,
// when one has ended. A limit below 1 gives InvalidArgument, and is a programming error (CHECK)
// where the result can't carry a status. When it fails or is cancelled, children that have not
// begun do not run, where results carry a status.
//
// Order: children start in the order of the arguments, on the awaiting task's executor, when the
// Gather is awaited. Cancellation: a cancel of the awaiting task reaches every child. Cost: a frame
// or two, and one block for a vector's slots. Gathering nothing gives an empty result at once.
#ifndef PLAIT_RUNTIME_TASK_GATHER_H_
#define PLAIT_RUNTIME_TASK_GATHER_H_

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/describe_exception.h"
#include "plait/runtime/task/gathered.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/scope.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"

namespace plait {
namespace internal {

class GatherScope;

// One child; also its continuation. While it is one, `next` is its coroutine.
struct GatherSlot : WorkItem {
  GatherScope* scope = nullptr;

  PromiseBase* coroutine() const noexcept { return static_cast<PromiseBase*>(next); }
};

// What the children of one Gather share.
class GatherScope : public Scope {
 public:
  enum class Policy : uint8_t { kFailFast, kLetAllEnd };

  explicit GatherScope(Policy policy) noexcept : policy_(policy) {}

  // Starts `coroutine`, which has its result's place, as the child `slot`.
  void Start(GatherSlot& slot, PromiseBase& coroutine) noexcept {
    Prepare(slot, coroutine);
    coroutine.Schedule();
  }
  // The same, to be started by StartFirst and by the ends of others.
  void Prepare(GatherSlot& slot, PromiseBase& coroutine) noexcept {
    slot.scope = this;
    slot.next = &coroutine;
    coroutine.continuation = &slot;
    coroutine.context = &context();
  }
  // `slots` are `count` objects of `size` bytes that were prepared. `may_drop`: those that have not
  // begun when the scope is stopped are not run.
  void StartFirst(GatherSlot* slots, size_t size, size_t count, size_t limit,
                  bool may_drop) noexcept;

  // A child failed.
  void Fail(absl::Status error, std::exception_ptr exception) noexcept;
  // The end of a child; nothing of the scope may be touched after this.
  void Done() noexcept {
    if (slots_ != nullptr) StartNext();
    counter_.Done();
  }
  bool fails_fast() const noexcept { return policy_ == Policy::kFailFast; }

  JoinCounter& counter() noexcept { return counter_; }

  // The first error; rethrows the first exception. After the join.
  absl::Status TakeError();

 private:
  void StartNext() noexcept;

  const Policy policy_;
  SpinLock lock_;
  bool failed_ = false;
  bool may_drop_ = false;
  absl::Status error_;
  std::exception_ptr exception_;
  JoinCounter counter_;
  // Children that wait for the limit; null where there is none.
  GatherSlot* slots_ = nullptr;
  size_t slot_size_ = 0;
  size_t slot_count_ = 0;
  Atomic<size_t> next_slot_{0};
};

// One child's result; also its continuation.
template <class T>
struct GatherChild : GatherSlot {
  Result<T> result;

  // Takes the coroutine out of `task`.
  PromiseBase& Take(Task<T> task) {
    TaskPromise<T>* promise = task.Release();
    PLAIT_CHECK(promise != nullptr, "gathering a Task that was moved from or awaited before");
    run = &RunDone;
    promise->result = &result;
    return *promise;
  }

  static void RunDone(WorkItem& item) noexcept {
    auto& self = static_cast<GatherChild&>(item);
    self.next = nullptr;
    if (self.scope->fails_fast()) {
      if (self.result.has_exception()) {
        self.scope->Fail(absl::OkStatus(), self.result.exception());
      } else if constexpr (kCarriesStatus<T>) {
        if (!self.result.value().ok()) self.scope->Fail(StatusOf(self.result.value()), nullptr);
      }
    }
    self.scope->Done();
  }
};

// What is shown of a Gather to those who look at the running program: its children.
void ShowSlot(const GatherSlot& slot, AwaitVisitor& visitor);

template <class... T>
struct GatherTupleNote : AwaitNote {
  explicit GatherTupleNote(const std::tuple<GatherChild<T>...>& c)
      : AwaitNote{&kKind}, children(c) {}
  static void Visit(const AwaitNote& note, AwaitVisitor& visitor) {
    std::apply([&](const auto&... child) { (ShowSlot(child, visitor), ...); },
               static_cast<const GatherTupleNote&>(note).children);
  }
  static constexpr AwaitKind kKind{"Gather", &Visit};
  const std::tuple<GatherChild<T>...>& children;
};

struct GatherArrayNote : AwaitNote {
  GatherArrayNote(const GatherSlot* s, size_t size, size_t n)
      : AwaitNote{&kKind}, slots(s), slot_size(size), count(n) {}
  static void Visit(const AwaitNote& note, AwaitVisitor& visitor);
  static const AwaitKind kKind;
  const GatherSlot* slots;
  size_t slot_size;
  size_t count;
};

template <class T>
WithStatus<T> TakeOutcome(GatherChild<T>& child) {
  if (child.result.has_exception()) {
    return absl::InternalError(DescribeException(child.result.exception()));
  }
  if constexpr (std::is_void_v<T>) {
    return absl::OkStatus();
  } else {
    return WithStatus<T>(child.result.Take());
  }
}

template <class... T>
void StartAll(GatherScope& scope, std::tuple<GatherChild<T>...>& children, Task<T>&... tasks) {
  scope.counter().Add(sizeof...(T));
  [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
    (scope.Start(std::get<kIndex>(children), std::get<kIndex>(children).Take(std::move(tasks))),
     ...);
  }(std::index_sequence_for<T...>());
}

// Runs `tasks`, at most `limit` at once (0: all), and leaves their results in `children`, an array
// of as many.
template <class T>
Task<void> RunChildren(GatherScope& scope, std::vector<Task<T>> tasks, GatherChild<T>* children,
                       size_t limit) {
  const size_t count = tasks.size();
  scope.counter().Add(static_cast<int>(count));
  if (limit == 0) {
    for (size_t i = 0; i < count; ++i) {
      scope.Start(children[i], children[i].Take(std::move(tasks[i])));
    }
  } else {
    for (size_t i = 0; i < count; ++i) {
      scope.Prepare(children[i], children[i].Take(std::move(tasks[i])));
    }
    scope.StartFirst(children, sizeof(*children), count, limit, kCarriesStatus<T>);
  }
  const GatherArrayNote note(children, sizeof(*children), count);
  co_await scope.counter().Join(note);
}

template <class T>
Task<GatherVectorResult<T>> GatherVector(std::vector<Task<T>> tasks, size_t limit) {
  const size_t count = tasks.size();
  GatherScope scope(GatherScope::Policy::kFailFast);
  const auto children = std::make_unique<GatherChild<T>[]>(count);
  co_await RunChildren(scope, std::move(tasks), children.get(), limit);
  absl::Status error = scope.TakeError();
  if constexpr (kCarriesStatus<T>) {
    if (!error.ok()) co_return error;
  }
  if constexpr (kGathersValue<T>) {
    std::vector<Gathered<T>> values;
    values.reserve(count);
    for (size_t i = 0; i < count; ++i) values.push_back(TakeGathered(children[i].result));
    co_return values;
  } else if constexpr (kCarriesStatus<T>) {
    co_return absl::OkStatus();
  }
}

// OK, or why not.
absl::Status CheckLimit(int limit);
template <class R>
Task<R> FailLimit(absl::Status error) {
  co_return error;
}

}  // namespace internal

template <class... T>
Task<internal::GatherResult<std::tuple<internal::Gathered<T>...>,
                            (internal::kCarriesStatus<T> || ...),
                            (sizeof...(T) == 0 || (internal::kGathersValue<T> || ...))>>
Gather(Task<T>... tasks) {
  internal::GatherScope scope(internal::GatherScope::Policy::kFailFast);
  std::tuple<internal::GatherChild<T>...> children;
  internal::StartAll(scope, children, tasks...);
  const internal::GatherTupleNote<T...> note(children);
  co_await scope.counter().Join(note);
  absl::Status error = scope.TakeError();
  if constexpr ((internal::kCarriesStatus<T> || ...)) {
    if (!error.ok()) co_return error;
  }
  if constexpr (sizeof...(T) == 0 || (internal::kGathersValue<T> || ...)) {
    co_return std::apply(
        [](auto&... child) {
          return std::tuple<internal::Gathered<T>...>(internal::TakeGathered(child.result)...);
        },
        children);
  } else if constexpr ((internal::kCarriesStatus<T> || ...)) {
    co_return absl::OkStatus();
  }
}

template <class T>
Task<internal::GatherVectorResult<T>> Gather(std::vector<Task<T>> tasks) {
  return internal::GatherVector(std::move(tasks), 0);
}

template <class T>
Task<internal::GatherVectorResult<T>> GatherLimit(int limit, std::vector<Task<T>> tasks) {
  const absl::Status checked = internal::CheckLimit(limit);
  if constexpr (internal::kCarriesStatus<T>) {
    if (!checked.ok()) return internal::FailLimit<internal::GatherVectorResult<T>>(checked);
  }
  PLAIT_CHECK(checked.ok(), checked.ToString());
  return internal::GatherVector(std::move(tasks), static_cast<size_t>(limit));
}

template <class... T>
Task<std::tuple<internal::WithStatus<T>...>> GatherAll(Task<T>... tasks) {
  internal::GatherScope scope(internal::GatherScope::Policy::kLetAllEnd);
  std::tuple<internal::GatherChild<T>...> children;
  internal::StartAll(scope, children, tasks...);
  const internal::GatherTupleNote<T...> note(children);
  co_await scope.counter().Join(note);
  co_return std::apply(
      [](auto&... child) {
        return std::tuple<internal::WithStatus<T>...>(internal::TakeOutcome(child)...);
      },
      children);
}

template <class T>
Task<std::vector<internal::WithStatus<T>>> GatherAll(std::vector<Task<T>> tasks) {
  const size_t count = tasks.size();
  internal::GatherScope scope(internal::GatherScope::Policy::kLetAllEnd);
  const auto children = std::make_unique<internal::GatherChild<T>[]>(count);
  co_await internal::RunChildren(scope, std::move(tasks), children.get(), 0);
  std::vector<internal::WithStatus<T>> outcomes;
  outcomes.reserve(count);
  for (size_t i = 0; i < count; ++i) outcomes.push_back(internal::TakeOutcome(children[i]));
  co_return outcomes;
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_GATHER_H_
