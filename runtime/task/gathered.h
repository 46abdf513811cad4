// What children contribute to a common result, and its type: of Gather and Fork. Internal.
#ifndef PLAIT_RUNTIME_TASK_GATHERED_H_
#define PLAIT_RUNTIME_TASK_GATHERED_H_

#include <type_traits>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"

namespace plait::internal {

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
inline constexpr bool kGathersValue = !std::is_same_v<Gathered<T>, std::monostate>;

// Of a child that ended well.
template <class T>
Gathered<T> TakeGathered(Result<T>& result) {
  if constexpr (!kGathersValue<T>) {
    return {};
  } else if constexpr (kIsStatusOr<T>) {
    return *result.Take();
  } else {
    return result.Take();
  }
}

// U is what the values make together, kHasStatus whether a status goes with it, kHasValues whether
// there are values.
template <class U, bool kHasStatus, bool kHasValues>
using GatherResult =
    std::conditional_t<kHasStatus, std::conditional_t<kHasValues, absl::StatusOr<U>, absl::Status>,
                       std::conditional_t<kHasValues, U, void>>;

template <class T>
using GatherVectorResult =
    GatherResult<std::vector<Gathered<T>>, kCarriesStatus<T>, kGathersValue<T>>;

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_GATHERED_H_
