#include "plait/schedulers/process_pool/run_process_workers.h"

#include "plait/schedulers/process_pool/worker_main.h"
#include "plait/schedulers/process_pool/zygote_hook.h"

namespace plait {

void RunProcessWorkersIfAsked(const FunctionTable& table) {
  internal::ServeAsZygoteIfAsked(internal::ServeTable(table), table.fingerprint());
}

}  // namespace plait
