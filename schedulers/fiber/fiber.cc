#include "plait/schedulers/fiber/fiber.h"

#include "absl/strings/str_cat.h"

namespace plait::internal {

absl::StatusOr<FiberStack> TakeFiberStack(const FiberOptions& options) {
  if (options.stack_size < kLeastFiberStack || options.stack_size > kMostFiberStack) {
    return absl::InvalidArgumentError(absl::StrCat("FiberOptions::stack_size is ",
                                                   options.stack_size, "; it must be from ",
                                                   kLeastFiberStack, " to ", kMostFiberStack));
  }
  return FiberStack::Take(options.stack_size);
}

}  // namespace plait::internal
