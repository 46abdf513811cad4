// ServeAsZygoteIfAsked: what RunProcessWorkersIfAsked does with a body; see zygote.h. Internal.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_HOOK_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_HOOK_H_

#include <cstdint>
#include <string>

#include "plait/schedulers/process_pool/zygote_main.h"

namespace plait::internal {

// Where this process was started as another's zygote, serves as that and never returns. Otherwise
// remembers that main would hand over, and returns.
void ServeAsZygoteIfAsked(const WorkerBody& body, uint64_t fingerprint);

// Whether ServeAsZygoteIfAsked has been called.
bool HandsOver() noexcept;

// The environment's entry that asks for it.
std::string AskToServe(int parent, uint64_t fingerprint);

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_HOOK_H_
