#include "plait/schedulers/process_pool/call_codec.h"

namespace plait::internal {

absl::Status SignatureMismatch() {
  return absl::FailedPreconditionError(
      "the function has other parameters, or another result, in the other process");
}

}  // namespace plait::internal
