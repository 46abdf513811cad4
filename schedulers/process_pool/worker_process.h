// WorkerProcess: a program's hold on one of its worker processes. Internal.
//
//   absl::StatusOr<std::unique_ptr<WorkerProcess>> worker =
//       WorkerProcess::Start(zygote, options, descriptors);
//   worker.Signal(SIGTERM);
//   std::optional<WorkerExit> exit;
//   while (!(exit = worker.TakeExit()).has_value()) co_await (poll worker.end_descriptor());
//
// Nothing here blocks, needs a reactor, or needs the worker's cooperation: the zygote starts it,
// sends it signals and tells its end. Ownership: dropped, it kills the worker, and the zygote reaps
// that; the zygote may die first, then the worker is gone too. Threads: one at a time.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_PROCESS_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_PROCESS_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "plait/schedulers/process_pool/worker_exit.h"
#include "plait/schedulers/process_pool/worker_options.h"
#include "plait/schedulers/process_pool/zygote.h"

namespace plait::internal {

class WorkerProcess {
 public:
  // Asks for a worker that has copies of `descriptors`, at most 8 of them, as 3, 4, ...; the
  // caller's may be closed once this has returned. The worker is there a moment later; until then
  // everything may be done with it already. Errors as Zygote::RequestWorker.
  static absl::StatusOr<std::unique_ptr<WorkerProcess>> Start(Zygote& zygote,
                                                              const WorkerOptions& options,
                                                              absl::Span<const int> descriptors);
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess();

  // Readable or hung up when TakeExit has something to look at, which is once or twice in all.
  int end_descriptor() const noexcept { return channel_; }
  // How it has ended; nothing where it has not, and then end_descriptor() is not readable any more.
  // Again gives the same.
  std::optional<WorkerExit> TakeExit();

  // Its number, for people; 0 until it is known, which TakeExit finds out.
  int pid() const noexcept { return pid_; }

  // Sends it a signal, SIGTERM say; SIGKILL also to the processes that it has started. Nothing
  // happens where it has ended.
  void Signal(int signal) noexcept;
  // Whether it was sent that.
  bool was_sent(int signal) const noexcept { return ((signals_ >> signal) & 1) != 0; }

 private:
  explicit WorkerProcess(int channel) : channel_(channel) {}

  const int channel_;
  int pid_ = 0;
  uint64_t signals_ = 0;  // that were sent: bit n for signal n
  std::optional<WorkerExit> exit_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_PROCESS_H_
