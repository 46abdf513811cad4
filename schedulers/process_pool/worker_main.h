// ServeTable: what the workers of a process pool do. Internal.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_MAIN_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_MAIN_H_

#include <vector>

#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/payload.h"
#include "plait/schedulers/process_pool/zygote_main.h"

namespace plait::internal {

// What a worker exits with, having said on its standard error why.
inline constexpr int kWorkerGotGarbage = 123;
inline constexpr int kInitializerFailed = 124;

// The body of workers that run the functions of `table`: opens what it was given, runs the
// initialiser, serves calls until it is told to leave.
WorkerBody ServeTable(FunctionTable table);

// What WorkerProcess::Start gives to such a worker. Afterwards link.CloseWorkerEvent().
std::vector<int> WorkerDescriptors(const LinkMemory& link, const PayloadMemory& payload);

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_MAIN_H_
