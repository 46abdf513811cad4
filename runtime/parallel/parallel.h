// ParallelMap, ParallelFor, ParallelReduce: one function over many items, on the threads of an
// executor.
//
//   absl::StatusOr<std::vector<Thumbnail>> thumbnails =
//       co_await plait::ParallelMap(pool, std::move(files), &MakeThumbnail, {.n_jobs = 4});
//   absl::Status status =
//       co_await plait::ParallelFor(pool, 0, n, [&](int64_t i) { out[i] = f(i); });
//   absl::StatusOr<double> sum = co_await plait::ParallelReduce(
//       pool, 0, n, 0.0, [&](double sum, int64_t i) { return sum + x[i]; }, std::plus<>());
//
// How: the items are cut into chunks of neighbours; n_jobs jobs run on the executor, and each takes
// the next chunk when it is done with one, so that unequal items even out. Between two chunks a job
// yields. On an executor with fewer threads than jobs the jobs take turns; on an EventLoop that
// works too, though only one runs at a time.
//
// The function may be called by several threads at once, on one object, which is kept until the
// end. It gives a value, nothing, an absl::Status or absl::StatusOr<U>, or a Task of one of these,
// which is then awaited on the executor: so it may itself use ParallelFor, on the same executor
// too, and no thread waits for another. From outside of tasks: BlockOn(pool, ParallelFor(pool,
// ...)).
//
// Results: in the order of the items. Errors: the one of the lowest index wins, as if the items had
// been done one after the other; items behind it are skipped, or cancelled where they are Tasks,
// those before it are done. An error is the result of the whole; an exception is rethrown. All jobs
// have ended before the co_await does. Cancellation: items that have not begun are skipped, Tasks
// are cancelled, and the result is absl::CancelledError, unless all was done. The same where the
// executor is closed meanwhile, which waits for the jobs to end. Options that make no sense give
// InvalidArgument. Threads: any task may call these; it goes on on its own executor.
// Cost: a coroutine a job, and for each chunk an atomic addition and a turn of the executor.
#ifndef PLAIT_RUNTIME_PARALLEL_PARALLEL_H_
#define PLAIT_RUNTIME_PARALLEL_PARALLEL_H_

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/parallel/parallel_scope.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"

namespace plait {
namespace internal {

// What a call of the function comes to: U for U, StatusOr<U> and Tasks of them; void for void and
// Status.
template <class R>
struct ParallelValueImpl {
  using type = std::remove_cvref_t<R>;
};
template <>
struct ParallelValueImpl<void> {
  using type = void;
};
template <>
struct ParallelValueImpl<absl::Status> {
  using type = void;
};
template <class U>
struct ParallelValueImpl<absl::StatusOr<U>> {
  using type = U;
};
template <class R>
struct ParallelValueImpl<Task<R>> : ParallelValueImpl<R> {};
template <class R>
using ParallelValue = typename ParallelValueImpl<std::remove_cvref_t<R>>::type;

// Notes the error that `result` of `item` is, or hands its value to `keep(item, value...)`.
template <class R, class Keep>
void KeepItem(ParallelScope& scope, int64_t item, Result<R>& result, Keep& keep) {
  if (result.has_exception()) return scope.Fail(item, absl::OkStatus(), result.exception());
  if constexpr (kCarriesStatus<R>) {
    if (!StatusOf(result.value()).ok()) return scope.Fail(item, StatusOf(result.value()), nullptr);
  }
  if constexpr (kIsStatusOr<R>) {
    keep(item, *std::move(result.value()));
  } else if constexpr (std::is_void_v<R> || kIsStatus<R>) {
    keep(item);
  } else {
    keep(item, result.Take());
  }
}

// A chunk of a function that gives nothing: loops that the compiler sees through.
template <class Call>
void RunPlainChunk(ParallelScope& scope, ParallelScope::Job& job, ParallelScope::Chunk chunk,
                   Call& call) {
  constexpr int64_t kBlock = 64;  // items between two looks at what others have found
  int64_t item = chunk.begin;
  Result<void> result;
  result.Capture([&] {
    while (item < chunk.end && scope.Wanted(job, item)) {
      for (const int64_t end = std::min(chunk.end, item + kBlock); item < end; ++item) call(item);
    }
  });
  if (result.has_exception()) scope.Fail(item, absl::OkStatus(), result.exception());
}

// One job: `call(item)` gives what the function gives.
template <class Call, class Keep>
Task<void> ParallelJob(ParallelScope& scope, ParallelScope::Job& job, Call& call, Keep& keep) {
  using R = std::remove_cvref_t<std::invoke_result_t<Call&, int64_t>>;
  while (const std::optional<ParallelScope::Chunk> chunk = scope.NextChunk(job)) {
    if constexpr (std::is_void_v<R>) {
      RunPlainChunk(scope, job, *chunk, call);
    } else if constexpr (kIsTask<R>) {
      for (int64_t i = chunk->begin; i < chunk->end && scope.Begin(job, i); ++i) {
        Result<typename R::ResultType> result;
        co_await AwaitInto<typename R::ResultType>(call(i), nullptr, result);
        KeepItem(scope, i, result, keep);
      }
    } else {
      for (int64_t i = chunk->begin; i < chunk->end && scope.Wanted(job, i); ++i) {
        Result<R> result;
        result.Capture([&]() -> R { return call(i); });
        KeepItem(scope, i, result, keep);
      }
    }
    co_await scope.Pause();
  }
}

// Runs the jobs and joins them; gives the error of the whole, or rethrows its exception.
template <class Call, class Keep>
Task<absl::Status> RunParallel(const char* what, Executor& executor, int64_t count,
                               ParallelOptions options, Call& call, Keep& keep) {
  ParallelScope scope(executor);
  if (absl::Status valid = scope.Plan(what, count, options); !valid.ok()) co_return valid;
  for (ParallelScope::Job& job : scope.jobs()) {
    scope.Start(job, ParallelJob(scope, job, call, keep));
  }
  co_await scope.Join();
  co_return scope.Outcome();
}

}  // namespace internal

// Gives the vector of the values of `function(item)` for all `items`, in their order; each item is
// moved in. Where the function gives nothing or a Status, that is an absl::Status alone.
template <class In, class F>
Task<
    internal::WithStatus<internal::VectorOf<internal::ParallelValue<std::invoke_result_t<F&, In>>>>>
ParallelMap(Executor& executor, std::vector<In> items, F function, ParallelOptions options = {}) {
  using Value = internal::ParallelValue<std::invoke_result_t<F&, In>>;
  const auto count = static_cast<int64_t>(items.size());
  auto call = [&](int64_t i) -> decltype(auto) {
    return std::invoke(function, std::move(items[static_cast<size_t>(i)]));
  };
  if constexpr (std::is_void_v<Value>) {
    auto keep = [](int64_t) {};
    co_return co_await internal::RunParallel("ParallelMap", executor, count, options, call, keep);
  } else {
    // Not vectors of values, as these need not have a default, nor of bools, which share bytes.
    std::vector<std::optional<Value>> slots(items.size());
    auto keep = [&](int64_t i, Value value) {
      slots[static_cast<size_t>(i)].emplace(std::move(value));
    };
    const absl::Status status =
        co_await internal::RunParallel("ParallelMap", executor, count, options, call, keep);
    if (!status.ok()) co_return status;
    std::vector<Value> values;
    values.reserve(slots.size());
    for (std::optional<Value>& slot : slots) values.push_back(*std::move(slot));
    co_return values;
  }
}

// Calls `function(i)` for every i from `begin` up to and without `end`. An `end` before `begin` is
// an InvalidArgument.
template <class F>
  requires std::invocable<F&, int64_t>
Task<absl::Status> ParallelFor(Executor& executor, int64_t begin, int64_t end, F function,
                               ParallelOptions options = {}) {
  auto call = [&](int64_t i) -> decltype(auto) { return std::invoke(function, begin + i); };
  auto keep = [](int64_t, auto&&...) {};
  const std::optional<int64_t> count = internal::RangeSize(begin, end);
  if (!count) co_return internal::RangeError("ParallelFor", begin, end);
  co_return co_await internal::RunParallel("ParallelFor", executor, *count, options, call, keep);
}

// Folds a range: `fold(value, i)` adds an index to a value, `combine(a, b)` joins the values of two
// neighbouring chunks, the earlier one first; each chunk begins with `identity`. So `combine` has
// to be associative, and need not be commutative. The chunks depend on the range and the options
// alone: sums of floating point come out the same every time. `fold` gives a T or an
// absl::StatusOr<T>.
template <class T, class Fold, class Combine>
  requires std::invocable<Fold&, T, int64_t> && std::invocable<Combine&, T, T>
Task<absl::StatusOr<T>> ParallelReduce(Executor& executor, int64_t begin, int64_t end, T identity,
                                       Fold fold, Combine combine, ParallelOptions options = {}) {
  using R = std::remove_cvref_t<std::invoke_result_t<Fold&, T, int64_t>>;
  const std::optional<int64_t> count = internal::RangeSize(begin, end);
  if (!count) co_return internal::RangeError("ParallelReduce", begin, end);
  if (absl::Status valid = internal::CheckOptions("ParallelReduce", options); !valid.ok()) {
    co_return valid;
  }
  // A chunk is an item here, so that each has its own value. An error within it has the chunk's
  // index: the lowest one still wins, as chunks are in order and each stops at its first.
  const int64_t chunk = internal::ChunkSize(*count, options);
  const int64_t chunks = *count / chunk + (*count % chunk != 0 ? 1 : 0);
  std::vector<std::optional<T>> partial(static_cast<size_t>(chunks));
  auto call = [&](int64_t c) -> absl::Status {
    T value = identity;
    const int64_t first = begin + c * chunk;
    const int64_t last = first + std::min(chunk, *count - c * chunk);
    for (int64_t i = first; i < last; ++i) {
      if (i % 1024 == 0 && CurrentStopToken().stop_requested()) {
        return absl::CancelledError("the task was cancelled");
      }
      if constexpr (internal::kIsStatusOr<R>) {
        R folded = std::invoke(fold, std::move(value), i);
        if (!folded.ok()) return folded.status();
        value = *std::move(folded);
      } else {
        value = std::invoke(fold, std::move(value), i);
      }
    }
    partial[static_cast<size_t>(c)].emplace(std::move(value));
    return absl::OkStatus();
  };
  auto keep = [](int64_t) {};
  const absl::Status status = co_await internal::RunParallel(
      "ParallelReduce", executor, chunks, {.n_jobs = options.n_jobs, .chunk = 1}, call, keep);
  if (!status.ok()) co_return status;
  T total = std::move(identity);
  for (std::optional<T>& value : partial) {
    total = std::invoke(combine, std::move(total), *std::move(value));
  }
  co_return total;
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_PARALLEL_PARALLEL_H_
