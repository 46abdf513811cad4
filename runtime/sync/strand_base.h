// BaseOf: on whose threads an executor's work runs, where that is a Strand: the executor that it is
// over, however many strands lie between. For what the library does in the background, which its
// users do not know of: a strand must outlive its tasks.
#ifndef PLAIT_RUNTIME_SYNC_STRAND_BASE_H_
#define PLAIT_RUNTIME_SYNC_STRAND_BASE_H_

#include "plait/runtime/core/executor.h"

namespace plait::internal {

// `executor`, if it is no Strand; null for null. Any thread.
Executor* BaseOf(Executor* executor) noexcept;

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_SYNC_STRAND_BASE_H_
