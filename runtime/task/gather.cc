#include "plait/runtime/task/gather.h"

namespace plait::internal {

void GatherScope::Fail(absl::Status error, std::exception_ptr exception) noexcept {
  {
    SpinLockHolder hold(lock_);
    if (failed_) return;
    failed_ = true;
  }
  // Only this child writes these, and the join comes after its end.
  error_ = std::move(error);
  exception_ = std::move(exception);
  stop().RequestStop();
}

absl::Status GatherScope::TakeError() {
  if (exception_ != nullptr) std::rethrow_exception(exception_);
  return std::move(error_);
}

}  // namespace plait::internal
