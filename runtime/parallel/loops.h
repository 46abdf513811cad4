// ParallelFor and ParallelReduce for plain functions: loops that are shared with whoever has
// nothing else to do. The same names as in parallel.h, without an executor and without co_await.
//
//   plait::ParallelFor(0, n, [&](int64_t i) { out[i] = f(x[i]); });
//   absl::Status s = plait::ParallelFor(0, n, [&](int64_t i) -> absl::Status { ... });
//   double sum = plait::ParallelReduce(
//       0, n, 0.0, [&](double sum, int64_t i) { return sum + x[i]; }, std::plus<>());
//
// They are made of ParallelInvoke (invoke.h, where threads, exceptions and helping are explained):
// a range is cut in halves down to grains, and of the halves that are noted on the thread's own
// stack another thread gets the largest, when it asks. So a loop is shared when somebody wants work
// and as far as he wants it; where nobody does it is a loop over grains.
//
// `grain` is how many neighbours are never shared out; by default (0) a 1024th of the range, 256 at
// most. A larger one helps where an item takes a nanosecond or two. A negative one is a programming
// error (CHECK). An `end` before `begin` is an empty range.
//
// Results and cancellation: where the function gives nothing, or the fold a plain value, all of the
// range is done. Where it gives a Status, or the fold a StatusOr, so does the loop: the error of
// the lowest index wins, as if the items had been done one after the other; items before it are
// done, those behind it are skipped as far as they have not begun. A cancel of the surrounding task
// is looked at between items: the rest is skipped and the result is absl::CancelledError, unless
// all was done or an error came before. Exceptions: the one of the lowest index comes out,
// likewise. Cost: a fork a grain.
#ifndef PLAIT_RUNTIME_PARALLEL_LOOPS_H_
#define PLAIT_RUNTIME_PARALLEL_LOOPS_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/parallel/forked_call.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"

namespace plait {
namespace internal {

// [begin, end) in grains. Depends on nothing but its arguments: so do the results of folds whose
// order matters, such as sums of floating point.
class GrainedRange {
 public:
  GrainedRange(int64_t begin, int64_t end, int64_t grain) noexcept : begin_(begin), end_(end) {
    PLAIT_CHECK(grain >= 0, "a loop's grain is the number of items that are done in one go");
    const uint64_t count = begin < end ? Distance(begin, end) : 0;
    constexpr uint64_t kParts = 1024;
    constexpr uint64_t kMost = 256;
    if (grain > 0) grain_ = static_cast<uint64_t>(grain);
    if (grain == 0) grain_ = std::clamp<uint64_t>(count / kParts, 1, kMost);
    grains_ = count;
    // A division costs as much as some forks.
    if (grain_ > 1) grains_ = count / grain_ + (count % grain_ != 0 ? 1 : 0);
  }

  uint64_t grains() const noexcept { return grains_; }
  int64_t begin_of(uint64_t grain) const noexcept {
    return static_cast<int64_t>(static_cast<uint64_t>(begin_) + grain * grain_);
  }
  int64_t end_of(uint64_t grain) const noexcept {
    const int64_t begin = begin_of(grain);
    return Distance(begin, end_) < grain_
               ? end_
               : static_cast<int64_t>(static_cast<uint64_t>(begin) + grain_);
  }

 private:
  static uint64_t Distance(int64_t begin, int64_t end) noexcept {
    return static_cast<uint64_t>(end) - static_cast<uint64_t>(begin);
  }

  const int64_t begin_;
  const int64_t end_;
  uint64_t grain_;
  uint64_t grains_;
};

// What a loop that can fail shares: how far it is still to go.
class LoopEnd {
 public:
  // Whether `item` is to be done: it is not behind an error, and the task was not cancelled.
  bool Wanted(int64_t item) const noexcept {
    return item <= failed_.load(kRelaxed) && !stop_.stop_requested();
  }
  void Fail(int64_t item) noexcept {
    // Relaxed: it saves work, and no more. Which error wins is for the order of the parts to say.
    int64_t lowest = failed_.load(kRelaxed);
    while (item < lowest && !failed_.compare_exchange_weak(lowest, item, kRelaxed, kRelaxed)) {
    }
  }
  // What a part gives that came to an item that is not wanted. Where that is because of an error,
  // the error is to the left of it, and wins.
  static absl::Status CutShort() { return absl::CancelledError("the task was cancelled"); }

 private:
  const StopToken stop_ = CurrentStopToken();
  Atomic<int64_t> failed_{std::numeric_limits<int64_t>::max()};
};

// Of a loop that can't.
inline constexpr std::true_type kAllIsWanted;

// A loop over grains: what its parts need, in one place, so that a fork has one pointer to keep.
template <class T, class Wanted, class Leaf, class Join>
struct GrainLoop {
  // leaf(grain) for the grains from `first` up to and without `last`, of which there is one at
  // least; join(left, right) for what neighbouring parts gave. The halves do not depend on who does
  // them. A part that is not `wanted(its first grain)` any more is not divided further.
  T Run(uint64_t first, uint64_t last) const {
    if constexpr (!std::is_same_v<Wanted, std::true_type>) {
      if (!wanted(first)) return LoopEnd::CutShort();
    }
    if (last - first == 1) return leaf(first);
    const uint64_t middle = first + (last - first) / 2;
    auto left = [this, first, middle] { return Run(first, middle); };
    auto right = [this, middle, last] { return Run(middle, last); };
    // Of one that can fail: also what the right half throws is behind the left one's error.
    constexpr bool kErrorSettles = !std::is_same_v<Wanted, std::true_type>;
    auto [a, b] = ForkTwo<kErrorSettles>(left, right);
    return join(std::move(a), std::move(b));
  }

  const Wanted& wanted;
  const Leaf& leaf;
  const Join& join;
};

template <class T, class Wanted, class Leaf, class Join>
T ForkGrains(const GrainedRange& range, const Wanted& wanted, const Leaf& leaf, const Join& join) {
  const GrainLoop<T, Wanted, Leaf, Join> loop{wanted, leaf, join};
  return loop.Run(0, range.grains());
}

// Of two parts' statuses the left one's error wins.
inline absl::Status LeftError(absl::Status left, absl::Status right) {
  return left.ok() ? std::move(right) : std::move(left);
}

template <class F>
void ForPlain(const GrainedRange& range, F& function) {
  const auto leaf = [&](uint64_t grain) {
    const int64_t end = range.end_of(grain);
    for (int64_t i = range.begin_of(grain); i < end; ++i) function(i);
    return std::monostate();
  };
  const auto join = [](std::monostate, std::monostate) { return std::monostate(); };
  ForkGrains<std::monostate>(range, kAllIsWanted, leaf, join);
}

template <class F>
absl::Status ForStatus(const GrainedRange& range, F& function) {
  LoopEnd loop;
  const auto wanted = [&](uint64_t grain) { return loop.Wanted(range.begin_of(grain)); };
  const auto leaf = [&](uint64_t grain) -> absl::Status {
    const int64_t end = range.end_of(grain);
    for (int64_t i = range.begin_of(grain); i < end; ++i) {
      if (!loop.Wanted(i)) return LoopEnd::CutShort();
      const auto result = function(i);
      if (!result.ok()) {
        loop.Fail(i);
        return StatusOf(result);
      }
    }
    return absl::OkStatus();
  };
  return ForkGrains<absl::Status>(range, wanted, leaf, LeftError);
}

template <class T, class Fold, class Combine>
T ReducePlain(const GrainedRange& range, const T& identity, Fold& fold, Combine& combine) {
  const auto leaf = [&](uint64_t grain) -> T {
    const int64_t end = range.end_of(grain);
    T value = identity;
    for (int64_t i = range.begin_of(grain); i < end; ++i) value = fold(std::move(value), i);
    return value;
  };
  const auto join = [&](T left, T right) -> T {
    return combine(std::move(left), std::move(right));
  };
  return ForkGrains<T>(range, kAllIsWanted, leaf, join);
}

template <class T, class Fold, class Combine>
absl::StatusOr<T> ReduceStatus(const GrainedRange& range, const T& identity, Fold& fold,
                               Combine& combine) {
  LoopEnd loop;
  const auto wanted = [&](uint64_t grain) { return loop.Wanted(range.begin_of(grain)); };
  const auto leaf = [&](uint64_t grain) -> absl::StatusOr<T> {
    const int64_t end = range.end_of(grain);
    T value = identity;
    for (int64_t i = range.begin_of(grain); i < end; ++i) {
      if (!loop.Wanted(i)) return LoopEnd::CutShort();
      absl::StatusOr<T> folded = fold(std::move(value), i);
      if (!folded.ok()) {
        loop.Fail(i);
        return folded;
      }
      value = *std::move(folded);
    }
    return value;
  };
  const auto join = [&](absl::StatusOr<T> left, absl::StatusOr<T> right) -> absl::StatusOr<T> {
    if (!left.ok()) return left;
    if (!right.ok()) return right;
    return combine(*std::move(left), *std::move(right));
  };
  return ForkGrains<absl::StatusOr<T>>(range, wanted, leaf, join);
}

}  // namespace internal

// Calls `function(i)` for every i from `begin` up to and without `end`. Gives a Status where the
// function gives one, or a StatusOr; else nothing, and what the function gives is dropped.
template <class F>
auto ParallelFor(int64_t begin, int64_t end, F&& function, int64_t grain = 0) {
  static_assert(std::is_invocable_v<F&, int64_t>,
                "ParallelFor calls its function with an index: [&](int64_t i) { ... }");
  if constexpr (std::is_invocable_v<F&, int64_t>) {
    using R = std::remove_cvref_t<std::invoke_result_t<F&, int64_t>>;
    static_assert(!internal::kIsTask<R>,
                  "without an executor ParallelFor calls plain functions; for coroutines there is "
                  "co_await ParallelFor(executor, begin, end, function), of parallel.h");
    const internal::GrainedRange range(begin, end, grain);
    if constexpr (internal::kCarriesStatus<R>) {
      return range.grains() == 0 ? absl::OkStatus() : internal::ForStatus(range, function);
    } else {
      if (range.grains() != 0) internal::ForPlain(range, function);
    }
  }
}

// Folds a range: `fold(value, i)` adds an index to a value, and each grain begins with `identity`;
// `combine(a, b)` joins the values of two neighbouring parts, the earlier one first. So `combine`
// has to be associative, and need not be commutative. The parts depend on the range and `grain`
// alone: a sum of floating point comes out the same every time. T, the type of `identity`, is that
// of the result; where `fold` gives a StatusOr<T>, so does this. An empty range gives `identity`.
template <class T, class Fold, class Combine>
auto ParallelReduce(int64_t begin, int64_t end, T identity, Fold&& fold, Combine&& combine,
                    int64_t grain = 0) {
  static_assert(std::is_invocable_v<Fold&, T, int64_t>,
                "ParallelReduce calls fold(value, index), with a value of the type of identity");
  static_assert(std::is_invocable_r_v<T, Combine&, T, T>,
                "ParallelReduce calls combine(value, value), which gives a value of the type of "
                "identity");
  if constexpr (std::is_invocable_v<Fold&, T, int64_t>) {
    using R = std::remove_cvref_t<std::invoke_result_t<Fold&, T, int64_t>>;
    static_assert(!internal::kIsTask<R>,
                  "without an executor ParallelReduce calls plain functions: let fold give a value "
                  "or an absl::StatusOr of one");
    const internal::GrainedRange range(begin, end, grain);
    if constexpr (internal::kIsStatusOr<R>) {
      if (range.grains() == 0) return absl::StatusOr<T>(std::move(identity));
      return internal::ReduceStatus<T>(range, identity, fold, combine);
    } else {
      if (range.grains() == 0) return identity;
      return internal::ReducePlain<T>(range, identity, fold, combine);
    }
  }
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_PARALLEL_LOOPS_H_
