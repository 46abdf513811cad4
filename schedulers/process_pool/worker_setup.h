// SetUpWorker: what a new worker process does to itself before anything else. Internal.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_SETUP_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_SETUP_H_

#include "absl/types/span.h"
#include "plait/schedulers/process_pool/zygote_protocol.h"

namespace plait::internal {

// In a process that `zygote`, which has one thread, has just forked. Gives it `descriptors` as 3,
// 4, ... and closes all others; `error_pipe` is where its standard error goes, if that is kept.
// Where something cannot be had it says so there and ends the process, with status 125.
void SetUpWorker(const StartRequest& request, int zygote, absl::Span<const int> descriptors,
                 int error_pipe);

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_SETUP_H_
