// ProcessPoolOptions: what a ProcessPool is like.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_POOL_OPTIONS_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_POOL_OPTIONS_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/worker_options.h"

namespace plait {

struct ProcessPoolOptions {
  // What workers run.
  FunctionTable functions;
  // How many processes; 0: as many as the machine runs threads.
  int workers = 0;
  // Calls that a worker ends after, to be replaced by a new one (against leaks in functions); 0:
  // never.
  uint64_t max_tasks_per_worker = 0;
  // The most calls that a worker is given ahead of its answers, 1 to 255. More of them keep it busy
  // while the parent does something else; those that it has not begun are taken back where another
  // worker has nothing to do, or it dies. Further calls wait in the pool, their callers suspended.
  int calls_per_worker = 128;
  // The largest encoded arguments or result, 4 GiB at most; of addresses each worker takes twice
  // that, of memory what is in use.
  size_t max_payload = size_t{4} << 30;
  // A call that was cancelled or is late while it runs: how long its function may go on before its
  // process gets SIGTERM (WorkerContext::cancelled() tells it at once), and after that, SIGKILL.
  // The latter is also how long a process that has calls and begins none may be silent, and how
  // long one that was told to leave may take.
  absl::Duration cancel_grace = absl::Milliseconds(100);
  absl::Duration terminate_grace = absl::Seconds(1);
  // How long a process may take until it is ready, its initializer included; then it is killed, and
  // another is started.
  absl::Duration start_grace = absl::Minutes(1);
  // The processes are started, killed and reaped by one that does nothing else. While it owes
  // something and gives no sign of life (somebody debugs it), the others' ends are not known; after
  // so long it is killed, and they with it: calls that run fail as by any death, and it and they
  // are replaced. Where it was only stopped (SIGSTOP) it is told to go on, and nothing is lost.
  absl::Duration zygote_grace = absl::Seconds(10);
  // A function that has ended its worker so often, with no success in between, is not called for a
  // while: its calls fail with Unavailable. 0: never.
  int quarantine_after = 5;
  absl::Duration quarantine = absl::Seconds(30);
  // Names, limits and outputs of the processes.
  WorkerOptions worker;
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_POOL_OPTIONS_H_
