// Which result types can carry an error, and how to look at it. Internal.
#ifndef PLAIT_RUNTIME_TASK_STATUS_TRAITS_H_
#define PLAIT_RUNTIME_TASK_STATUS_TRAITS_H_

#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace plait::internal {

template <class T>
inline constexpr bool kIsStatusOr = false;
template <class T>
inline constexpr bool kIsStatusOr<absl::StatusOr<T>> = true;

template <class T>
inline constexpr bool kIsStatus = std::is_same_v<std::remove_cvref_t<T>, absl::Status>;

// Status and StatusOr<U>.
template <class T>
inline constexpr bool kCarriesStatus = kIsStatus<T> || kIsStatusOr<std::remove_cvref_t<T>>;

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <class T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// What holds a T or an error: Status and StatusOr themselves, Status for void, StatusOr<T> for any
// other.
template <class T>
struct WithStatusImpl {
  using type = absl::StatusOr<T>;
};
template <>
struct WithStatusImpl<void> {
  using type = absl::Status;
};
template <>
struct WithStatusImpl<absl::Status> {
  using type = absl::Status;
};
template <class T>
struct WithStatusImpl<absl::StatusOr<T>> {
  using type = absl::StatusOr<T>;
};
template <class T>
using WithStatus = typename WithStatusImpl<T>::type;

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_STATUS_TRAITS_H_
