// ServeCalls: what a worker process does all day: takes calls from its link, runs them, answers.
// Internal.
//
// One call at a time, in the order of the link; each is answered, also one that was withdrawn
// before it began. Arguments are decoded from where they lie, and results encoded to where the
// parent reads them: in the ring or, where they are large, in the payload area. When nothing was
// called for a second that goes back to the system, and so does what large values were freed.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CALL_SERVER_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CALL_SERVER_H_

#include <memory>

#include "absl/status/status.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/payload.h"

namespace plait::internal {

// Says that it is ready and serves until the parent says goodbye, which is OK. DataLoss when what
// comes is not what a parent sends.
absl::Status ServeCalls(LinkEnd& link, std::shared_ptr<PayloadMemory> payload,
                        const FunctionTable& table);

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CALL_SERVER_H_
