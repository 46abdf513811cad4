// Gather: runs tasks side by side and gives all their results, in the order of the arguments.
//
//   auto [a, b] = co_await plait::Gather(Fetch(1), Fetch(2));              // Task<int>:
//   std::tuple<int, int> std::vector<int> all = co_await plait::Gather(std::move(tasks));       //
//   std::vector<Task<int>> absl::StatusOr<std::tuple<A, B>> ab = co_await plait::Gather(F(), G());
//   // Task<StatusOr<A>>, Task<StatusOr<B>> absl::Status status = co_await plait::Gather(Save(1),
//   Save(2));        // Task<Status>
//
// Where results can carry a status, the first error wins: the other children are cancelled, all are
// joined, and the error is the result. Plain results wait for every child. If a child throws, the
// others are cancelled and joined and the first exception is rethrown. void results are left out of
// vectors (Gather of Task<void>s gives void) and stand as std::monostate in tuples of mixed types.
// Order: children start in the order of the arguments, on the awaiting task's executor, when the
// Gather is awaited. Cancellation: a cancel of the awaiting task reaches every child. Cost: one
// frame, and one block for a vector's slots. Gathering nothing gives an empty result at once.
#ifndef PLAIT_RUNTIME_TASK_GATHER_H_
#define PLAIT_RUNTIME_TASK_GATHER_H_

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/scope.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"

namespace plait {
namespace internal {

// What the children of one Gather share.
class GatherScope : public Scope {
 public:
  void Fail(absl::Status error, std::exception_ptr exception) noexcept;
  JoinCounter& counter() noexcept { return counter_; }

  // The first error; rethrows the first exception. After the join.
  absl::Status TakeError();

 private:
  SpinLock lock_;
  bool failed_ = false;
  absl::Status error_;
  std::exception_ptr exception_;
  JoinCounter counter_;
};

// One child's result; also its continuation.
template <class T>
struct GatherChild : WorkItem {
  Result<T> result;
  GatherScope* scope = nullptr;

  void Start(GatherScope& in, Task<T> task) {
    TaskPromise<T>* promise = task.Release();
    PLAIT_CHECK(promise != nullptr, "gathering a Task that was moved from or awaited before");
    scope = &in;
    run = &RunDone;
    promise->continuation = this;
    promise->context = &in.context();
    promise->result = &result;
    promise->Schedule();
  }

  static void RunDone(WorkItem& item) noexcept {
    auto& self = static_cast<GatherChild&>(item);
    if (self.result.has_exception()) {
      self.scope->Fail(absl::OkStatus(), self.result.exception());
    } else if constexpr (kCarriesStatus<T>) {
      if (!self.result.value().ok()) self.scope->Fail(StatusOf(self.result.value()), nullptr);
    }
    self.scope->counter().Done();
  }
};

// What a child contributes to the result: U for StatusOr<U>, nothing for Status and void.
template <class T>
struct GatheredImpl {
  using type = std::remove_cv_t<T>;
};
template <class U>
struct GatheredImpl<absl::StatusOr<U>> {
  using type = U;
};
template <>
struct GatheredImpl<absl::Status> {
  using type = std::monostate;
};
template <>
struct GatheredImpl<void> {
  using type = std::monostate;
};
template <class T>
using Gathered = typename GatheredImpl<T>::type;

template <class T>
Gathered<T> TakeGathered(GatherChild<T>& child) {
  if constexpr (std::is_same_v<Gathered<T>, std::monostate>) {
    return {};
  } else if constexpr (kIsStatusOr<T>) {
    return *child.result.Take();
  } else {
    return child.result.Take();
  }
}

// The type of a Gather: U is what the values make together, S whether a status goes with it, E
// whether there are values.
template <class U, bool kHasStatus, bool kHasValues>
using GatherResult =
    std::conditional_t<kHasStatus, std::conditional_t<kHasValues, absl::StatusOr<U>, absl::Status>,
                       std::conditional_t<kHasValues, U, void>>;

template <class T>
inline constexpr bool kGathersValue = !std::is_same_v<Gathered<T>, std::monostate>;

}  // namespace internal

template <class... T>
Task<internal::GatherResult<std::tuple<internal::Gathered<T>...>,
                            (internal::kCarriesStatus<T> || ...),
                            (sizeof...(T) == 0 || (internal::kGathersValue<T> || ...))>>
Gather(Task<T>... tasks) {
  internal::GatherScope scope;
  std::tuple<internal::GatherChild<T>...> children;
  scope.counter().Add(sizeof...(T));
  [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
    (std::get<kIndex>(children).Start(scope, std::move(tasks)), ...);
  }(std::index_sequence_for<T...>());
  co_await scope.counter().Join();
  absl::Status error = scope.TakeError();
  if constexpr ((internal::kCarriesStatus<T> || ...)) {
    if (!error.ok()) co_return error;
  }
  if constexpr (sizeof...(T) == 0 || (internal::kGathersValue<T> || ...)) {
    co_return std::apply(
        [](auto&... child) {
          return std::tuple<internal::Gathered<T>...>(internal::TakeGathered(child)...);
        },
        children);
  } else if constexpr ((internal::kCarriesStatus<T> || ...)) {
    co_return absl::OkStatus();
  }
}

template <class T>
Task<internal::GatherResult<std::vector<internal::Gathered<T>>, internal::kCarriesStatus<T>,
                            internal::kGathersValue<T>>>
Gather(std::vector<Task<T>> tasks) {
  internal::GatherScope scope;
  const size_t count = tasks.size();
  const auto children = std::make_unique<internal::GatherChild<T>[]>(count);
  scope.counter().Add(static_cast<int>(count));
  for (size_t i = 0; i < count; ++i) children[i].Start(scope, std::move(tasks[i]));
  co_await scope.counter().Join();
  absl::Status error = scope.TakeError();
  if constexpr (internal::kCarriesStatus<T>) {
    if (!error.ok()) co_return error;
  }
  if constexpr (internal::kGathersValue<T>) {
    std::vector<internal::Gathered<T>> values;
    values.reserve(count);
    for (size_t i = 0; i < count; ++i) values.push_back(internal::TakeGathered(children[i]));
    co_return values;
  } else if constexpr (internal::kCarriesStatus<T>) {
    co_return absl::OkStatus();
  }
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_GATHER_H_
